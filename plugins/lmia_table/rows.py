"""Rows of a table in parts: what a file format has to offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import lmia

Row = Mapping[str, object] | str
"""The cells by column; or why the row cannot be read."""


@dataclass(frozen=True)
class Part:
    """A part of a table.

    Args:
        place: where it begins: a byte in a text, a row group in a parquet file.
        first: the number of its first row, from 0.
        rows: how many rows it has.
    """

    place: int
    first: int
    rows: int


class Rows(Protocol):
    """What `Table` asks of a file format."""

    def columns(self) -> list[str]:
        """Name the columns."""

    def parts(self, column: str | None, note: Callable[[int, object], None]) -> list[Part]:
        """List the parts, telling `note` every row's number and its cell of `column` (if one is given)."""

    def rows(self, part: Part, columns: Sequence[str]) -> Iterator[Row]:
        """Yield a part's rows; other columns may be missing."""

    def witness(self, part: Part, columns: Sequence[str], image: str) -> Iterator[Row]:
        """Yield what changes whenever the rows do, and each row's path of an image in the column `image`."""


def damaged(path: Path, error: Exception) -> lmia.LmiaError:
    """Say that a table's file fails."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return lmia.LmiaError(f"The table '{path}' cannot be read: {reason}", "Check the file, or make it anew.")
