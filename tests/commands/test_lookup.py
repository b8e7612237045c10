"""`lmia lookup` on an index with planted copies."""

import io

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from lmia import overlap, specs
from lmia.commands.lookup import LIMIT, look_up, main
from lmia.errors import LmiaError
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
    table = pa.table({"sha256": [f.sha256 for f in facts], "phash": [f.phash for f in facts]})
    return folder, table, overlap.read(specs.source(str(folder)), "mine")


def test_planted_copies_are_found_and_false_alarms_counted(world, tmp_path, capsys):
    folder, table, mine = world
    pq.write_table(table, tmp_path / "index.parquet")
    found, compared = look_up(mine, [tmp_path / "index.parquet"])
    assert compared == {"sha256", "phash"}
    assert found["sha256"].tolist() == [True] * 10 + [False] * 30
    assert found["phash"][:30].all()
    assert found["phash"][30:].sum() <= 1  # strangers that look alike, of 10 that are absent
    assert main(["--mine", str(folder), "--index", str(tmp_path / "index.parquet")]) == 0
    out = capsys.readouterr().out
    assert "Listed: 10. " in out
    assert "by url: not compared" in out
    assert out.endswith(LIMIT + "\n")


def test_csv_captions_and_keys_keep_their_zeros(world, tmp_path):
    mine = world[2]
    columns = {"KEY": [mine.keys[0]], "TEXT": [mine.captions[1].upper() + "!"]}
    csv.write_csv(pa.table(columns), tmp_path / "index.csv")
    found, compared = look_up(mine, [tmp_path / "index.csv"])
    assert compared == {"key", "caption"}
    assert found["key"].tolist() == [True] + [False] * 39
    assert found["caption"].tolist() == [caption == mine.captions[1] for caption in mine.captions]


def test_a_folder_of_clip_retrieval_is_read(world, tmp_path, capsys):
    (tmp_path / "metadata").mkdir()
    pq.write_table(world[1], tmp_path / "metadata" / "metadata_0.parquet")
    assert main(["--mine", str(world[0]), "--index", str(tmp_path)]) == 0
    assert "Listed: 10. " in capsys.readouterr().out


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
    assert "Listed: 0. Near-copy listed: 0. Not listed: 40." in capsys.readouterr().out


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
