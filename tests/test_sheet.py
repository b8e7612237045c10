"""The one reader of files that a user brings: keys stay what they are, whatever they look like."""

import contextlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmia.sheet import cells_of, read_sheet


def test_a_csv_is_text_and_an_empty_field_is_none(tmp_path):
    (tmp_path / "a.csv").write_text("key,n\n007,1\n1e3,\nnull,NA\n")
    assert read_sheet(tmp_path / "a.csv").to_pydict() == {"key": ["007", "1e3", "null"], "n": ["1", None, "NA"]}


def test_a_parquet_file_keeps_its_types(tmp_path):
    table = pa.table({"key": ["a"], "n": [1]})
    pq.write_table(table, tmp_path / "a.PARQUET")
    assert read_sheet(tmp_path / "a.PARQUET").equals(table)


@pytest.mark.parametrize(("name", "content"), [("a.csv", b""), ("a.csv", b"a,b\n1\n"), ("a.parquet", b"no")])
def test_what_cannot_be_read_is_said_in_a_line(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"^[^\n]+[^.\n]$"):
        read_sheet(tmp_path / name)


def test_text_of_a_parquet_file_that_is_not_utf8_is_said_at_once(tmp_path):
    odd = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    pq.write_table(pa.table({"key": odd}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"(?i)utf8"):
        read_sheet(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "cell",
    [
        pa.array([2**62], pa.timestamp("s")),
        pa.array([1], pa.timestamp("s", tz="Mars/Phobos")),
        pa.array([1], pa.duration("ns")),
        pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
    ],
)
def test_a_cell_beyond_python_is_a_value_or_a_sentence(cell):
    with contextlib.suppress(ValueError):
        assert len(cells_of(pa.table({"when": cell}), "when")) == 1
