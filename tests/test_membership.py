import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmia.errors import LmiaError
from lmia.membership import Membership, read, write

KEYS = ["b/00.jpg", 'a,"quoted"', "007", "é", "NA"]
INSIDE = np.array([True, False, True, False, True])
REPEATS = np.array([1, 0, 8, 0, 2], np.int32)


def manifest(path, rows, names=("key", "in", "repeats")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return path


def equal(found):
    return (
        list(found.keys) == KEYS
        and found.inside.tolist() == INSIDE.tolist()
        and found.repeats.tolist() == REPEATS.tolist()
    )


def test_what_is_written_is_read(tmp_path):
    path = write(tmp_path / "one.parquet", Membership(KEYS, INSIDE, REPEATS))
    assert equal(read(path))
    schema = pq.read_schema(path)
    assert [(one.name, one.type) for one in schema] == [
        ("key", pa.string()),
        ("in", pa.bool_()),
        ("repeats", pa.int32()),
    ]
    assert write(tmp_path / "two.parquet", Membership(KEYS, INSIDE, REPEATS)).read_bytes() == path.read_bytes()
    assert [one.name for one in sorted(tmp_path.iterdir())] == ["one.parquet", "two.parquet"]


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("true", "false"), ("True", "FALSE")])
def test_a_csv_says_the_same(tmp_path, yes, no):
    rows = [(key, yes if one else no, n) for key, one, n in zip(KEYS, INSIDE, REPEATS, strict=True)]
    assert equal(read(manifest(tmp_path / "one.csv", rows)))
    assert equal(
        read(manifest(tmp_path / "more.csv", [(*row, "x") for row in rows], ("key", "in", "repeats", "shard")))
    )


def test_parquet_of_other_numbers_and_keys(tmp_path):
    table = pa.table({"repeats": pa.array([3, 0], pa.int64()), "key": [5, 6], "in": pa.array([1, 0], pa.int8())})
    pq.write_table(table, tmp_path / "one.parquet")
    found = read(tmp_path / "one.parquet")
    assert (list(found.keys), found.inside.tolist(), found.repeats.tolist()) == (["5", "6"], [True, False], [3, 0])


def test_the_demos_own_manifest_is_one():
    import lmia_demo

    (path,) = lmia_demo.MODEL.glob("membership.*")
    found = read(path)
    assert len(found) == 10_000
    assert found.inside.tolist() == [lmia_demo.in_half(key, 0) for key in found.keys]
    assert set(found.repeats[found.inside].tolist()) >= {1, 8}


@pytest.mark.parametrize(
    ("rows", "names", "said"),
    [
        ([("a", 1)], ("key", "in"), "no one column 'repeats'"),
        ([("a", 1, 1, 1)], ("key", "in", "repeats", "in"), "no one column 'in'"),
        ([("a", 1, 1)], ("name", "in", "repeats"), "no one column 'key'"),
        ([("a", "maybe", 1)], ("key", "in", "repeats"), "says 'maybe' in its column 'in'"),
        ([("a", 1, "x")], ("key", "in", "repeats"), "The column 'repeats'"),
        ([("a", 1, "1.5")], ("key", "in", "repeats"), "The column 'repeats'"),
        ([("a", 1, 1), ("", 0, 0)], ("key", "in", "repeats"), "no 'key' in 1 row"),
        ([("a", 1, 1), ("b", 0, "")], ("key", "in", "repeats"), "no 'repeats' in 1 row"),
        ([("a", 1, 1), ("b", 0, 0), ("a", 0, 0)], ("key", "in", "repeats"), "1 key stands more than once"),
        ([("a", 1, 0), ("b", 0, 0)], ("key", "in", "repeats"), "1 pair of the manifest"),
        ([("a", 1, 1), ("b", 0, 3)], ("key", "in", "repeats"), "'b' (in False, repeats 3)"),
        ([("a", 1, -1), ("b", 0, 0)], ("key", "in", "repeats"), "'a' (in True, repeats -1)"),
    ],
)
def test_what_is_no_manifest_is_named(tmp_path, rows, names, said):
    path = manifest(tmp_path / "bad.csv", rows, names)
    with pytest.raises(LmiaError) as caught:
        read(path)
    assert said in caught.value.problem.replace(f"the manifest '{path}'", "the manifest")
    assert str(path) in caught.value.problem
    assert len(str(caught.value).splitlines()) == 2


def test_files_that_are_none(tmp_path):
    (tmp_path / "no.parquet").write_bytes(b"not parquet")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name in ("no.parquet", "empty.csv", "nowhere.csv", "nowhere.parquet", "."):
        with pytest.raises(LmiaError, match="cannot be read") as caught:
            read(tmp_path / name)
        assert len(str(caught.value).splitlines()) == 2


def test_it_cannot_be_written_everywhere(tmp_path):
    with pytest.raises(LmiaError, match="cannot be written"):
        write(tmp_path / "nowhere" / "one.parquet", Membership(KEYS, INSIDE, REPEATS))
    (tmp_path / "taken.parquet").mkdir()
    with pytest.raises(LmiaError, match="cannot be written"):
        write(tmp_path / "taken.parquet", Membership(KEYS, INSIDE, REPEATS))
    assert [one.name for one in tmp_path.iterdir()] == ["taken.parquet"]


def test_lengths_must_agree():
    with pytest.raises(LmiaError, match="one of each"):
        Membership(["a"], np.array([True, False]), np.array([1, 0], np.int32))


def test_an_empty_manifest_is_read_as_such(tmp_path):
    path = Path(tmp_path, "none.parquet")
    assert len(read(write(path, Membership([], np.zeros(0, bool), np.zeros(0, np.int32))))) == 0
