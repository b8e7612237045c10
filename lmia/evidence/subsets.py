"""Subsets drawn at random, eight rows to a byte, and sums over them: 10,000 subsets of 200,000 rows within seconds.

A byte is the choice among eight rows that stand together. What each of its 256 values sums to is worked out once for
all subsets, so that a subset costs one look-up for eight rows (the method of the four Russians: Arlazarov, Dinic,
Kronrod and Faradzev, Soviet Mathematics Doklady 11, 1970). Nothing is approximated: every subset of the size asked for
is as likely as any other, and sums are float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Packed = NDArray[np.uint8]

_VALUES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)
"""(256, 8): which of eight rows each value of a byte picks, the first row by the highest bit."""
_BLOCKS = 256
"""Bytes whose tables are made at once. Two columns share a complex number: one look-up finds both sums."""


def picked(rows: int, times: int, rate: int, generator: np.random.Generator) -> Packed:
    """Pick each row on its own with the chance `rate`/256, `times` times over.

    A chance of so many 256ths is made of random bits: from its lowest binary digit upwards, a bit drawn is joined to
    what is there by `or` where the digit is 1, by `and` where it is 0, which halves the chance and adds the digit. For
    a half that is one bit a row.

    Args:
        rows: k.
        times: b.
        rate: from 1 to 255.
        generator: of the bits.

    Returns:
        (ceil(k/8), b) bytes, a column a choice; bits beyond the last row are 0.

    Raises:
        ValueError: the rate is out of range.

    Example:
        >>> picked(12, 3, 128, np.random.default_rng(0)).shape
        (2, 3)
    """
    if not 1 <= rate <= 255:
        raise ValueError(f"a rate of {rate} 256ths is out of range: from 1 to 255")
    width = -(-rows // 8)
    digits = f"{rate:08b}".rstrip("0")
    found = _bits(width * times, generator)  # the lowest digit that is 1: drawn `or` nothing
    for digit in reversed(digits[:-1]):
        (np.bitwise_or if digit == "1" else np.bitwise_and)(found, _bits(width * times, generator), out=found)
    packed = found.reshape(width, times)
    packed[-1] &= 256 - (1 << (8 * width - rows))
    return packed


def _bits(count: int, generator: np.random.Generator) -> Packed:
    words = generator.integers(0, 2**64 - 1, -(-count // 8), np.uint64, endpoint=True)
    return words.view(np.uint8)[:count]


def subsets(rows: int, size: int, times: int, generator: np.random.Generator) -> Packed:
    """Draw subsets of exactly `size` of the rows, every one as likely as any other.

    Each row is picked on its own at about the right rate; then so many are picked from the rest, or let go, as are
    missing or too many. Given their number, rows picked on their own are a subset drawn evenly, and so is what is
    drawn evenly from it or added to it: the rate matters for speed alone.

    Args:
        rows: k.
        size: of each subset, from 0 to k.
        times: b.
        generator: of everything.

    Returns:
        (ceil(k/8), b) bytes, a column a subset.

    Raises:
        ValueError: the size is out of range.

    Example:
        >>> np.bitwise_count(subsets(20, 5, 3, np.random.default_rng(0))).sum(0).tolist()
        [5, 5, 5]
    """
    if not 0 <= size <= rows or rows < 1:
        raise ValueError(f"there is no subset of {size} out of {rows} rows")
    packed = picked(rows, times, min(255, max(1, round(256 * size / rows))), generator)
    surplus = np.bitwise_count(packed).sum(0, dtype=np.int64) - size
    for one, extra in zip(packed.T, surplus.tolist(), strict=True):
        if extra:
            there = size + extra if extra > 0 else rows - size - extra
            wrong = _drawn(one, rows, extra > 0, abs(extra), there, generator)
            np.bitwise_xor.at(one, wrong >> 3, (128 >> (wrong & 7)).astype(np.uint8))
    return packed


def _drawn(
    one: Packed, rows: int, inside: bool, count: int, there: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `count` of the rows inside a subset, or outside; `there` are that many.

    Rows are tried in random order until enough are of the right kind; where few are, or the tries were too few, all of
    that kind are listed instead. Neither prefers a row.
    """
    tries = int(1.2 * (count + 4 * count**0.5 + 4) * rows / there)
    if tries < rows // 4:
        tried = generator.choice(rows, tries, replace=False)
        right: NDArray[np.int64] = tried[(one[tried >> 3] >> (7 - (tried & 7)) & 1) == inside]
        if len(right) >= count:
            return right[:count]
    bits = np.unpackbits(np.ascontiguousarray(one), count=rows).view(np.bool_)
    chosen: NDArray[np.int64] = generator.choice(np.flatnonzero(bits == inside), count, replace=False, shuffle=False)
    return chosen


def sums(packed: Packed, table: Floats) -> Floats:
    """Sum the rows of a table that each subset picks.

    Args:
        packed: (ceil(k/8), b) subsets.
        table: (k, c) what to sum.

    Returns:
        (b, c).

    Raises:
        ValueError: the subsets are of another number of rows.

    Example:
        >>> sums(np.array([[0b10100000, 0b11100000]], np.uint8), np.array([[1.0], [2.0], [4.0]])).tolist()
        [[5.0], [7.0]]
    """
    rows, columns = table.shape
    width, times = packed.shape
    if width != -(-rows // 8):
        raise ValueError(f"subsets of {width} bytes are not of {rows} rows")
    twos = -(-columns // 2)
    padded = np.zeros((width, 8, twos, 2))
    padded.reshape(8 * width, 2 * twos)[:rows, :columns] = table
    found = np.zeros((twos, times), np.complex128)
    for two in range(twos):
        busy = np.flatnonzero(padded[:, :, two].any((1, 2)))  # what is 0 all over needs no looking up
        for blocks in np.split(busy, range(_BLOCKS, len(busy), _BLOCKS)):
            values = (_VALUES @ padded[blocks, :, two]).view(np.complex128)[..., 0]  # (blocks, 256)
            for code, value in zip(packed[blocks], values, strict=True):
                found[two] += value.take(code)
    parts = found.view(np.float64).reshape(twos, times, 2)
    return parts.transpose(1, 0, 2).reshape(times, 2 * twos)[:, :columns]
