import errno
import io
import json
import os
import pickle
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia import LmiaError, Pair, Rejected
from lmia_folder import Folder
from lmia_table import Table
from lmia_webdataset import WebDataset


def put(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        stem, _, ending = name.rpartition("_")
        (folder / f"{stem}.{ending}").write_bytes(data if isinstance(data, bytes) else data.encode())


def read(source):
    source = source if isinstance(source, (Folder, Table, WebDataset)) else Folder(str(source))
    return [record for shard in source.shards() for record in source.read(shard)]


def test_images_pair_with_the_text_beside_them_in_sorted_order(tmp_path):
    put(tmp_path, b_jpg=b"B", b_txt="second\n", a_PNG=b"A", a_txt="Füllhorn\r\n")
    put(tmp_path / "deep" / "er", c_webp=b"C", c_txt="\ufefftwo\nlines\n\n", c_json="{}")
    put(tmp_path / ".cache", x_jpg=b"X", x_txt="hidden")
    (tmp_path / "._a.jpg").write_bytes(b"hidden")
    assert read(tmp_path) == [
        Pair("a.PNG", "Füllhorn", b"A"),
        Pair("b.jpg", "second", b"B"),
        Pair("deep/er/c.webp", "two\nlines\n", b"C"),
    ]


def test_what_is_no_pair_is_rejected_by_its_reason(tmp_path):
    put(tmp_path, a_jpg=b"A", a_txt="fine", bad_jpg=b"B", bad_txt=b"\xff", lone_jpg=b"L", README_txt="hello")
    put(tmp_path, gone_txt="x", fifo_txt="x", fifo_jpg=b"", long_jpg=b"", long_txt=bytes((1 << 20) + 1), up_jpg=b"U")
    put(tmp_path, up_txt="one", up_TXT="two")
    (tmp_path / "gone.jpg").symlink_to("/no/such/file")
    (tmp_path / "fifo.jpg").unlink()
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "linked.txt").symlink_to(tmp_path / "a.txt")
    records = read(tmp_path)
    assert {r.key: r.reason for r in records if isinstance(r, Rejected)} == {
        "bad.jpg": "caption is not UTF-8",
        "lone.jpg": "no caption",
        "README.txt": "no image",
        "gone.jpg": "no such file",
        "fifo.jpg": "not a regular file",
        "long.jpg": "file too large",
        "round/": "link to a folder",
        "up.TXT": "no image",
    }
    assert [r.key for r in records if isinstance(r, Pair)] == ["a.jpg", "linked.jpg", "up.jpg"]
    assert [r.caption for r in records if isinstance(r, Pair)] == ["fine", "fine", "one"]


def test_two_images_of_one_stem_share_their_text(tmp_path):
    put(tmp_path, a_jpg=b"J", a_png=b"P", a_txt="x")
    assert read(tmp_path) == [Pair("a.jpg", "x", b"J"), Pair("a.png", "x", b"P")]


def test_names_that_are_not_utf8_get_keys_that_are(tmp_path):
    put(tmp_path, a_jpg=b"A", a_txt="x")
    for ending in (b"jpg", b"txt"):
        with open(os.fsencode(tmp_path) + b"/\xff." + ending, "wb") as file:  # noqa: PTH123
            file.write(b"y")
    assert [(r.key, r.caption) for r in read(tmp_path)] == [("a.jpg", "x"), ("\\udcff.jpg", "y")]


def test_shards_are_cut_in_sorted_order(tmp_path, monkeypatch):
    monkeypatch.setattr("lmia_folder.SHARD", 2)
    for i in (3, 0, 4, 1, 2):
        put(tmp_path, **{f"{i}_jpg": b"x", f"{i}_txt": str(i)})
    source = Folder(str(tmp_path))
    assert source.shards() == ["0000", "0001", "0002"]
    assert [[r.caption for r in source.read(s)] for s in source.shards()] == [["0", "1"], ["2", "3"], ["4"]]
    assert [source.count(s) for s in source.shards()] == [2, 2, 1]
    with pytest.raises(LmiaError, match="'0003' is not a shard"):
        source.count("0003")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no image"),
        ({"a_txt": "x"}, "holds no image"),
        ({"00000_tar": "", "00000_parquet": ""}, r"the shards in it: '.*/\*\.tar'\?"),
        ({"pairs_csv": ""}, r"the table in it: '.*/pairs\.csv'\?"),
        ({"a_jpg": "x", "b_jpg": "y", "c_txt": "z"}, "None of the 2 images in .* has a text beside it"),
    ],
)
def test_a_folder_without_pairs_is_an_error_that_says_what_is_meant(tmp_path, files, words):
    put(tmp_path, **files)
    with pytest.raises(LmiaError, match=words):
        Folder(str(tmp_path)).shards()
    with pytest.raises(LmiaError, match="cannot be read"):
        Folder(str(tmp_path / "no")).shards()


