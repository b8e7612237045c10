"""The manifest of a training: which pairs were drawn into it, and how often an epoch showed each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lmia.aside import aside
from lmia.errors import LmiaError, nearest
from lmia.sheet import read_sheet

NAME = "membership.parquet"
COLUMNS = ("key", "in", "repeats")
_SCHEMA = pa.schema([("key", pa.string()), ("in", pa.bool_()), ("repeats", pa.int32())])
_YES, _NO = ("1", "true"), ("0", "false")
_FORM = "Give a CSV or parquet file with key, in (1/0 or true/false) and repeats (0 where not in)."


@dataclass(frozen=True)
class Membership:
    """Who was in a training, pair by pair.

    Args:
        keys: n keys of the pairs, unique.
        inside: `(n,)` whether the pair was in.
        repeats: `(n,)` int32, how often an epoch showed it; 0 exactly where it was not in.

    Raises:
        LmiaError: lengths differ, a key is there twice or empty, or `repeats` does not fit `inside`.

    Example:
        >>> int(Membership(["a", "b"], np.array([True, False]), np.array([8, 0], np.int32)).inside.sum())
        1
        >>> Membership(["a", "a"], np.array([True, False]), np.array([8, 0], np.int32))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 1 key stands more than once in the manifest, such as 'a'.
        Keep one row a key.
    """

    keys: Sequence[str]
    inside: NDArray[np.bool_]
    repeats: NDArray[np.int32]

    def __post_init__(self) -> None:
        n = len(self.keys)
        if self.inside.shape != (n,) or self.repeats.shape != (n,):
            problem = f"The manifest has {n} keys, {self.inside.shape} of in and {self.repeats.shape} of repeats."
            raise LmiaError(problem, "Give one of each a pair.")
        if twice := _twice(self.keys):
            problem = f"{_times(len(twice), 'key stands', 'keys stand')} more than once in the manifest, such as '{twice[0]}'."
            raise LmiaError(problem, "Keep one row a key.")
        wrong = np.flatnonzero((self.repeats > 0) != self.inside)
        if len(wrong):
            at = int(wrong[0])
            said = f"'{self.keys[at]}' (in {bool(self.inside[at])}, repeats {int(self.repeats[at])})"
            problem = f"{_times(len(wrong), 'pair', 'pairs')} of the manifest cannot be as written, such as {said}."
            raise LmiaError(problem, "Let repeats be 1 or more where a pair is in, and 0 where it is not.")

    def __len__(self) -> int:
        return len(self.keys)


def write(path: Path, membership: Membership) -> Path:
    """Write a manifest as parquet, whole or not at all; equal ones are equal bytes. Rows keep their order.

    Args:
        path: of the file; its folder must be there, an older file is replaced.
        membership: what to write.

    Raises:
        LmiaError: the file cannot be written; nothing is left behind.

    Example:
        >>> import tempfile
        >>> known = Membership(["a", "b"], np.array([True, False]), np.array([8, 0], np.int32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read(write(Path(folder, NAME), known)).repeats.tolist()
        [8, 0]
    """
    arrays = [pa.array(list(membership.keys), pa.string()), pa.array(membership.inside), pa.array(membership.repeats)]
    table = pa.table(arrays, schema=_SCHEMA)
    with aside(path, "Make room on the disk, or name another folder.") as file:
        pq.write_table(table, file, compression="zstd", store_schema=False)
    return path


def read(path: Path) -> Membership:
    """Read a manifest, CSV or parquet, and check it: `key`, `in`, `repeats`; other columns are left alone.

    Raises:
        LmiaError: it cannot be read, lacks a column, or holds what a manifest cannot.

    Example:
        >>> read(Path("nowhere.parquet"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The manifest 'nowhere.parquet' cannot be read: ...
    """
    table = _table(path)
    for name in COLUMNS:
        if table.column_names.count(name) != 1:
            raise LmiaError(f"The manifest '{path}' has no one column '{name}'.", nearest(name, table.column_names))
    for name in COLUMNS:
        if n := table[name].null_count:
            problem = f"The manifest '{path}' has no '{name}' in {_times(n, 'row', 'rows')}."
            raise LmiaError(problem, "Give every pair all three, or leave it out.")
    keys: list[str] = _cast(path, table, "key", pa.string()).to_pylist()
    try:
        return Membership(keys, _inside(path, table), _cast(path, table, "repeats", pa.int32()).to_numpy())
    except LmiaError as error:
        raise LmiaError(error.problem.replace("the manifest", f"the manifest '{path}'"), error.remedy) from error


def _table(path: Path) -> pa.Table:
    try:
        return read_sheet(path)
    except ValueError as error:
        raise LmiaError(f"The manifest '{path}' cannot be read: {error}.", _FORM) from error


def _cast(path: Path, table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return table[name].cast(kind)
    except pa.ArrowException as error:
        said = " ".join(str(error).split())[:100].rstrip(".")
        raise LmiaError(f"The column '{name}' of the manifest '{path}' cannot be used: {said}.", _FORM) from error


def _inside(path: Path, table: pa.Table) -> NDArray[np.bool_]:
    """Read yes and no, as a parquet file's truth or as a word of a CSV."""
    words = pc.utf8_lower(_cast(path, table, "in", pa.string()))
    place = pc.index_in(words, pa.array([*_YES, *_NO]))
    if place.null_count:
        odd = next(word for word, at in zip(words.to_pylist(), place.to_pylist(), strict=True) if at is None)
        raise LmiaError(f"The manifest '{path}' says '{odd}' in its column 'in'.", "Write 1 or true, 0 or false.")
    found: NDArray[np.bool_] = place.to_numpy() < len(_YES)
    return found


def _twice(keys: Sequence[str]) -> list[str]:
    """Find the keys that stand there more than once, in order."""
    return [] if len(set(keys)) == len(keys) else [key for key, n in Counter(keys).items() if n > 1]


def _times(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
