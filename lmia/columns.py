"""Columns that a user brings to an audit, beside what is known of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lmia.collection.columns import read_columns, words
from lmia.errors import LmiaError
from lmia.listed import Listed
from lmia.source import Source

OWN = "slice: "
"""What stands before the name of a column that the user brought, in the roles' table."""


def with_columns(rows: pa.Table, names: Sequence[str], columns: Path | None) -> pa.Table:
    """Append the columns that the user wants slices of.

    Args:
        rows: with the column `key`, n of them.
        names: of the columns.
        columns: a CSV or parquet file with `key` and those columns.

    Raises:
        LmiaError: there is no file, a column is missing, or a key has no value there.

    Example:
        >>> with_columns(pa.table({"key": ["a"]}), [], None).column_names
        ['key']
    """
    if not names:
        return rows
    if columns is None:
        raise LmiaError(
            f"The columns to slice by are in no file: {', '.join(names)}.",
            "Give --columns FILE, a CSV or parquet file with `key` and these columns.",
        )
    keys, read = rows["key"].to_pylist(), read_columns(columns, names)
    for name in names:
        rows = rows.append_column(OWN + name, pa.array(words(keys, "the audit", read, name).tolist(), pa.string()))
    return rows


def times(
    keys: Sequence[str],
    members: NDArray[np.int64] | None,
    source: Source | None,
    name: str | None,
    columns: Path | None,
) -> NDArray[np.int32] | None:
    """Return how often training showed each pair, `(n,)`: by the manifest, or by a column; None where nothing says it.

    Args:
        keys: n keys.
        members: which of them are members; of the others the column says nothing, and they get 0.
        source: of the members.
        name: of the column.
        columns: a CSV or parquet file with `key` and that column.

    Raises:
        LmiaError: there is no file or no member, a member has no count, or one that is no whole number from 1 on; or the
            manifest says it already.

    Example:
        >>> times(["a"], np.array([0]), None, None, None) is None
        True
    """
    if name is None:
        return source.repeats(keys) if isinstance(source, Listed) else None
    if isinstance(source, Listed):
        raise LmiaError(
            f"How often members were shown is said twice: by '{name}', by the manifest.", "Leave out --repeated."
        )
    if columns is None:
        raise LmiaError(
            f"The column '{name}' is in no file.", "Give --columns FILE, a CSV or parquet file with `key` and it."
        )
    if members is None:
        raise LmiaError(f"There are no members to be shown '{name}' times.", "Leave out --repeated, or give --members.")
    mine = [keys[row] for row in members.tolist()]
    found = np.zeros(len(keys), np.int32)
    found[members] = [_times(name, key, word) for key, word in zip(mine, _words(mine, name, columns), strict=True)]
    return found


def _words(keys: Sequence[str], name: str, columns: Path) -> list[str]:
    found: list[str] = words(keys, "the members", read_columns(columns, [name]), name).tolist()
    return found


def _times(name: str, key: str, word: str) -> int:
    try:
        number = float(word)
    except ValueError:
        number = -1.0
    if not (1 <= number < 2**31 and number.is_integer()):
        raise LmiaError(f"'{key}' cannot have been shown '{word}' times ('{name}').", "Give whole numbers from 1 on.")
    return int(number)
