"""The one reader of files that a user brings: keys stay what they are, whatever they look like."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmia.sheet import read_sheet


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
