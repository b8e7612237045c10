"""Which rows are the same, or nearly: exact words, perceptual hashes, embeddings; in near-linear time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]

RADIUS = 6
"""So many of 64 bits may differ between the hashes of a picture and of its copy."""
_BANDS, _BITS = 4, 16
_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Links:
    """Rows that belong together.

    Args:
        left: `(m,)` row numbers in the first set.
        right: `(m,)` row numbers in the second.
        value: `(m,)` how near: differing bits, or a cosine.
    """

    left: Rows
    right: Rows
    value: NDArray[np.float64]


def normal_caption(caption: str) -> str:
    r"""Reduce a caption to what it says: NFKC, no case, no punctuation, single spaces.

    Example:
        >>> normal_caption("  A Dog,\n on a BEACH! ")
        'a dog on a beach'
    """
    text = unicodedata.normalize("NFKC", caption).casefold()
    return " ".join("".join(" " if unicodedata.category(c)[0] == "P" else c for c in text).split())


def normal_url(url: str) -> str:
    """Reduce an address: no scheme, user, leading `www.`, default port, fragment or closing slash; host in lower case.

    Path and query are kept as they are: case matters there, and a query may name the picture.

    Example:
        >>> normal_url("HTTPS://www.Example.org:443/a/B.jpg?w=1#top"), normal_url("http://example.org/")
        ('example.org/a/B.jpg?w=1', 'example.org')
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # such as a bracket that does not close
        return url.strip()
    if not parts.netloc:
        return url.strip()
    host = re.sub(r":(80|443)?$", "", parts.netloc.rpartition("@")[2].lower()).removeprefix("www.")
    return host + parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")


def same(words_a: Sequence[str], words_b: Sequence[str]) -> Rows:
    """Find for each word of the first set the first equal one in the second; the empty word equals nothing.

    Returns:
        `(n,)` row numbers in `words_b`; -1 where there is none.

    Example:
        >>> same(["x", "", "y"], ["y", "", "y"]).tolist()
        [-1, -1, 0]
    """
    first: dict[str, int] = {}
    for i, word in enumerate(words_b):
        if word:
            first.setdefault(word, i)
    return np.array([first.get(word, -1) for word in words_a], np.int64)


def as_hashes(words: Sequence[str]) -> Hashes:
    """Turn perceptual hashes of 16 hexadecimal digits into `(n,)` numbers.

    Raises:
        ValueError: a word is no such hash.

    Example:
        >>> as_hashes(["00000000000000ff"]).tolist()
        [255]
    """
    for word in words:
        if not re.fullmatch("[0-9a-fA-F]{16}", word):
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


def near_embeddings(
    a: NDArray[np.float32], b: NDArray[np.float32], threshold: float, candidates: Rows | None = None, block: int = 1024
) -> Links:
    """Find the pairs whose cosine is at least `threshold`: all of them, or of given candidates only.

    Args:
        a: `(n, d)` features, any norms; a row of zeros is near nothing.
        b: `(m, d)` features.
        threshold: above 0, at most 1.
        candidates: `(k, 2)` row numbers to compare; all n * m pairs unless given, in blocks.
        block: rows a block.

    Raises:
        ValueError: the threshold is out of range, or the widths differ.

    Example:
        >>> one = np.eye(2, dtype=np.float32)
        >>> found = near_embeddings(one, one, 0.9)
        >>> found.left.tolist(), found.right.tolist()
        ([0, 1], [0, 1])
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"A threshold of {threshold} is out of range: give a cosine above 0 and at most 1.")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"Features must be (n, d) and (m, d), got {a.shape} and {b.shape}.")
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    least = threshold - 1e-6  # a row's cosine with itself may round below 1
    if candidates is not None:
        for start in range(0, len(candidates), block):
            left, right = candidates[start : start + block].T
            value = np.einsum("ij,ij->i", _unit(a[left]), _unit(b[right]))
            near = value >= least
            found.append((left[near], right[near], value[near].astype(np.float64)))
    else:
        for i in range(0, len(a), block):
            part = _unit(a[i : i + block])
            for j in range(0, len(b), block):
                value = part @ _unit(b[j : j + block]).T
                left, right = np.nonzero(value >= least)
                found.append((left + i, right + j, value[left, right].astype(np.float64)))
    left, right, values = (np.concatenate(one) for one in zip(*found, strict=True))
    return Links(left, right, values)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = np.asarray(rows, np.float32)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return unit


def repeated(words: Sequence[str], least: int = 3) -> dict[str, int]:
    """Count the words on at least `least` rows, most frequent first: repeated images, and placeholders among them.

    Example:
        >>> repeated(["gone", "a", "gone", "gone", ""])
        {'gone': 3}
    """
    names, counts = np.unique(np.array([word for word in words if word], dtype=np.str_), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(names[i]): int(counts[i]) for i in order if counts[i] >= least}


def groups(n: int, links: Sequence[tuple[Rows, Rows]]) -> Rows:
    """Number the groups of rows that links join, directly or by way of others.

    Args:
        n: number of rows.
        links: pairs of `(m,)` row numbers, from one rule each.

    Returns:
        `(n,)` group numbers from 0.

    Example:
        >>> groups(4, [(np.array([0]), np.array([2]))]).tolist()
        [0, 1, 0, 2]
    """
    if n == 0:
        return np.zeros(0, np.int64)
    left = np.concatenate([np.zeros(0, np.int64), *(pair[0] for pair in links)])
    right = np.concatenate([np.zeros(0, np.int64), *(pair[1] for pair in links)])
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    numbers: Rows = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers
