"""`lmia lookup` on an index with planted copies."""

import csv
import io
from hashlib import md5

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import torch

import lmia
from lmia import overlap, specs
from lmia.commands.lookup import ABOUT, LIMIT, main
from lmia.errors import LmiaError
from lmia.overlap.index import Part, parts_of
from lmia.overlap.lookup import addresses, look_up, nearest
from lmia.picture import open_pair
from lmia.source import Pair


def encoded(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Mine: 40 scenes as files. The index: 10 of the same bytes, 10 as JPEG q60, 10 halved; 10 absent; 40 strangers."""
    folder = tmp_path_factory.mktemp("mine")
    pairs = list(specs.source("emoji:0:40").read("scenes-0-40"))
    others = list(specs.source("emoji:5000:5040").read("scenes-5000-5040"))
    index = []
    for i, pair in enumerate(pairs):
        png = encoded(pair.image, format="PNG")
        (folder / f"{i:02d}.png").write_bytes(png)
        (folder / f"{i:02d}.txt").write_text(pair.caption)
        half = pair.image.resize((64, 64))
        kinds = [png, encoded(pair.image, format="JPEG", quality=60), encoded(half, format="PNG")]
        if i < 30:
            index.append(Pair(f"copy-{i}", "another text", kinds[i // 10]))
    facts = [open_pair(pair)[1] for pair in [*index, *others]]
    table = pa.table(
        {
            "sha256": [f.sha256.upper() for f in facts],
            "phash": [f.phash for f in facts],
            "URL": [f"https://x.org/{i}" for i in range(len(facts))],
        }
    )
    return folder, table, overlap.read(specs.source(str(folder)), "mine")


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def written(tmp_path):
    with (tmp_path / "lmia-lookup" / "lookup.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_planted_copies_are_found_and_false_alarms_counted(world, tmp_path, capsys):
    folder, table, mine = world
    pq.write_table(table, tmp_path / "index.parquet")
    found = look_up(mine, [Part(tmp_path / "index.parquet")])
    assert found.compared == {"sha256", "phash", "url"}
    assert found.rows["sha256"].tolist() == [*range(10), *[-1] * 30]
    alarms = int((found.rows["phash"][30:] >= 0).sum())
    recall = [float((found.rows["phash"][start : start + 10] >= 0).mean()) for start in (0, 10, 20)]
    print(f"recall by looks of bytes, q60, halved: {recall}; false alarms {alarms} of 10")
    assert recall == [1.0, 1.0, 1.0]
    assert alarms <= 1
    assert main(["--mine", str(folder), "--index", str(tmp_path / "index.parquet")]) == 0
    out = capsys.readouterr().out
    assert f"Listed: 10. Near copy listed: {20 + alarms}. Not listed: {10 - alarms}." in out
    assert "same file (md5): not compared (no such column)" in out
    assert "near by embedding: not compared (no --model)" in out
    assert out.endswith(LIMIT + "\n")
    rows = written(tmp_path)
    assert {row["key"] for row in rows} == set(mine.keys)
    first = [row for row in rows if row["key"] == mine.keys[3]]
    assert next((row["rule"], row["row"], row["url"]) for row in first) == ("sha256", "3", "https://x.org/3")
    assert {row["answer"] for row in first} == {"listed"}
    assert sum(row["answer"] == "not listed" for row in rows) == 10 - alarms


def test_a_caption_or_a_key_alone_is_a_hint_and_counts_for_nothing(world, tmp_path, capsys):
    mine = world[2]
    columns = {"KEY": [mine.keys[0]], "TEXT": [mine.captions[1].upper() + "!"]}
    pa.csv.write_csv(pa.table(columns), tmp_path / "index.csv")
    found = look_up(mine, [Part(tmp_path / "index.csv")])
    assert found.compared == {"key", "caption"}
    assert (found.rows["key"] >= 0).tolist() == [True] + [False] * 39
    assert (found.rows["caption"] >= 0).tolist() == [caption == mine.captions[1] for caption in mine.captions]
    assert main(["--mine", str(world[0]), "--index", str(tmp_path / "index.csv")]) == 0
    out = capsys.readouterr().out
    assert "Listed: 0. Near copy listed: 0. Not listed: 0.\nNot compared: 40. " in out
    assert "same key: 1, a hint that counts for nothing" in out


def test_a_copy_under_another_caption_is_a_near_copy_and_a_caption_on_another_picture_is_none(world, tmp_path, capsys):
    """Planted: 10 copies with their caption, 10 recaptioned, 10 captions on strangers' pictures; 10 of mine are absent."""
    folder, _, mine = world
    pairs = list(specs.source("emoji:0:20").read("scenes-0-20"))
    strangers = list(specs.source("emoji:5000:5010").read("scenes-5000-5010"))
    images = [encoded(pair.image, format="JPEG", quality=60) for pair in pairs] + [pair.image for pair in strangers]
    captions = [*mine.captions[:10], *(f"stock photo {i}" for i in range(10)), *mine.captions[20:30]]
    facts = [open_pair(Pair(str(i), caption, images[i]))[1] for i, caption in enumerate(captions)]
    pq.write_table(
        pa.table(
            {
                "TEXT": captions,
                "phash": [fact.phash for fact in facts],
                "url": [f"https://x.org/{i}" for i in range(30)],
            }
        ),
        tmp_path / "index.parquet",
    )
    assert main(["--mine", str(folder), "--index", str(tmp_path / "index.parquet")]) == 0
    told = {key: ("", {}) for key in mine.keys}
    for row in written(tmp_path):
        told[row["key"]] = row["answer"], told[row["key"]][1] | {row["rule"]: row["row"]}
    answers = [told[key] for key in mine.keys]
    assert answers[:10] == [("near copy listed", {"phash": str(i), "caption": str(i)}) for i in range(10)]
    assert answers[10:20] == [("near copy listed", {"phash": str(i)}) for i in range(10, 20)]
    assert answers[20:30] == [("not listed", {"caption": str(i)}) for i in range(20, 30)]
    assert answers[30:] == [("not listed", {"": ""})] * 10
    out = capsys.readouterr().out
    assert "Listed: 0. Near copy listed: 20. Not listed: 20.\n" in out
    assert "looks alike (phash): 20\n" in out
    assert "same caption: 20, a hint that counts for nothing\n" in out
    assert f"near copy listed: {mine.keys[10]} (phash): row 10 of " in out
    assert f"near copy listed: {mine.keys[0]} (phash, caption): row 0 of " in out


def test_pictures_without_an_address_are_not_called_not_listed(world, tmp_path, capsys):
    """LAION's lists hold addresses and captions alone: what has no address was not looked up."""
    folder = world[0]
    pq.write_table(
        pa.table({"URL": ["https://x.org/0", "https://x.org/9"], "TEXT": ["a", "b"]}), tmp_path / "laion.parquet"
    )
    assert main(["--mine", str(folder), "--index", str(tmp_path / "laion.parquet")]) == 0
    out = capsys.readouterr().out
    assert "Listed: 0. Near copy listed: 0. Not listed: 0.\nNot compared: 40. " in out
    assert "same address (url): not compared (your pictures have none)" in out
    assert {row["answer"] for row in written(tmp_path)} == {"not compared"}
    names = [str(path) for path in sorted(folder.glob("*.png"))[:3]]
    urls = ["http://www.X.org/0#top", "", "https://x.org/2"]
    table = pa.table({"image": names, "caption": ["x"] * 3, "url": urls})
    pa.csv.write_csv(table, tmp_path / "mine.csv")
    assert main(["--mine", str(tmp_path / "mine.csv"), "--index", str(tmp_path / "laion.parquet")]) == 0
    out = capsys.readouterr().out
    assert "Listed: 1. Near copy listed: 0. Not listed: 1.\nNot compared: 1. " in out
    assert "same address (url): 1 of 2 pictures that have one" in out


def test_pixels_without_a_file_have_no_digest_to_compare(world, tmp_path, capsys):
    pq.write_table(world[1].select(["sha256"]), tmp_path / "index.parquet")
    assert main(["--mine", "emoji:0:2", "--index", str(tmp_path / "index.parquet")]) == 0
    assert "Not compared: 2. " in capsys.readouterr().out


def test_a_key_of_digits_keeps_its_zeros(world, tmp_path):
    mine = overlap.Pictures([0], ["0017"], ["x"], world[2].facts[:1], {})
    (tmp_path / "index.csv").write_text("key\n17\n0017\n")
    assert look_up(mine, [Part(tmp_path / "index.csv")]).rows["key"].tolist() == [1]


@pytest.mark.parametrize("name", ["md5", "MD5"])
def test_an_index_of_md5_is_compared_with_the_bytes(world, tmp_path, capsys, name):
    folder = world[0]
    digests = [md5((folder / f"{i:02d}.png").read_bytes()).hexdigest() for i in (5, 7)]
    pq.write_table(pa.table({name: ["0" * 32, digests[0], None, digests[1].upper()]}), tmp_path / "index.parquet")
    assert main(["--mine", str(folder), "--index", str(tmp_path / "index.parquet")]) == 0
    out = capsys.readouterr().out
    assert "Listed: 2. Near copy listed: 0. Not listed: 38." in out
    assert "same file (md5): 2" in out
    assert [row["row"] for row in written(tmp_path) if row["rule"] == "md5"] == ["1", "3"]


def test_pictures_without_files_have_no_digest_of_bytes():
    read = overlap.read(specs.source("emoji:0:2"), "mine", digests=True)
    assert read.words("md5") == ["", ""]
    assert overlap.read(specs.source("emoji:0:2"), "mine").words("md5") == ["", ""]


def test_rows_are_numbered_in_their_own_table(world, tmp_path):
    """Tables of several pieces, one of them empty: the row that is named is the row that is there."""
    mine, table = world[2], world[1]
    parts = []
    for i, (start, length) in enumerate([(30, 5), (0, 0), (0, 4), (4, 20)]):
        pq.write_table(table.slice(start, length), tmp_path / f"{i}.parquet")
        parts.append(Part(tmp_path / f"{i}.parquet"))
    found = look_up(mine, parts)
    assert found.size == 29
    places = [found.place(int(row)) for row in found.rows["sha256"][:10]]
    assert places == [(2, 0), (2, 1), (2, 2), (2, 3), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5)]
    urls = addresses(found, parts, found.rows["sha256"][:10].tolist())
    assert [urls[int(row)] for row in found.rows["sha256"][:10]] == [f"https://x.org/{i}" for i in range(10)]


