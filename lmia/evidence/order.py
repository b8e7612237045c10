"""Scores held against the ranks and p-values that were made of them: which of them can have been changed since?"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def out_of_order(scores: Floats, rank: Floats) -> Mask:
    """Find the rows that not every longest consistent order holds: those whose score or rank was changed.

    Consistent are rows whose scores fall as ranks rise, and are equal where ranks are. One score moved past several
    others leaves one longest order, without that row; moved past one, either of the two may be the changed one.

    Args:
        scores: `(n,)` finite.
        rank: `(n,)`, 1 the highest score.

    Returns:
        `(n,)`.

    Example:
        >>> out_of_order(np.array([9.0, 8.0, 1.0, 6.0, 5.0]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])).tolist()
        [False, False, True, False, False]
    """
    if not len(scores):
        return np.zeros(0, bool)
    places, at = np.unique(rank, return_inverse=True)
    pairs, which, count = np.unique(np.stack([at, scores], 1), axis=0, return_inverse=True, return_counts=True)
    place = pairs[:, 0].astype(np.int64)
    most = np.zeros(len(places), np.int64)
    np.maximum.at(most, place, count)
    chosen = count == most[place]  # of equal ranks with several scores, the commonest
    falling = -pairs[chosen, 1]  # within one rank these sink, so that a rising chain takes one of them at most
    before, behind = _chains(falling), _chains(-falling[::-1])[::-1]
    inside = before + behind - 1 == before.max(initial=0)
    sure = np.zeros(len(pairs), bool)
    sure[chosen] = inside & (np.bincount(before[inside], minlength=len(falling) + 1)[before] == 1)
    return ~sure[which.ravel()]


def _chains(values: Floats) -> NDArray[np.int64]:
    """Measure the longest rising chain that ends at each value."""
    ends: list[float] = []
    lengths = np.zeros(len(values), np.int64)
    for i, value in enumerate(values.tolist()):
        at = bisect_left(ends, value)
        ends[at : at + 1] = [value]
        lengths[i] = at + 1
    return lengths


def surplus(scores: Floats, p: Floats, calibration: Floats) -> Mask:
    """Find the calibration scores in gaps between audited scores that hold more of them than the p-values allow.

    Args:
        scores: `(n,)` of audited rows.
        p: `(n,)` as written: (1 + #{calibration >= score})/(m + 1).
        calibration: `(m,)`.

    Returns:
        `(m,)`.

    Example:
        >>> surplus(np.array([1.0, 2.0]), np.array([1.0, 0.75]), np.array([0.5, 2.5, 3.0])).tolist()
        [True, False, False]
    """
    levels, first = np.unique(scores, return_index=True)
    due = np.rint(p[first] * (len(calibration) + 1) - 1)
    allowed = -np.diff(np.concatenate([[len(calibration)], due, [0]]))
    gap = np.searchsorted(levels, calibration, side="right")
    return (np.bincount(gap, minlength=len(allowed)) > allowed)[gap]
