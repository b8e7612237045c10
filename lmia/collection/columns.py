"""Columns beside the pairs: what belongs together, by key, from a table of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lmia.errors import LmiaError, nearest
from lmia.sheet import cells_of, read_sheet

Columns = Mapping[str, Mapping[str, str]]
"""By name of a column, what it holds for each key."""
LONGEST = 10_000
"""Letters of a word in such a column: all words of an array take as much room as the longest."""


def read_columns(file: Path, wanted: Sequence[str]) -> Columns:
    """Read the columns wanted, by key, from a CSV or parquet file with a column `key`.

    Raises:
        LmiaError: the file cannot be read, a column is missing, a key stands there twice with other values, or a value
            is longer than any word.

    Example:
        >>> read_columns(Path("nowhere.csv"), ["shoot"])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The columns 'nowhere.csv' cannot be read: ...
    """
    table = _read(file)
    found: dict[str, dict[str, str]] = {}
    for name in ("key", *wanted):
        if table.column_names.count(name) != 1:
            raise LmiaError(f"'{file}' has no one column '{name}'.", nearest(name, table.column_names))
    keys = _words(file, table, "key")
    for name in wanted:
        found[name] = {}
        for key, word in zip(keys, _words(file, table, name), strict=True):
            if len(word) > LONGEST:
                problem = f"'{file}' holds a '{name}' of {len(word):,} letters, for '{key:.80}'."
                raise LmiaError(problem, f"Give words of at most {LONGEST:,} letters.")
            if found[name].setdefault(key, word) != word:
                raise LmiaError(f"'{file}' holds the key '{key}' twice, with other values.", "Keep one row a key.")
    return found


def _read(file: Path) -> pa.Table:
    try:
        return read_sheet(file)
    except ValueError as error:
        raise _unreadable(file, error) from error


def _words(file: Path, table: pa.Table, name: str) -> list[str]:
    try:
        return ["" if cell is None else str(cell) for cell in cells_of(table, name)]
    except ValueError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: ValueError) -> LmiaError:
    return LmiaError(f"The columns '{file}' cannot be read: {error}.", "Give a whole CSV or parquet file.")


def words(keys: Sequence[str], side: str, columns: Columns, name: str) -> NDArray[np.str_]:
    """Return what a column holds for each of n keys, `(n,)`.

    Args:
        keys: n keys.
        side: whose they are, for the message.
        columns: as read.
        name: which of them.

    Raises:
        LmiaError: a key has no value there.

    Example:
        >>> words(["b", "a"], "mine", {"shoot": {"a": "1", "b": "2"}}, "shoot").tolist()
        ['2', '1']
    """
    lacking = [key for key in keys if not columns[name].get(key)]
    if lacking:
        raise LmiaError(
            f"{len(lacking):,} of {len(keys):,} pairs of {side} have no '{name}', such as '{lacking[0]}'.",
            "Give every key a value in --columns.",
        )
    return np.array([columns[name][key] for key in keys])