def test_a_strangers_text_need_not_be_text(world, tmp_path):
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    pq.write_table(pa.table({"caption": bad}), tmp_path / "index.parquet")
    assert (look_up(world[2], [Part(tmp_path / "index.parquet")]).rows["caption"] == -1).all()


class Eye(lmia.Target):
    """Sees a picture at 8 x 8."""

    def __init__(self, flip=False):
        super().__init__()
        self.flip = flip

    def preprocess(self, image):
        return torch.from_numpy(np.asarray(image.resize((8, 8))).copy()).permute(2, 0, 1)

    def tokenize(self, captions):
        return torch.zeros((len(captions), 1), dtype=torch.int64)

    def encode_image(self, pixels):
        seen = pixels.flatten(1) - 0.5
        return seen.roll(17, dims=1) * torch.linspace(-1, 1, seen.shape[1]) if self.flip else seen

    def encode_text(self, tokens):
        return torch.ones((len(tokens), 192))

    def facts(self):
        return lmia.TargetFacts("eye")

    def fingerprint(self):
        return f"eye {self.flip}"


@pytest.fixture
def retrieval(world, tmp_path, monkeypatch):
    """A folder as clip-retrieval writes it, in two pieces: 10 of mine rotated a little, 5 as they are, 20 strangers."""
    models = {"eye": Eye(), "other": Eye(flip=True)}
    monkeypatch.setattr(specs, "target", lambda spec, pretrained: models[spec])
    pairs = list(specs.source("emoji:0:15").read("scenes-0-15"))
    strangers = list(specs.source("emoji:5000:5020").read("scenes-5000-5020"))
    images = [pair.image.rotate(4, fillcolor="white") for pair in pairs[:10]]
    images = [*(pair.image for pair in strangers), *images, *(pair.image for pair in pairs[10:])]
    digests = [*["0" * 64] * 30, *world[2].words("sha256")[10:15]]
    (tmp_path / "index" / "metadata").mkdir(parents=True)
    (tmp_path / "index" / "img_emb").mkdir()
    for number, rows in enumerate([range(12), range(12, 35)]):
        pixels = torch.stack([Eye().preprocess(images[i]) for i in rows]).float() / 255
        np.save(tmp_path / "index" / "img_emb" / f"img_emb_{number}.npy", Eye().encode_image(pixels).half().numpy())
        table = pa.table({"sha256": [digests[i] for i in rows], "url": [f"https://x.org/{i}" for i in rows]})
        pq.write_table(table, tmp_path / "index" / "metadata" / f"metadata_{number}.parquet")
    return tmp_path / "index"