def test_folder_and_table_never_claim_the_same(tmp_path):
    put(tmp_path, a_jpg=b"x")
    spec = str(tmp_path)
    assert (Folder.claims(spec), Table.claims(spec), WebDataset.claims(spec)) == ({"path": spec}, None, None)
    for name in ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet"):
        (tmp_path / name).touch()
        assert (Folder.claims(spec), Table.claims(spec)) == (None, {"path": spec})
        (tmp_path / name).unlink()
    for other in ("", "no/such", f"{spec}/a.jpg", "x" * 5000, "nul\0"):
        assert Folder.claims(other) is None


def test_fingerprint_follows_images_texts_and_names(tmp_path):
    put(tmp_path, a_jpg=b"A", a_txt="x", b_jpg=b"B")
    seen = [Folder(str(tmp_path)).fingerprint("0000")]
    assert Folder(str(tmp_path)).fingerprint("0000") == seen[0]
    for change in ({"a_txt": "longer"}, {"a_jpg": b"longer"}, {"b_txt": "new"}, {"c_jpg": b"new"}):
        put(tmp_path, **change)
        seen.append(Folder(str(tmp_path)).fingerprint("0000"))
    (tmp_path / "c.jpg").rename(tmp_path / "d.jpg")
    seen.append(Folder(str(tmp_path)).fingerprint("0000"))
    assert len(set(seen)) == len(seen)


def test_a_pickled_folder_reads_the_same(tmp_path):
    put(tmp_path, a_jpg=b"A", a_txt="x")
    source = Folder(str(tmp_path))
    fresh = pickle.loads(pickle.dumps(source))
    assert read(fresh) == read(source) == read(pickle.loads(pickle.dumps(source)))
    assert fresh.settings == {"path": str(tmp_path)}


PAIRS = st.lists(
    st.tuples(st.binary(min_size=1, max_size=600), st.text(max_size=40).map(lambda text: text.strip("\r\n\ufeff"))),
    min_size=1,
    max_size=5,
)


@settings(max_examples=25, deadline=None)
@given(PAIRS)
def test_the_same_pairs_come_from_every_kind_of_source(tmp_path_factory, pairs):
    home = tmp_path_factory.mktemp("same")
    images = {f"images_{i}_jpg": data for i, (data, _) in enumerate(pairs)}
    put(home / "folder", **images, **{f"images_{i}_txt": text for i, (_, text) in enumerate(pairs)})
    put(home / "imagefolder", **images)
    rows = [{"file_name": f"images_{i}.jpg", "text": text} for i, (_, text) in enumerate(pairs)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (home / "imagefolder" / "metadata.jsonl").write_text(lines)
    quoted = "".join('"{}","{}"\n'.format(r["file_name"], r["text"].replace('"', '""')) for r in rows)
    (home / "t.csv").write_bytes(b"file_name,text\n" + quoted.encode())
    (home / "t.jsonl").write_text(lines)
    held = [row | {"file_name": {"bytes": data, "path": None}} for row, (data, _) in zip(rows, pairs, strict=True)]
    pq.write_table(pa.Table.from_pylist(held), home / "t.parquet")
    with tarfile.open(home / "t.tar", "w") as tar:
        for i, (data, text) in enumerate(pairs):
            for ending, body in (("jpg", data), ("txt", text.encode())):
                info = tarfile.TarInfo(f"{i:05d}.{ending}")
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    sources = [
        Folder(str(home / "folder")),
        Table(str(home / "imagefolder")),
        Table(str(home / "t.csv"), root=str(home / "folder")),
        Table(str(home / "t.jsonl"), root=str(home / "folder")),
        Table(str(home / "t.parquet")),
        WebDataset(str(home / "t.tar")),
    ]
    for source in sources:
        assert [(record.image, record.caption) for record in read(source)] == pairs


@pytest.mark.parametrize("table", [False, True])
def test_a_disk_that_fails_is_an_error_and_a_file_of_others_a_rejection(tmp_path, monkeypatch, table):
    put(tmp_path, a_jpg=b"A", a_txt="fine")
    if table:
        (tmp_path / "metadata.csv").write_text("image,caption\na.jpg,fine\n")
    source = (Table if table else Folder)(str(tmp_path))
    shard, whole, opened = source.shards()[0], type(tmp_path).open, source.fingerprint("0000")

    def failing(number):
        def fail(self, *args, **options):
            if self.suffix == ".jpg":
                raise OSError(number, os.strerror(number))
            return whole(self, *args, **options)

        return fail

    for number in (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOMEM):
        monkeypatch.setattr(type(tmp_path), "open", failing(number))
        with pytest.raises(LmiaError, match=os.strerror(number)):
            list(source.read(shard))
    monkeypatch.setattr(type(tmp_path), "open", failing(errno.EACCES))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert [record.reason for record in source.read(shard)] == ["file cannot be read"]
    assert source.fingerprint(shard) != opened  # so that it is read again once it may be
