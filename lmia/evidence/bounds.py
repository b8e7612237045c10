"""Intervals that do not collapse: for a share, for an AUC from few samples, and for a difference of two estimates."""

from __future__ import annotations

from math import sqrt

from scipy.optimize import brentq
from scipy.special import betaincinv, ndtri

Interval = tuple[float, float]
"""Lower and upper end."""


def tail(confidence: float) -> float:
    """Return the probability that a two-sided interval leaves on each side.

    Args:
        confidence: nominal coverage, between 0 and 1.

    Returns:
        (1 - confidence)/2.

    Raises:
        ValueError: confidence is not between 0 and 1.

    Example:
        >>> tail(0.5)
        0.25
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, but is {confidence}")
    return (1 - confidence) / 2


def clopper_pearson(successes: float, trials: float, confidence: float) -> Interval:
    """Bound a share exactly (Clopper and Pearson, Biometrika 26, 1934), by quantiles of the beta distribution.

    Args:
        successes: of the trials; need not be whole, where trials are an effective number.
        trials: above 0.
        confidence: nominal coverage.

    Returns:
        the interval; one-sided at its own end where successes are 0 or all.

    Raises:
        ValueError: successes are not within 0 and trials, or there are no trials.

    Example:
        >>> low, high = clopper_pearson(0, 299, 0.90)
        >>> print(low, round(high, 4))
        0.0 0.01
    """
    if not 0 <= successes <= trials or trials <= 0:
        raise ValueError(f"{successes} of {trials} is not a share")
    beyond, missed = tail(confidence), trials - successes
    low = 0.0 if successes == 0 else float(betaincinv(successes, missed + 1, beyond))
    high = 1.0 if missed == 0 else float(betaincinv(successes + 1, missed, 1 - beyond))
    return low, high


def hanley_mcneil(truth: float, m: int, n: int) -> float:
    """Return the variance of an AUC's estimate, as a function of the true AUC and the sizes alone.

    Hanley and McNeil's (Radiology 143, 1982) for exponential scores, with both sizes in its sum replaced by their mean
    (Newcombe, Statistics in Medicine 25, 2006, part 2, method 5).

    Args:
        truth: the true AUC.
        m: members, or independent groups of them.
        n: nonmembers, likewise.

    Example:
        >>> round(hanley_mcneil(0.5, 10, 10), 4)
        0.0175
    """
    others = (m + n) / 2 - 1
    return truth * (1 - truth) * (1 + others * ((1 - truth) / (2 - truth) + truth / (1 + truth))) / (m * n)


def newcombe(area: float, m: int, n: int, confidence: float) -> Interval:
    """Bound an AUC by a variance that is a function of the true AUC, so that a lucky sample cannot shrink it.

    Newcombe's method 5: Hanley and McNeil's variance, solved for the true AUC.

    Args:
        area: AUC found, strictly between 0 and 1.
        m: members, or independent groups of them.
        n: nonmembers, likewise.
        confidence: nominal coverage.

    Returns:
        the interval, inside [0, 1].

    Example:
        >>> low, high = newcombe(0.9, 20, 20, 0.95)
        >>> print(round(low, 3), round(high, 3))
        0.747 0.962
    """
    z = -float(ndtri(tail(confidence)))
    low = brentq(lambda truth: area - truth - z * sqrt(hanley_mcneil(truth, m, n)), 0.0, area)
    high = brentq(lambda truth: truth - area - z * sqrt(hanley_mcneil(truth, m, n)), area, 1.0)
    return float(low), float(high)


def separated(pairs: int, confidence: float) -> float:
    """Bound from below the AUC of scores that separate the sides without an error, whatever their distribution.

    Among k disjoint pairs of a member and a nonmember the chance of no error is AUC^k, and no error in all pairs
    implies none in those; so an AUC below tail^(1/k) would be refuted.

    Args:
        pairs: how many disjoint, independent pairs there are: the smaller side.
        confidence: nominal coverage.

    Returns:
        the lower end; the upper one is 1.

    Example:
        >>> round(separated(60, 0.95), 3)
        0.94
    """
    return float(tail(confidence) ** (1 / pairs))


def mover(a: float, of_a: Interval, b: float, of_b: Interval, correlation: float = 0.0) -> Interval:
    """Bound a - b from the intervals of a and b (MOVER: Zou and Donner, Statistics in Medicine 27, 2008).

    Args:
        a: the first estimate.
        of_a: its interval.
        b: the second estimate.
        of_b: its interval.
        correlation: of the two estimates, from -1 to 1.

    Returns:
        the interval of a - b.

    Example:
        >>> low, high = mover(0.8, (0.7, 0.9), 0.5, (0.4, 0.6))
        >>> print(round(low, 3), round(high, 3))
        0.159 0.441
    """
    below = _side(a - of_a[0], of_b[1] - b, correlation)
    above = _side(of_a[1] - a, b - of_b[0], correlation)
    return a - b - below, a - b + above


def _side(first: float, second: float, correlation: float) -> float:
    return sqrt(max(0.0, first**2 + second**2 - 2 * correlation * first * second))
