"""Columns that a user brings to an audit, beside what is known of every pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from lmia.collection.columns import read_columns, words
from lmia.errors import LmiaError

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