def brute(world, retrieval, threshold):
    """Which of mine are near some row, by numpy alone."""
    mine = [pair.image for pair in specs.source("emoji:0:40").read("scenes-0-40")]
    pixels = torch.stack([Eye().preprocess(image) for image in mine]).float() / 255
    ours = Eye().encode_image(pixels).double().numpy()
    theirs = np.concatenate([np.load(file) for file in sorted(retrieval.glob("img_emb/*.npy"))]).astype(np.float64)
    cosine = ours @ theirs.T / np.outer(np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1))
    return (cosine.max(axis=1) >= threshold).tolist(), cosine.argmax(axis=1).tolist()


def test_neighbours_in_a_clip_retrieval_index_are_those_of_brute_force(world, retrieval, tmp_path, capsys):
    assert main(["--mine", str(world[0]), "--index", str(retrieval), "--model", "eye"]) == 0
    near, row = brute(world, retrieval, 0.94)
    out = capsys.readouterr().out
    assert all(near[:15])
    assert f"Listed: 5. Near copy listed: {sum(near) - 5}. Not listed: {40 - sum(near)}." in out
    assert f"near by embedding: {sum(near)}" in out
    assert "Of 5 pictures listed as files, 5 are near their own row by embedding, as they should be" in out
    told = [found for found in written(tmp_path) if found["rule"] == "embedding"]
    assert [found["key"] for found in told] == [key for key, hit in zip(world[2].keys, near, strict=True) if hit]
    for found in told:
        global_row = row[world[2].keys.index(found["key"])]
        assert found["url"] == f"https://x.org/{global_row}"
        assert found["row"] == str(global_row - 12 * (global_row >= 12))
        assert float(found["cosine"]) >= 0.94


