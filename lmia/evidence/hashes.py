"""Perceptual hashes that differ in few bits, found without comparing each with each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lmia.evidence.links import Links, Rows

Hashes = NDArray[np.uint64]

RADIUS = 6
"""So many of 64 bits may differ between the hashes of a picture and of its copy."""
_BANDS, _BITS = 4, 16
_AT_ONCE = 1 << 21
_HASH = re.compile("[0-9a-fA-F]{16}")


def is_hash(word: str) -> bool:
    """Say whether a word is a perceptual hash: 16 hexadecimal digits.

    Example:
        >>> is_hash("00000000000000ff"), is_hash("ff")
        (True, False)
    """
    return _HASH.fullmatch(word) is not None


def as_hashes(words: Sequence[str]) -> Hashes:
    """Turn perceptual hashes of 16 hexadecimal digits into `(n,)` numbers.

    Raises:
        ValueError: a word is no such hash.

    Example:
        >>> as_hashes(["00000000000000ff"]).tolist()
        [255]
    """
    for word in words:
        if not is_hash(word):
            raise ValueError(f"A perceptual hash has 16 hexadecimal digits, got {word!r:.40}.")
    return np.array([int(word, 16) for word in words], np.uint64)


def near_hashes(hashes_a: Hashes, hashes_b: Hashes, radius: int = RADIUS) -> Links:
    """Find all pairs of distinct hashes that differ in at most `radius` bits (Norouzi et al., 2012, multi-index hashing).

    Equal hashes are compared once: a placeholder on thousands of rows costs as much as one row. Of 4 bands of 16 bits,
    one differs in at most `radius // 4`; rows are looked up by that band, and then compared whole, so none is missed.

    Args:
        hashes_a: `(n,)` uint64.
        hashes_b: `(m,)` uint64.
        radius: 0 to 15.

    Returns:
        links between the *first* row of each distinct hash; `np.unique(hashes, return_inverse=True)` leads to the rest.

    Raises:
        ValueError: the radius is out of range.

    Example:
        >>> found = near_hashes(np.array([0, 255], np.uint64), np.array([3, 3], np.uint64))
        >>> found.left.tolist(), found.right.tolist(), found.value.tolist()
        ([0, 1], [0, 0], [2.0, 6.0])
    """
    if not 0 <= radius <= 15:
        raise ValueError(f"A radius of {radius} bits is out of range: give 0 to 15.")
    a, rows_a = np.unique(np.asarray(hashes_a, np.uint64), return_index=True)
    b, rows_b = np.unique(np.asarray(hashes_b, np.uint64), return_index=True)
    found = [np.zeros(0, np.int64)]
    for band in range(_BANDS):
        for left, right in _candidates(_band(a, band), _band(b, band), radius // _BANDS):
            near = np.bitwise_count(a[left] ^ b[right]) <= radius
            found.append(left[near] * len(b) + right[near])
    pairs = np.unique(np.concatenate(found))
    left, right = np.divmod(pairs, max(1, len(b)))
    value = np.bitwise_count(a[left] ^ b[right]).astype(np.float64)
    return Links(rows_a[left].astype(np.int64), rows_b[right].astype(np.int64), value)


def first_of_each(phash: Sequence[str], radius: int = RADIUS, words: Sequence[str] | None = None) -> list[int]:
    """Choose rows so that no two are near copies: in their own order, each that is no copy of one already chosen.

    Args:
        phash: n perceptual hashes of 16 hexadecimal digits.
        radius: so many bits may differ between copies, 0 to 15.
        words: n captions, of which an equal one makes a copy too; None looks at pictures alone.

    Returns:
        the rows chosen, ascending.

    Example:
        >>> first_of_each(["0" * 16, "0" * 15 + "1", "0" * 15 + "f"], radius=1)
        [0, 2]
        >>> first_of_each(["0" * 16, "f" * 16], words=["a dog", "a dog"])
        [0]
    """
    hashes = as_hashes(phash)
    first, which = np.unique(hashes, return_index=True, return_inverse=True)[1:]
    links, number = near_hashes(hashes, hashes, radius), dict(zip(first.tolist(), range(len(first)), strict=True))
    near: dict[int, set[int]] = {}
    for left, right in zip(links.left.tolist(), links.right.tolist(), strict=True):
        near.setdefault(number[left], set()).add(number[right])  # both ways, and itself
    chosen: list[int] = []
    looks: set[int] = set()
    said: set[str] = set()
    for row, look in enumerate(which.tolist()):
        if not looks.isdisjoint(near[look]) or (words is not None and words[row] in said):
            continue
        chosen.append(row)
        looks.add(look)
        if words is not None:
            said.add(words[row])
    return chosen


def _band(hashes: Hashes, band: int) -> Rows:
    return ((hashes >> np.uint64(band * _BITS)) & np.uint64((1 << _BITS) - 1)).astype(np.int64)


def _candidates(a: Rows, b: Rows, flips: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs whose band differs in at most `flips` bits, a bounded number at once."""
    order = np.argsort(b, kind="stable")
    sizes = np.bincount(b, minlength=1 << _BITS)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    masks = [sum(1 << bit for bit in bits) for k in range(flips + 1) for bits in combinations(range(_BITS), k)]
    for mask in masks:
        count = sizes[a ^ mask]
        before = np.cumsum(count) - count
        rows = np.flatnonzero(count)
        cuts = np.flatnonzero(np.diff(before[rows] // _AT_ONCE)) + 1
        for part in np.split(rows, cuts) if len(rows) else []:
            many = count[part]
            left = np.repeat(part, many)
            within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
            yield left, order[starts[a[left] ^ mask] + within]
