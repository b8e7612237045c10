"""The canary test: how the one variant that was published ranks among its like, with an exact p-value.

Ranks of published variants under a model that never met the choice: exactly known, whatever the model (Huang, Gong and
Reiter, CCS 2024, arXiv 2407.15100).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from scipy.stats import binom

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LEAST_P = 1e-280
"""No smaller p is returned: below it floating point loses terms. To raise a p-value leaves it valid."""
_REACH, _NODES = 9.0, 2001
_FAR = 20.0


def published_ranks(scores: ArrayLike, published: ArrayLike) -> Whole:
    """Count for each item how many of its variants score below the one that was published.

    A tie counts against the owner: among equal scores the published variant takes the lowest rank. Where the model knows
    nothing of the choice a rank is then at most a uniform one, in distribution, so that p-values err to the safe side.

    Args:
        scores: (m, n) float, m items with n variants each; higher means more likely a member.
        published: (m,) int, which variant was published.

    Returns:
        (m,) int64 from 0 to n - 1; n - 1 where the published variant scores above all others.

    Raises:
        ValueError: the shapes do not match, n is below 2, a score is NaN, or `published` names no variant.

    Example:
        >>> published_ranks([[0.1, 0.3, 0.2], [0.5, 0.5, 0.4]], [1, 0]).tolist()
        [2, 1]
    """
    values, chosen = np.asarray(scores, np.float64), np.asarray(published)
    if values.ndim != 2 or chosen.shape != values.shape[:1] or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(f"scores of shape {values.shape} and choices of shape {chosen.shape} are no items of variants")
    if np.isnan(values).any():
        raise ValueError("a score is NaN")
    if not np.issubdtype(chosen.dtype, np.integer) or ((chosen < 0) | (chosen >= values.shape[1])).any():
        raise ValueError("a choice names no variant")
    own = values[np.arange(len(values)), chosen]
    ranks: Whole = (values < own[:, None]).sum(1).astype(np.int64)
    return ranks


def rank_sum_null(items: int, variants: int) -> Floats:
    """Return the distribution of the sum of ranks where every rank is uniform: the chance of each sum.

    By convolution; all terms are positive, so nothing cancels and tails keep their relative precision.

    Args:
        items: m, at least 1.
        variants: n, at least 2.

    Returns:
        (m (n - 1) + 1,) float64: probabilities of the sums 0, 1, ..., m (n - 1).

    Raises:
        ValueError: m or n is too small.

    Example:
        >>> rank_sum_null(2, 3) * 9
        array([1., 2., 3., 2., 1.])
    """
    _check(items, variants)
    return _sum_of(np.full(variants, 1 / variants), items)


def rank_sum_p(ranks: ArrayLike, variants: int) -> float:
    """Return the chance that ranks drawn by luck alone sum up to at least as much as these.

    Args:
        ranks: (m,) int from 0 to n - 1, as `published_ranks` gives them.
        variants: n.

    Returns:
        the p-value: exact where there were no ties, too large where there were; never 0.

    Raises:
        ValueError: there are no ranks, or one is out of range.

    Example:
        >>> rank_sum_p([3], 4), rank_sum_p([0, 0], 4)
        (0.25, 1.0)
        >>> round(rank_sum_p([3, 2], 4) * 16)
        3
    """
    found = np.asarray(ranks)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer) or ((found < 0) | (found >= variants)).any():
        raise ValueError(f"ranks must be whole numbers from 0 to {variants - 1}")
    tail = rank_sum_null(len(found), variants)[int(found.sum()) :]
    return min(1.0, max(LEAST_P, float(tail.sum())))


def critical_sum(items: int, variants: int, alpha: float) -> int | None:
    """Return the smallest sum of ranks whose p-value is at most alpha; None where even the largest is not rare enough.

    Args:
        items: m.
        variants: n.
        alpha: chance of a false alarm, between 0 and 1.

    Raises:
        ValueError: m, n or alpha is out of range.

    Example:
        >>> critical_sum(1, 20, 0.05), critical_sum(1, 20, 0.01), critical_sum(2, 4, 0.2)
        (19, None, 5)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, but is {alpha}")
    from_above = np.cumsum(rank_sum_null(items, variants)[::-1])[::-1]
    low_enough = np.flatnonzero(from_above <= alpha * (1 + 1e-9))  # 1/20 is not 0.05 to the last bit
    return int(low_enough[0]) if len(low_enough) else None


