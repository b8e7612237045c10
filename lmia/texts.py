"""Texts of a column: as Python's strings they would take ninety bytes more each, and most attacks read none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import pyarrow as pa

_PIECE = 8192


class Texts(Sequence[str]):
    """A sequence of n texts that nobody can change, made when they are asked for.

    Args:
        column: of texts.

    Example:
        >>> two = Texts(pa.chunked_array([["a dog", "a cat"]]))
        >>> two[0], list(two), two[1:] == ["a cat"]
        ('a dog', ['a dog', 'a cat'], True)
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, column: pa.ChunkedArray) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Texts: ...
    def __getitem__(self, at: int | slice) -> str | Texts:
        """Return one text, or those of a slice, without a copy where its step is 1."""
        return Texts(self.column[at]) if isinstance(at, slice) else self.column[at].as_py()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _PIECE):
            yield from self.column.slice(start, _PIECE).to_pylist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"Texts({list(self[:3])}{' ...' if len(self) > 3 else ''}, {len(self):,})"


def taken(texts: Sequence[str], rows: Sequence[int]) -> Sequence[str]:
    """Return the texts at m rows, in that order.

    Example:
        >>> taken(["a", "b", "c"], [2, 0])
        ['c', 'a']
    """
    return (
        Texts(texts.column.take(pa.array(rows, pa.int64()))) if isinstance(texts, Texts) else [texts[i] for i in rows]
    )


def joined(parts: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return the texts of several sequences one after the other.

    Example:
        >>> joined([["a"], ["b", "c"]])
        ['a', 'b', 'c']
    """
    columns = [chunk for part in parts if isinstance(part, Texts) for chunk in part.column.chunks]
    if all(isinstance(part, Texts) for part in parts):
        return Texts(pa.chunked_array(columns, pa.string()))
    return [text for part in parts for text in part]
