"""Clusters exchanged as wholes: sums by cluster, the studentised difference, and every arrangement or so many drawn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from lmia.evidence.bounds import tail
from lmia.evidence.estimate import Estimate
from lmia.evidence.subsets import picked, subsets, sums

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

TIE = 1e-9
"""Differences of sums below this, relative to the sums, are rounding: such arrangements count as ties."""
MANY = 5_000
"""From so many clusters on, arrangements are drawn eight clusters to a byte: it takes longer to begin and less a cluster."""
_CHUNK = 4_000_000
_PACKED = 200_000_000
"""Clusters times arrangements held at once, eight to a byte: 25 MB, which the allocator gives out again and again."""


def finite(scores: ArrayLike, name: str) -> Floats:
    """Return scores as `(n,)` float64.

    Raises:
        ValueError: they have another shape, are none, or one is not finite.

    Example:
        >>> finite([0.5], "mine")
        array([0.5])
    """
    found = np.asarray(scores, np.float64)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"{name} of shape {found.shape} is no list of scores")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} holds a score that is not finite, in row {int(np.argmin(np.isfinite(found)))}")
    return found


def labelled(names: ArrayLike | None, scores: Floats) -> Whole:
    """Number clusters from 0, `(n,)`; every row on its own where no names are given.

    Raises:
        ValueError: there are not as many names as scores.

    Example:
        >>> labelled(["b", "a", "b"], np.zeros(3)).tolist(), labelled(None, np.zeros(2)).tolist()
        ([1, 0, 1], [0, 1])
    """
    if names is None:
        return np.arange(len(scores), dtype=np.int64)
    if np.asarray(names).shape != scores.shape:
        raise ValueError(f"{np.asarray(names).shape} names of clusters for {scores.shape} scores")
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def by_cluster(sides: tuple[Floats, Floats], labels: list[Whole]) -> tuple[Floats, Floats]:
    """Sum scores by cluster, mine first, about their common mean: sums stay small, squares keep their digits.

    Args:
        sides: (n,) and (m,) scores.
        labels: (n,) and (m,) clusters, numbered from 0 on each side.

    Returns:
        (k,) sums and (k,) sizes of the clusters of both sides.

    Example:
        >>> sums, sizes = by_cluster((np.array([1.0, 2.0]), np.array([3.0])), [np.array([0, 0]), np.array([0])])
        >>> sums.tolist(), sizes.tolist()
        ([-1.0, 1.0], [2.0, 1.0])
    """
    centre = float(np.concatenate(sides).mean())
    least = 1e-13 * max(float(np.abs(side).max()) for side in sides)  # less is rounding, and no spread
    moved = [np.where(np.abs(side - centre) <= least, 0.0, side - centre) for side in sides]
    sums = [np.bincount(label, side) for label, side in zip(labels, moved, strict=True)]
    sizes = [np.bincount(label).astype(np.float64) for label in labels]
    return np.concatenate(sums), np.concatenate(sizes)


def studentised(part: Floats, whole: Floats, ours: int, k: int) -> tuple[Floats, Floats, Floats]:
    """Return statistic, difference of means and its standard error for b arrangements, as `permutation_p` defines them.

    Args:
        part: (b, 5) sums over one side's clusters of S, n, S^2, S n and n^2.
        whole: (5,) the same over both sides.
        ours: clusters on that side.
        k: clusters on both.

    Returns:
        each (b,); the statistic is 0 or infinite where there is no error.

    Example:
        >>> table = np.array([[s, 1.0, s * s, s, 1.0] for s in (-2.0, -1.0, 1.0, 2.0)])
        >>> [float(found[0].round(3)) for found in studentised(table[2:].sum(0)[None], table.sum(0), 2, 4)]
        [4.243, 3.0, 0.707]
    """
    gap, variance = np.zeros(len(part)), np.zeros(len(part))
    for side, count, sign in ((part, ours, 1), (whole - part, k - ours, -1)):
        s, n, ss, sn, nn = side.T
        mean = s / n
        gap += sign * mean
        variance += count / (count - 1) * np.maximum(ss - 2 * mean * sn + mean**2 * nn, 0) / n**2
    # rounding leaves a little variance where there is none; against the size of the scores that is nothing
    floor = 1e-24 * max(float(whole[2]), np.finfo(np.float64).tiny) / float(whole[1]) ** 2
    error = np.sqrt(np.where(variance <= floor, 0.0, variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(error > 0, gap / error, np.where(np.abs(gap) > 1e-12 * np.sqrt(whole[2]), gap * np.inf, 0.0))
    return np.nan_to_num(found, nan=0.0, posinf=np.inf, neginf=-np.inf), gap, error


def at_least(value: float) -> float:
    """Return the least statistic that counts as at least `value`: arrangements that differ by rounding are ties.

    Example:
        >>> at_least(0.3) <= 0.1 + 0.2 - 1e-15, at_least(float("inf"))
        (True, inf)
    """
    return value - TIE * max(1.0, abs(value)) if np.isfinite(value) else value


def welch(gap: float, error: float, table: Floats, ours: int) -> Estimate:
    """Return a difference of means with its 95 % interval, by Student's t with Welch's degrees of freedom over clusters.

    Args:
        gap: the difference.
        error: its standard error.
        table: (k, 5) as summed for `studentised`, mine first.
        ours: how many clusters are mine.

    Example:
        >>> table = np.array([[s, 1.0, s * s, s, 1.0] for s in (1.0, 2.0, -2.0, -1.0)])
        >>> print(welch(3.0, 0.5**0.5, table, 2))
        3.000 [-0.042, 6.042]
    """
    parts = []
    for side in (table[:ours], table[ours:]):
        s, n, ss, sn, nn = side.sum(0)
        count, mean = len(side), s / n
        parts.append((count / (count - 1) * max(ss - 2 * mean * sn + mean**2 * nn, 0.0) / n**2, count - 1))
    total = sum(variance for variance, _ in parts)
    spread = sum(variance**2 / freedom for variance, freedom in parts)
    reach = -float(stdtrit(total**2 / spread if spread > 0 else 1.0, tail(0.95))) * error
    return Estimate(gap, gap - reach, gap + reach, 0.95, "Welch t over clusters", len(table))


def rearranged(table: Floats, ours: int, times: int | None, seed: int = 0) -> Iterator[Floats]:
    """Yield sums (b, c) over the rows that are mine, for every choice of `ours` rows, or for so many drawn ones.

    Args:
        table: (k, c) what to sum, a row a cluster.
        ours: how many rows are mine.
        times: how many choices to draw, each as likely as any other; None for all there are.
        seed: of the choices drawn.

    Example:
        >>> [part.tolist() for part in rearranged(np.array([[1.0], [2.0], [4.0]]), 2, None)]
        [[[3.0], [5.0], [6.0]]]
    """
    k, columns = table.shape
    if times is None:
        places = np.array(list(combinations(range(k), ours)), np.int64)
        step = max(1, _CHUNK // (columns * ours))
        for at in range(0, len(places), step):
            yield table[places[at : at + step]].sum(1)
        return
    generator = np.random.default_rng(seed)
    step = max(1, (_CHUNK if k < MANY else _PACKED) // k)
    for at in range(0, times, step):
        few = min(step, times - at)
        if k >= MANY:
            yield sums(subsets(k, ours, few, generator), table)
            continue
        places = np.argpartition(generator.random((few, k)), ours - 1, axis=1)[:, :ours]
        inside = np.zeros((few, k))
        np.put_along_axis(inside, places, 1.0, axis=1)
        yield np.asarray(inside @ table, np.float64)


def arranged(sums: Floats, sizes: Floats, ours: int, times: int | None, seed: int = 0) -> Iterator[Floats]:
    """Yield what `studentised` takes, (b, 5) sums over the clusters that are mine, for arrangements as `rearranged` has.

    Sizes count from the usual one, and clusters of another size come first: of the rest, which may be all, only S and S^2
    are left to sum.

    Args:
        sums: (k,) S of each cluster.
        sizes: (k,) n of each.
        ours: how many clusters are mine.
        times: how many arrangements; None for all.
        seed: of those drawn.

    Example:
        >>> next(arranged(np.array([1.0, 2.0]), np.array([1.0, 3.0]), 1, None)).tolist()
        [[2.0, 3.0, 4.0, 6.0, 9.0], [1.0, 1.0, 1.0, 1.0, 1.0]]
    """
    every, counts = np.unique(sizes, return_counts=True)
    usual = float(every[np.argmax(counts)])
    order = np.argsort(sizes == usual, kind="stable")
    s, n = sums[order], sizes[order]
    table = np.stack([s, s**2, n - usual, s * (n - usual), n**2 - usual**2], 1)
    for part in rearranged(table, ours, times, seed):
        s, ss, n, sn, nn = part.T
        yield np.stack([s, n + ours * usual, ss, sn + usual * s, nn + ours * usual**2], 1)


def flipped(gaps: Floats, times: int | None, seed: int = 0) -> Iterator[Floats]:
    """Yield sums (b,) of differences whose signs are flipped: for all ways there are, or for so many drawn ones.

    Args:
        gaps: (k,) differences.
        times: how many ways to draw; None for all 2^k.
        seed: of the ways drawn.

    Example:
        >>> [part.tolist() for part in flipped(np.array([1.0, 3.0]), None)]
        [[4.0, -2.0, 2.0, -4.0]]
    """
    k = len(gaps)
    if times is None:
        yield np.array(list(product((1.0, -1.0), repeat=k))) @ gaps
        return
    generator = np.random.default_rng(seed)
    step = max(1, _PACKED // k)
    for at in range(0, times, step):
        up = picked(k, min(step, times - at), 128, generator)
        yield 2 * sums(up, gaps[:, None])[:, 0] - gaps.sum()
