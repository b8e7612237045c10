"""How TPR@FPR would vary: thresholds and shares of members drawn anew; what lies far from the threshold is not drawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

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
    thresholds = _thresholds(rng, nonmembers, groups[1], fpr, bootstraps)
    return _shares_above(rng, members, groups[0], thresholds)


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
    order = np.argsort(-scores, kind="stable")
    ordered, owners, n = scores[order], groups[order], len(scores)
    largest = int(np.unique(groups, return_counts=True)[1].max())
    near = int(n * fpr + 10 * np.sqrt((n * fpr + 1) * largest) + 10 * largest)
    found = _crossings(rng, ordered, owners, min(near, n), fpr, draws)
    # Few and large groups can move a threshold further than that; then all nonmembers are searched.
    return found if np.isfinite(found).all() else _crossings(rng, ordered, owners, n, fpr, draws)


def _crossings(rng: np.random.Generator, ordered: Floats, owners: Ints, near: int, fpr: float, draws: int) -> Floats:
    found = []
    for weights, _, total in _draws(rng, owners, 0, near, draws):
        beyond = weights > np.floor(total * fpr + 1e-9)[:, None]
        found.append(np.where(beyond[:, -1], ordered[beyond.argmax(1)], np.nan))
    return np.concatenate(found)


def _shares_above(rng: np.random.Generator, scores: Floats, groups: Ints, thresholds: Floats) -> Floats:
    """Draw the members by group, one resample a threshold, and count the share above each, (draws,)."""
    order = np.argsort(-scores, kind="stable")
    ordered, owners = scores[order], groups[order]
    above = np.searchsorted(-ordered, -thresholds, side="left")
    low, high = int(above.min()), int(above.max())
    shares, done = [], 0
    for weights, base, total in _draws(rng, owners, low, high, len(thresholds)):
        rows = np.arange(len(total))
        counted = np.concatenate([np.zeros((len(rows), 1), dtype=np.int64), weights], 1)
        shares.append((base + counted[rows, above[done : done + len(rows)] - low]) / total)
        done += len(rows)
    return np.concatenate(shares)


def _draws(
    rng: np.random.Generator, owners: Ints, low: int, high: int, draws: int
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Draw as many groups as there are, with replacement, in batches of resamples.

    Yields:
        how often the samples at positions low to high were drawn, cumulated, (b, high - low); how often those before
        them, (b,); and how many samples in all, (b,).
    """
    numbers = np.unique(owners, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    before = np.bincount(numbers[:low], minlength=len(sizes))
    inside = np.unique(numbers[low:high])
    rest = np.ones(len(sizes), dtype=bool)
    rest[inside] = False
    kinds, many = np.unique(np.stack([sizes[rest], before[rest]], 1), axis=0, return_counts=True)
    chances = np.concatenate([np.ones(len(inside)), many]) / len(sizes)
    size, early = np.concatenate([sizes[inside], kinds[:, 0]]), np.concatenate([before[inside], kinds[:, 1]])
    column = np.searchsorted(inside, numbers[low:high])
    step = max(1, _CELLS // max(len(chances), high - low))
    for start in range(0, draws, step):
        drawn = rng.multinomial(len(sizes), chances, size=min(step, draws - start))
        yield drawn[:, column].cumsum(1), drawn @ early, drawn @ size
