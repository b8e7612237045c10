"""The pairs that a training is to go without though they were drawn: a list of keys in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from lmia.errors import LmiaError, nearest
from lmia.sheet import read_sheet


def left_out(path: Path, keys: Sequence[str]) -> list[str]:
    """Read the keys that a training is to go without.

    Raises:
        LmiaError: the file cannot be read, has no column `key`, or names pairs that the source does not have.

    Example:
        >>> left_out(Path("no.csv"), [])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The keys to go without, 'no.csv', cannot be read: ...
    """
    try:
        table = read_sheet(path)
    except ValueError as error:
        problem = f"The keys to go without, '{path}', cannot be read: {error}."
        raise LmiaError(problem, "Give a CSV or parquet file with a column `key`.") from error
    if "key" not in table.column_names:
        raise LmiaError(f"'{path}' has no column 'key'.", nearest("key", table.column_names))
    named: list[str] = table["key"].cast(pa.string()).to_pylist()
    there = set(keys)
    if strange := [key for key in named if key not in there]:
        few = ", ".join(repr(key) for key in strange[:3])
        raise LmiaError(f"{len(strange)} keys of '{path}' are not in the source, such as {few}.", "Mend the file.")
    return named
