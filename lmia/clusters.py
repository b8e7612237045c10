"""Pairs that hang together: copies of one picture, and what a user names (shoot, photographer, host)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lmia.collection.columns import read_columns, words
from lmia.errors import LmiaError
from lmia.evidence.duplicates import Copies, copies, groups, numbered

HOST = "host"
"""The one column that needs no file: where a pair was published."""


def copies_of(rows: pa.Table) -> Copies:
    """Group rows that are the same file, the same url, or the same caption on a picture that looks the same.

    Args:
        rows: with columns `sha256`, `url`, `phash` and `caption`.

    Example:
        >>> table = pa.table({"sha256": ["a", "b", "a"], "url": ["", "", ""], "phash": ["1", "2", "3"],
        ...                   "caption": ["x", "x", "y"]})
        >>> copies_of(table).groups.tolist()
        [0, 1, 0]
    """
    return copies(*(rows[name].to_pylist() for name in ("sha256", "url", "phash", "caption")))


def clustered(
    same: NDArray[np.int64], rows: pa.Table, cluster_by: str | None, columns: Path | None
) -> NDArray[np.int64]:
    """Join groups of copies into the clusters of a column.

    Args:
        same: `(n,)` groups of copies.
        rows: with columns `key` and `url`, n of them.
        cluster_by: name of the column; None leaves the groups as they are.
        columns: a CSV or parquet file with `key` and that column; not needed for `host`.

    Raises:
        LmiaError: the column is nowhere, or a key has no value there.

    Example:
        >>> table = pa.table({"key": ["a", "b", "c"], "url": ["http://x.org/1", "http://x.org/2", ""]})
        >>> clustered(np.arange(3), table, "host", None).tolist()
        [0, 0, 1]
    """
    if cluster_by is None:
        return same
    if columns is not None:
        keys = rows["key"].to_pylist()
        named: Sequence[str] = words(keys, "the audit", read_columns(columns, [cluster_by]), cluster_by).tolist()
    elif cluster_by == HOST:
        hosts = [_host(url) for url in rows["url"].to_pylist()]
        named = [host or f" {i}" for i, host in enumerate(hosts)]  # pairs of no known host stand alone
    else:
        raise LmiaError(
            f"The column '{cluster_by}' to cluster by is in no file.",
            f"Give --columns FILE, a CSV or parquet file with `key` and `{cluster_by}`; only `{HOST}` needs none.",
        )
    return groups(len(same), [_links(same), _links(numbered(named))])


def _links(names: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Link every row to the first row of its name."""
    _, first, place = np.unique(names, return_index=True, return_inverse=True)
    return first[place].astype(np.int64), np.arange(len(names), dtype=np.int64)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:  # a bracket that does not close
        return ""
