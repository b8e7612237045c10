"""A CSV or parquet file that a user brings: one way to read it, so that keys stay what they are."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq


def read_sheet(path: Path) -> pa.Table:
    """Read a CSV or parquet file; of a CSV everything as text, so that keys of digits keep their zeros, and no value as null.

    Raises:
        ValueError: it cannot be read; the message says why, in one line without a full stop.

    Example:
        >>> read_sheet(Path("nowhere.csv"))
        Traceback (most recent call last):
            ...
        ValueError: No such file or directory
    """
    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path)
            table.validate(full=True)  # text that is not UTF-8 would fail later, and elsewhere
            return table
        names = pa.csv.open_csv(path).schema.names
        text = {name: pa.string() for name in names}
        options = pa.csv.ConvertOptions(column_types=text, strings_can_be_null=True, null_values=[""])
        return pa.csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        known = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise ValueError(" ".join(known.split())[:200].rstrip(".")) from error


def cells_of(table: pa.Table, name: str) -> list[object]:
    """Return the cells of a column as Python has them, None where one is empty.

    Raises:
        ValueError: one is beyond what Python has, such as a date in the year 10,000; the message names the column.

    Example:
        >>> cells_of(pa.table({"key": ["a", None]}), "key")
        ['a', None]
    """
    try:
        found: list[object] = table[name].to_pylist()
    except Exception as error:  # every type of pyarrow's has ways of its own to fail here
        said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise ValueError(f"a cell of its column '{name}' is beyond Python: {said}") from error
    return found
