"""How TPR@FPR would vary: thresholds and shares of members drawn anew; what lies far from the threshold is not drawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from lmia.evidence.sides import countable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CELLS = 4_000_000
"""Numbers drawn at once, at most: bounds the memory, never the result."""


def resample(
    members: Floats,
    nonmembers: Floats,
    groups: tuple[Ints, Ints] | None,
    fpr: float,
    bootstraps: int,
    seed: int,
) -> Floats:
    """Draw the TPR at an FPR as the samples leave it open, members and nonmembers each by themselves, by group.

    Where samples are independent, each costs two draws: the (k + 1)-th largest of n resampled nonmembers is the one of
    rank floor(n U), U the (k + 1)-th smallest of n uniforms, a Beta(k + 1, n - k); and of members of whom h of m lie
    above it, the share is a Beta(h + 1, m - h + 1), as by Bayes before anything was known: a resample of no hits would
    have none. Otherwise groups are resampled, one by one where they reach near the threshold and by kind elsewhere.

    Args:
        members: (m,) scores, finite.
        nonmembers: (n,) scores, finite.
        groups: of the members (m,) and of the nonmembers (n,), equal for duplicates; None where all are independent.
        fpr: false positive rate, strictly between 0 and 1.
        bootstraps: how many resamples.
        seed: of all draws.

    Returns:
        (bootstraps,) TPRs.

    Example:
        >>> scores = np.arange(1000.0)
        >>> tprs = resample(scores + 500, scores, None, 0.1, 200, seed=0)
        >>> print(round(float(tprs.mean()), 1))
        0.6
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        return _resample_singles(rng, np.sort(members), np.sort(nonmembers)[::-1], fpr, bootstraps)
    ours, theirs = (countable(torch.from_numpy(side), len(side)).numpy() for side in groups)
    thresholds = _thresholds(rng, nonmembers, theirs, fpr, bootstraps)
    return _shares_above(rng, members, ours, thresholds)


def _resample_singles(
    rng: np.random.Generator, ascending: Floats, descending: Floats, fpr: float, draws: int
) -> Floats:
    m, n = len(ascending), len(descending)
    allowed = int(np.floor(n * fpr + 1e-9))
    ranks = np.minimum((rng.beta(allowed + 1, n - allowed, draws) * n).astype(np.int64), n - 1)
    above = m - np.searchsorted(ascending, descending[ranks], side="right")
    shares: Floats = rng.beta(above + 1, m - above + 1)
    return shares


def _thresholds(rng: np.random.Generator, scores: Floats, groups: Ints, fpr: float, draws: int) -> Floats:
    """Draw the nonmembers by group and find each resample's threshold, (draws,)."""
    n, largest = len(scores), int(np.bincount(groups).max())
    reach = int(10 * np.sqrt((n * fpr + 1) * largest) + 10 * largest)
    found = _crossings(rng, scores, groups, max(0, int(n * fpr) - reach), min(int(n * fpr) + reach, n), fpr, draws)
    # Few and large groups can move a threshold further than that; then all nonmembers are searched.
    return found if np.isfinite(found).all() else _crossings(rng, scores, groups, 0, n, fpr, draws)


def _crossings(
    rng: np.random.Generator, scores: Floats, groups: Ints, low: int, high: int, fpr: float, draws: int
) -> Floats:
    """Find the thresholds that lie at positions low to high of the scores, from above, (draws,); NaN for others."""
    order, found = _descending(scores, low, high), []
    for weights, base, total in _draws(rng, groups[order], low, high, draws):
        allowed = np.floor(total * fpr + 1e-9)
        beyond = base[:, None] + weights > allowed[:, None]
        within = (base <= allowed) & beyond[:, -1]
        found.append(np.where(within, scores[order[low + beyond.argmax(1)]], np.nan))
    return np.concatenate(found)


def _shares_above(rng: np.random.Generator, scores: Floats, groups: Ints, thresholds: Floats) -> Floats:
    """Draw the members by group, one resample a threshold, and count the share above each, (draws,)."""
    low, high = int((scores > thresholds.max()).sum()), int((scores > thresholds.min()).sum())
    order = _descending(scores, low, high)
    above = low + np.searchsorted(-scores[order[low:high]], -thresholds, side="left")
    shares, done = [], 0
    for weights, base, total in _draws(rng, groups[order], low, high, len(thresholds)):
        rows = np.arange(len(total))
        counted = np.concatenate([np.zeros((len(rows), 1), dtype=np.int64), weights], 1)
        shares.append((base + counted[rows, above[done : done + len(rows)] - low]) / total)
        done += len(rows)
    return np.concatenate(shares)


def _descending(scores: Floats, low: int, high: int) -> Ints:
    """Order scores from above, (n,): exactly at positions low to high, and elsewhere so that each is on its side of them."""
    falling, ends = -scores, sorted({at for at in (low, high) if 0 < at < len(scores)})
    order: Ints = np.argpartition(falling, ends) if ends else np.arange(len(scores))
    order[low:high] = order[low:high][np.argsort(falling[order[low:high]], kind="stable")]
    return order


def _draws(
    rng: np.random.Generator, owners: Ints, low: int, high: int, draws: int
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Draw as many groups as there are, with replacement, in batches of resamples.

    Yields:
        how often the samples at positions low to high were drawn, cumulated, (b, high - low); how often those before
        them, (b,); and how many samples in all, (b,).
    """
    sizes = np.bincount(owners)
    before = np.bincount(owners[:low], minlength=len(sizes))
    inside = np.unique(owners[low:high])
    there = np.count_nonzero(sizes)
    rest = sizes > 0
    rest[inside] = False
    kinds, many = _kinds(sizes[rest], before[rest])
    chances = np.concatenate([np.ones(len(inside)), many]) / there
    size, early = np.concatenate([sizes[inside], kinds[:, 0]]), np.concatenate([before[inside], kinds[:, 1]])
    column = np.searchsorted(inside, owners[low:high])
    step = max(1, _CELLS // max(len(chances), high - low))
    for start in range(0, draws, step):
        drawn = rng.multinomial(there, chances, size=min(step, draws - start))
        yield drawn[:, column].cumsum(1), drawn @ early, drawn @ size


def _kinds(sizes: Ints, before: Ints) -> tuple[Ints, Ints]:
    """Count the groups of each size that have so many samples before: the kinds (k, 2), ascending, and their numbers (k,)."""
    wide = int(before.max(initial=0)) + 1
    single = sizes == 1  # most are, and sorting them takes long
    early = int(before[single].sum())
    codes, many = np.unique(sizes[~single] * wide + before[~single], return_counts=True)
    kinds = np.concatenate([np.array([[1, 0], [1, 1]]), np.stack(np.divmod(codes, wide), 1)])
    numbers = np.concatenate([np.array([int(single.sum()) - early, early]), many])
    return kinds[numbers > 0], numbers[numbers > 0]