def test_a_threshold_of_ones_own_is_heeded(world, retrieval, capsys):
    main(["--mine", str(world[0]), "--index", str(retrieval), "--model", "eye", "--threshold", "0.999"])
    assert f"near by embedding: {sum(brute(world, retrieval, 0.999)[0])}\n" in capsys.readouterr().out


def test_embeddings_of_another_model_are_disregarded_in_so_many_words(world, retrieval, capsys):
    main(["--mine", str(world[0]), "--index", str(retrieval), "--model", "other"])
    assert "this model did not make these embeddings" in capsys.readouterr().out


def test_without_a_model_the_embeddings_are_not_passed_over_in_silence(world, retrieval, capsys):
    assert main(["--mine", str(world[0]), "--index", str(retrieval)]) == 0
    out = capsys.readouterr().out
    assert "Listed: 5. " in out
    assert "The index holds embeddings, which were not compared" in out


def test_embeddings_of_another_width_are_refused(world, retrieval):
    np.save(retrieval / "img_emb" / "img_emb_1.npy", np.zeros((23, 7), np.float32))
    with pytest.raises(LmiaError, match="embeddings of 7 numbers, the model answers 192"):
        main(["--mine", str(world[0]), "--index", str(retrieval), "--model", "eye"])


@pytest.mark.parametrize(
    ("save", "problem"),
    [
        (lambda path: np.save(path, np.zeros((22, 192), np.float32)), "has 22 rows, its table"),
        (lambda path: np.save(path, np.zeros(23, np.float32)), "no rows of floating point numbers"),
        (lambda path: np.save(path, np.zeros((23, 192), np.int64)), "no rows of floating point numbers"),
        (lambda path: path.write_bytes(b"\x93NUMPY garbage"), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: np.save(path, np.array([{}], object), allow_pickle=True), "cannot be read"),
    ],
)
def test_embeddings_that_cannot_be_read_are_refused(world, retrieval, save, problem):
    save(retrieval / "img_emb" / "img_emb_1.npy")
    with pytest.raises(LmiaError, match=problem):
        main(["--mine", str(world[0]), "--index", str(retrieval), "--model", "eye"])


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--model", "eye"], "no index holds embeddings"),
        (["--threshold", "0.9"], "--threshold is given, but no model"),
        (["--pretrained", "x"], "--pretrained is given, but no model"),
        (["--radius", "16"], "A radius of 16"),
        (["--batch", "0"], "Batches of 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(world, tmp_path, more, problem):
    pq.write_table(world[1], tmp_path / "index.parquet")
    with pytest.raises(LmiaError, match=problem):
        main(["--mine", str(world[0]), "--index", str(tmp_path / "index.parquet"), *more])


def test_a_table_of_embeddings_alone_is_compared_with_a_model(world, retrieval, capsys):
    for number, rows in enumerate([12, 23]):
        table = pa.table({"height": [1] * rows})
        pq.write_table(table, retrieval / "metadata" / f"metadata_{number}.parquet")
    assert main(["--mine", str(world[0]), "--index", str(retrieval), "--model", "eye"]) == 0
    out = capsys.readouterr().out
    assert "Index: 35 rows in 2 tables." in out
    assert "No picture is listed as a file, so whether this model made the embeddings was not seen." in out


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (pa.table({"height": [1]}), "no column that can be compared: height"),
        (pa.table({"phash": ["xyz"]}), "16 hexadecimal digits"),
    ],
)
def test_an_index_that_cannot_be_compared_is_refused(world, tmp_path, table, problem):
    pq.write_table(table, tmp_path / "index.parquet")
    with pytest.raises(LmiaError, match=problem):
        main(["--mine", str(world[0]), "--index", str(tmp_path / "index.parquet")])