def rank_probabilities(shift: float, variants: int) -> Floats:
    """Return how likely each rank is where memory lifts the published variant's score.

    Scores of an item's variants are taken as normal, and the published one's mean as higher by `shift`.

    Args:
        shift: in standard deviations of the scores within an item.
        variants: n.

    Returns:
        (n,) float64, which sum to 1; uniform where the shift is 0.

    Example:
        >>> rank_probabilities(0.0, 4).round(6)
        array([0.25, 0.25, 0.25, 0.25])
        >>> rank_probabilities(1.0, 2).round(4)
        array([0.2398, 0.7602])
    """
    _check(1, variants)
    z = np.linspace(-_REACH, _REACH, _NODES)  # the trapezoid rule is all but exact for what fades out on both sides
    weight = np.exp(-(z**2) / 2)
    below = binom.pmf(np.arange(variants)[:, None], variants - 1, ndtr(z + shift))
    chances: Floats = below @ weight
    chances /= chances.sum()
    return chances


def rank_sum_power(items: int, variants: int, shift: float, alpha: float) -> float:
    """Return the chance that the test finds a memory of this size, exactly, under the shift of `rank_probabilities`.

    Args:
        items: m.
        variants: n.
        shift: in standard deviations of the scores within an item.
        alpha: chance of a false alarm.

    Raises:
        ValueError: m, n or alpha is out of range.

    Example:
        >>> rank_sum_power(1, 20, 0.0, 0.05).__round__(6), rank_sum_power(1, 20, 9.0, 0.01)
        (0.05, 0.0)
    """
    least = critical_sum(items, variants, alpha)
    if least is None:
        return 0.0
    return min(1.0, float(_sum_of(rank_probabilities(shift, variants), items)[least:].sum()))


def smallest_shift(items: int, variants: int, alpha: float, power: float = 0.9) -> float | None:
    """Return the smallest shift that the test finds with this power; None where no shift is large enough.

    Args:
        items: m.
        variants: n.
        alpha: chance of a false alarm.
        power: between alpha and 1.

    Returns:
        the shift in standard deviations, rounded up to 0.001.

    Raises:
        ValueError: m, n, alpha or power is out of range.

    Example:
        >>> smallest_shift(1, 20, 0.01) is None
        True
        >>> shift = smallest_shift(50, 8, 0.01)
        >>> rank_sum_power(50, 8, shift, 0.01) >= 0.9 > rank_sum_power(50, 8, shift - 0.002, 0.01)
        True
    """
    if not alpha < power < 1:
        raise ValueError(f"the power must lie between alpha and 1, but is {power}")
    low, high = 0.0, _FAR
    if rank_sum_power(items, variants, high, alpha) < power:
        return None
    while high - low > 5e-4:
        middle = (low + high) / 2
        enough = rank_sum_power(items, variants, middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return float(np.ceil(high * 1000) / 1000)


def wins(shift: float) -> float:
    """Return how often a published variant outscores another one of its item at this shift: 0.5 is never learnt.

    Args:
        shift: in standard deviations of the scores within an item.

    Example:
        >>> wins(0.0), round(wins(1.0), 3)
        (0.5, 0.76)
    """
    return float(ndtr(shift / np.sqrt(2)))


def _check(items: int, variants: int) -> None:
    if items < 1 or variants < 2:
        raise ValueError(f"{items} items with {variants} variants cannot be ranked")


def _sum_of(one: Floats, times: int) -> Floats:
    """Return the distribution of the sum of so many independent copies, by repeated squaring."""
    total, square = np.ones(1), one
    while times:
        if times & 1:
            total = np.convolve(total, square)
        times >>= 1
        if times:
            square = np.convolve(square, square)
    return total
