"""Embeddings that lie near each other by cosine: all of them, each with each; most of them, by an index; or the nearest."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from lmia.errors import LmiaError
from lmia.evidence.links import Links, Rows

Features = NDArray[np.float32] | NDArray[np.float16]

THRESHOLD = 0.94
"""Cosine from which two pictures count as near copies: where clip-retrieval, whose index this is often compared with, drops
an answer as a repetition (`get_non_uniques` in its clip_back.py). Models differ, and so do their cosines."""
MOST = 20_000_000
"""More links than this are a threshold that is too low, not a finding."""
PROBES = 32
"""Cells of an index that are searched for each row."""
_A_CELL = 39  # rows a cell that k-means wants, at least; with fewer faiss warns
_SLACK = 1e-6  # a row's cosine with itself may round below 1


def near_embeddings(
    a: Features,
    b: Features | None = None,
    threshold: float = 1.0,
    candidates: Rows | None = None,
    block: int = 1024,
    most: int = MOST,
) -> Links:
    """Find the pairs whose cosine is at least `threshold`: all of them, or of given candidates only.

    Args:
        a: `(n, d)` features, any norms; a row of zeros is near nothing.
        b: `(m, d)` features; `a` itself unless given, and then each pair of its rows is found once, left < right.
        threshold: above 0, at most 1.
        candidates: `(k, 2)` row numbers to compare; every pair unless given, in blocks: n * m * d multiplications.
        block: rows a block.
        most: links that are held.

    Raises:
        ValueError: the threshold is out of range, the widths differ, or more than `most` pairs are as near as that.

    Example:
        >>> found = near_embeddings(np.array([[1, 0], [0, 1], [2, 0]], np.float32), threshold=0.9)
        >>> found.left.tolist(), found.right.tolist()
        ([0], [2])
    """
    other = a if b is None else b
    _check(a, other, threshold)
    found = _Found(most)
    if candidates is not None:
        for start in range(0, len(candidates), block):
            left, right = candidates[start : start + block].T
            value = np.einsum("ij,ij->i", _unit(a[left]), _unit(other[right]))
            found.add(left, right, value, value >= threshold - _SLACK)
        return found.links()
    for i in range(0, len(a), block):
        part = _unit(a[i : i + block])
        for j in range(0 if b is not None else i, len(other), block):
            value = part @ _unit(other[j : j + block]).T
            left, right = np.nonzero(value >= threshold - _SLACK)
            near = np.ones(len(left), np.bool_) if b is not None else left + i < right + j
            found.add(left + i, right + j, value[left, right], near)
    return found.links()


def near_embeddings_by_index(
    a: Features, threshold: float, probes: int = PROBES, block: int = 4096, most: int = MOST
) -> Links:
    """Find most pairs of rows whose cosine is at least `threshold`, by an index of faiss (the extra `neighbours`).

    The rows are sorted into about 4 * sqrt(n) cells around centres of their own, and each is compared with those of the
    `probes` cells nearest to it: n * sqrt(n) * d multiplications, about. A pair that is found has the cosine it is said
    to have; a pair that lies across cells may be missed.

    Args:
        a: `(n, d)` features, any norms; a row of zeros is near nothing.
        threshold: above 0, at most 1.
        probes: cells searched a row; as many as there are cells miss nothing.
        block: rows searched at once.
        most: links that are held.

    Returns:
        each pair once, left < right.

    Raises:
        LmiaError: faiss is not installed.
        ValueError: as `near_embeddings`.
    """
    _check(a, a, threshold)
    faiss = _faiss()
    unit = _unit(a)
    rows = np.flatnonzero(unit.any(axis=1))
    if (cells := min(int(4 * len(rows) ** 0.5), len(rows) // _A_CELL)) < 2:
        return near_embeddings(a, None, threshold, most=most)
    found = _Found(most)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(a.shape[1]), a.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.spherical, index.nprobe = True, probes
    index.train(unit[rows])
    index.add(unit[rows])
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        limits, value, right = index.range_search(unit[part], threshold - _SLACK)
        left = np.repeat(part, np.diff(limits.astype(np.int64)))
        found.add(left, rows[right], value, left < rows[right])
    return found.links()


def nearest_embeddings(a: Features, blocks: Iterable[Features]) -> tuple[NDArray[np.float64], Rows]:
    """Find for each row the nearest of many that come in blocks, of which one is held at a time.

    Args:
        a: `(n, d)` features, any norms; a row of zeros is as near as 0 to all.
        blocks: `(m, d)` features each; rows are numbered on from block to block.

    Returns:
        `(n,)` cosines, -inf where there are no rows, and `(n,)` row numbers, the first of equals, -1 where none.

    Raises:
        ValueError: a block is of another width.

    Example:
        >>> value, row = nearest_embeddings(np.eye(2, dtype=np.float32), [np.array([[3, 0]], np.float32)])
        >>> value.tolist(), row.tolist()
        ([1.0, 0.0], [0, 0])
    """
    value, row = np.full(len(a), -np.inf), np.full(len(a), -1, np.int64)
    unit, before = _unit(a), 0
    for block in blocks:
        _check(a, block, 1.0)
        theirs = _unit(block)
        for start in range(0, len(a) if len(block) else 0, 1024):
            cosines = unit[start : start + 1024] @ theirs.T
            best = cosines.argmax(axis=1)
            its = cosines[np.arange(len(best)), best].astype(np.float64)
            nearer = np.flatnonzero(its > value[start : start + 1024])
            value[start + nearer], row[start + nearer] = its[nearer], best[nearer] + before
        before += len(block)
    return value, row


class _Found:
    """Links as they are found, counted so that a careless threshold does not fill the memory."""

    def __init__(self, most: int) -> None:
        self.most, self.count = most, 0
        self.parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]

    def add(self, left: Rows, right: Rows, value: Features, near: NDArray[np.bool_]) -> None:
        self.count += int(near.sum())
        if self.count > self.most:
            raise ValueError(f"More than {self.most:,} pairs are as near as that: raise the threshold.")
        self.parts.append((left[near], right[near], value[near].astype(np.float64)))

    def links(self) -> Links:
        return Links(*(np.concatenate(one) for one in zip(*self.parts, strict=True)))


def _check(a: Features, b: Features, threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ValueError(f"A threshold of {threshold} is out of range: give a cosine above 0 and at most 1.")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"Features must be (n, d) and (m, d), got {a.shape} and {b.shape}.")


def _unit(rows: Features) -> NDArray[np.float32]:
    wide = np.asarray(rows, np.float32)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return unit


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise LmiaError(
            "The approximate search needs faiss, which is not installed.", "pip install 'lmia[neighbours]'"
        ) from error
    found: ModuleType = faiss
    return found