def test_an_empty_index_lists_nothing(world, tmp_path, capsys):
    pq.write_table(world[1].slice(0, 0), tmp_path / "index.parquet")
    assert main(["--mine", str(world[0]), "--index", str(tmp_path / "index.parquet")]) == 0
    assert "Listed: 0. Near copy listed: 0. Not listed: 40." in capsys.readouterr().out


@pytest.mark.parametrize("name", ["index.npy", "index.pkl", "gone.parquet"])
def test_what_is_no_table_is_refused(world, tmp_path, name):
    if name != "gone.parquet":
        (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(LmiaError, match="no index"):
        main(["--mine", str(world[0]), "--index", str(tmp_path / name)])


def test_a_damaged_index_is_refused(world, tmp_path):
    (tmp_path / "index.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(LmiaError, match="cannot be read"):
        main(["--mine", str(world[0]), "--index", str(tmp_path / "index.parquet")])


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    for word in ("listed  ", "near copy listed", "not listed", "hint", "md5", "--model", "--threshold", "0.94"):
        assert word in out
    assert max(map(len, ABOUT.splitlines())) <= 100


def index_folder(path, embeddings):
    """An index as clip-retrieval writes it, with these bytes for embeddings."""
    for name in ("metadata", "img_emb"):
        (path / name).mkdir(parents=True)
    pq.write_table(
        pa.table({"url": [f"https://x.org/{i}" for i in range(3)]}), path / "metadata" / "metadata_0.parquet"
    )
    (path / "img_emb" / "img_emb_0.npy").write_bytes(embeddings)
    return parts_of(path)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_an_embedding_that_is_no_number_does_not_hide_the_nearest(world, tmp_path, odd):
    rows = np.eye(3, 4, dtype=np.float32)
    rows[1] = odd
    parts = index_folder(tmp_path / "index", npy(rows))
    listing = look_up(world[2], parts)
    with pytest.raises(LmiaError, match="its row 1 holds what is no number"):
        nearest(listing, parts, np.tile(rows[:1], (40, 1)), 0.9)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", npy(np.zeros((3, 4), np.float32))[:-1], npy(np.zeros(3, object))])
def test_embeddings_that_are_damaged_are_named(world, tmp_path, data):
    parts = index_folder(tmp_path / "index", data)
    with pytest.raises(LmiaError, match=r"img_emb_0.npy' cannot be read"):
        nearest(look_up(world[2], parts), parts, np.eye(40, 4, dtype=np.float32), 0.9)


def test_an_index_with_a_column_twice_is_refused(world, tmp_path):
    (tmp_path / "index.csv").write_text("url,url\na,b\n")
    with pytest.raises(LmiaError, match="two columns 'url'"):
        look_up(world[2], [Part(tmp_path / "index.csv")])


def test_an_index_cell_beyond_python_is_a_sentence(world, tmp_path):
    pq.write_table(pa.table({"url": pa.array([2**62], pa.timestamp("ms"))}), tmp_path / "index.parquet")
    with pytest.raises(LmiaError, match=r"index.parquet' cannot be read"):
        look_up(world[2], [Part(tmp_path / "index.parquet")])
