"""One of many copies."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lmia import Defence
from lmia_defences.bounds import bounded

_TILE = 2**22
"""Distances held at once, in numbers: 32 MB."""

Rows = NDArray[np.int64]


class Dedup(Defence):
    """Trains on one of several pairs that are copies of one another, so that none is shown more often than others.

    What is known: of dropping copies from CLIP's training we know no figure against attacks. It costs pairs, and a pass over
    hashes that is short beside a training.

    In the pairs' own order a pair is left out if an earlier one that was kept has a picture whose perceptual hash is near,
    or the same caption, case and white space aside.

    Args:
        bits: in how many of 64 bits two hashes of one picture may differ; 6 is what `lmia data check` takes.
        by_caption: whether an equal caption makes a copy, whatever the picture: right for captions that are somebody's
            own words, wrong for those from a few phrases.

    Raises:
        LmiaError: bits are not from 0 to 15.

    Example:
        >>> hashes = ["00000000000000ff", "00000000000000fe", "ffffffff00000000"]
        >>> Dedup().keep(["a", "b", "c"], ["one", "two", "three"], hashes).tolist()
        [True, False, True]
    """

    def __init__(self, bits: int = 6, by_caption: bool = True) -> None:
        bounded(self, "bits", bits, 0, 15)
        self.bits, self.by_caption = bits, by_caption

    def keep(self, keys: Sequence[str], captions: Sequence[str], phash: Sequence[str]) -> NDArray[np.bool_]:
        """Keep the first of each kind."""
        hashes = np.array([int(one, 16) for one in phash], np.uint64)
        said = list(map(_plain, captions)) if self.by_caption else list(keys)
        alike, which = np.unique(hashes, return_inverse=True)
        near: dict[int, set[int]] = {}
        for left, right in _near(alike, self.bits):
            near.setdefault(left, set()).add(right)
            near.setdefault(right, set()).add(left)
        kept = np.zeros(len(keys), dtype=bool)
        seen: set[str] = set()
        taken: set[int] = set()  # numbers of hashes
        for row, (look, words) in enumerate(zip(which.tolist(), said, strict=True)):
            if look in taken or words in seen or not taken.isdisjoint(near.get(look, ())):
                continue
            kept[row] = True
            taken.add(look)
            seen.add(words)
        return kept


def _plain(caption: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", caption).casefold().split())


def _near(hashes: NDArray[np.uint64], bits: int) -> Iterator[tuple[int, int]]:
    """Yield the places of all couples of distinct hashes that differ in at most `bits` bits, some more than once.

    Cut into bits + 1 pieces, two such hashes agree in at least one: so only those that agree in a piece are compared.
    """
    edges = [round(64 * i / (bits + 1)) for i in range(bits + 2)]
    for low, high in pairwise(edges):
        piece = (hashes >> np.uint64(low)) & np.uint64(2 ** (high - low) - 1)
        order = np.argsort(piece, kind="stable")
        starts = np.flatnonzero(np.diff(piece[order])) + 1
        for group in np.split(order, starts):
            if len(group) > 1:
                yield from _couples(hashes, group, bits)


def _couples(hashes: NDArray[np.uint64], group: Rows, bits: int) -> Iterator[tuple[int, int]]:
    mine = hashes[group]
    size = max(1, _TILE // len(group))
    for start in range(0, len(group), size):
        far = np.bitwise_count(mine[start : start + size, None] ^ mine[None])
        left, right = np.nonzero(far <= bits)
        left += start
        apart = left < right
        yield from zip(group[left[apart]].tolist(), group[right[apart]].tolist(), strict=True)
