"""Power: which AUC so many pairs can show, how surely, and how many pairs an AUC needs; known before any scoring."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, owens_t

MOST = 10**12
"""Pairs a side beyond which no search goes."""


@dataclass(frozen=True)
class Clusters:
    """Pairs that come in groups (shoots, photographers, hosts) and so count for less than their number.

    Args:
        size: mean number of pairs in a group, at least 1.
        correlation: intra-cluster correlation of the scores, from 0 to 1.

    Example:
        >>> round(Clusters(size=25, correlation=0.3).effect, 3)
        8.2
    """

    size: float = 1.0
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not (1 <= self.size < MOST and 0 <= self.correlation <= 1):
            raise ValueError(f"clusters need a size of at least 1 and a correlation of 0 to 1, but are {self}")

    @property
    def effect(self) -> float:
        """Design effect: by how much the variance grows, 1 + (size - 1) correlation (Kish, Survey Sampling, 1965)."""
        return 1 + (self.size - 1) * self.correlation


APART = Clusters()
"""Every pair is its own cluster."""


def spread(auc: float, members: float, nonmembers: float) -> float:
    """Return the standard error of an AUC found on so many samples, for normal scores of equal variance.

    Hanley and McNeil's variance (Radiology 143, 1982, equation 2), the same as DeLong's in expectation. Its Q1 = Q2, the
    chance that two members outrank one nonmember, is exact here: a bivariate normal probability at correlation 1/2,
    by Owen's T function. At AUC 0.5 it is the rank-sum test's own sqrt((m + n + 1)/(12 m n)).

    Args:
        auc: the true AUC, 0 to 1.
        members: how many, above 0; need not be whole, where a number is an effective one.
        nonmembers: likewise.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> round(spread(0.5, 1000, 1000), 4), spread(1.0, 10, 10)
        (0.0129, 0.0)
    """
    if not (0 <= auc <= 1 and members > 0 and nonmembers > 0):
        raise ValueError(f"AUC {auc} from {members} + {nonmembers} samples is not possible")
    if auc in (0, 1):
        return 0.0
    both = auc - 2 * float(owens_t(ndtri(auc), sqrt(1 / 3)))
    others = max(0.0, members - 1) + max(0.0, nonmembers - 1)
    variance = (auc * (1 - auc) + others * (both - auc**2)) / (members * nonmembers)
    return sqrt(max(0.0, variance))


def power(
    auc: float, members: int, nonmembers: int, alpha: float = 0.01, sides: int = 1, clusters: Clusters = APART
) -> float:
    """Return how often a true AUC shows: the chance that the AUC found lies significantly above 0.5.

    P(found - 0.5 > z_alpha SE(0.5)) for a found AUC that is normal with standard error SE(auc). For less than about 10
    pairs a side this is rough. Where z_alpha SE(0.5) is 0.5 or more, no AUC at all is significant and the power is 0.
    With M attacks corrected by Holm, alpha / M is the level that the first of them must reach.

    Args:
        auc: the true AUC, 0 to 1.
        members: how many, at least 1.
        nonmembers: how many, at least 1.
        alpha: chance of a false alarm.
        sides: 1 to look only for AUCs above 0.5, 2 for either direction at alpha / 2 each.
        clusters: how the pairs of either side hang together.

    Returns:
        a probability; alpha at AUC 0.5, if any AUC can be significant.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> round(power(0.51, 500, 500, alpha=0.05), 2), round(power(0.51, 500, 500), 2)
        (0.14, 0.04)
    """
    _check(members, nonmembers, alpha, sides)
    m, n = members / clusters.effect, nonmembers / clusters.effect
    bar = -float(ndtri(alpha / sides)) * spread(0.5, m, n)
    error = spread(auc, m, n)
    if bar >= 0.5:
        return 0.0
    above = _beyond(auc - 0.5 - bar, error)
    return above if sides == 1 else min(1.0, above + _beyond(0.5 - auc - bar, error))


def detectable(
    members: int, nonmembers: int, power: float = 0.9, alpha: float = 0.01, clusters: Clusters = APART
) -> float | None:
    """Return the smallest AUC that so many pairs show with this power, one-sided.

    Args:
        members: how many, at least 1.
        nonmembers: how many, at least 1.
        power: chance of seeing it, above alpha and below 1.
        alpha: chance of a false alarm; divided by the number of attacks where Holm corrects for them.
        clusters: how the pairs of either side hang together.

    Returns:
        an AUC above 0.5; None where not even a flawless attack would be significant.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> round(detectable(500, 500), 3), detectable(1, 1)
        (0.566, None)
    """
    _check(members, nonmembers, alpha, 1)
    if not alpha < power < 1:
        raise ValueError(f"power must lie between alpha and 1, but is {power}")
    if _seen(1.0, members, nonmembers, alpha, clusters) < power:
        return None
    found = brentq(lambda auc: _seen(auc, members, nonmembers, alpha, clusters) - power, 0.5, 1.0, xtol=1e-10)
    return float(found)


def detectable_by(error: float, power: float = 0.9, alpha: float = 0.01) -> float | None:
    """Return the smallest AUC that an estimate with this standard error shows, such as a stratified one.

    0.5 + (z_alpha + z_power) error: what stratifying and clustering cost is in the error itself. That is not "observed
    power": the estimate's value plays no part.

    Args:
        error: standard error of the estimate, above 0.
        power: chance of seeing it, above alpha and below 1.
        alpha: chance of a false alarm, one-sided.

    Returns:
        an AUC above 0.5; None where it would lie above 1.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> round(detectable_by(0.0183), 3)
        0.566
    """
    _check(1, 1, alpha, 1)
    if not (error > 0 and alpha < power < 1):
        raise ValueError(f"a standard error of {error} and a power of {power} cannot be used")
    found = 0.5 + float(ndtri(power) - ndtri(alpha)) * error
    return found if found <= 1 else None


def needed(auc: float, power: float = 0.9, alpha: float = 0.01, clusters: Clusters = APART) -> int:
    """Return how many members, and as many nonmembers, show an AUC with this power, one-sided.

    A t-test needs about 5 % fewer where scores are truly normal: the price of ranks, which owe nothing to the
    shape of the scores.

    Args:
        auc: the true AUC, above 0.5, at most 1.
        power: chance of seeing it, above alpha and below 1.
        alpha: chance of a false alarm.
        clusters: how the pairs of either side hang together.

    Returns:
        pairs a side.

    Raises:
        ValueError: an argument is out of range, or the AUC is so near 0.5 that 10^12 pairs a side do not suffice.

    Example:
        >>> needed(0.55), needed(0.51, alpha=0.05)
        (865, 14271)
    """
    _check(1, 1, alpha, 1)
    if not (0.5 < auc <= 1 and alpha < power < 1):
        raise ValueError(f"no number of pairs shows an AUC of {auc} at power {power}")
    enough, few = 1, 0
    while _seen(auc, enough, enough, alpha, clusters) < power:
        few, enough = enough, 2 * enough
        if enough > MOST:
            raise ValueError(f"an AUC of {auc} needs more than {MOST} pairs a side")
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if _seen(auc, middle, middle, alpha, clusters) >= power else (middle, enough)
    return enough


def spoken(
    members: int,
    nonmembers: int,
    detect: float = 0.51,
    power: float = 0.9,
    alpha: float = 0.01,
    clusters: Clusters = APART,
    attacks: int = 1,
) -> str:
    """Say in one sentence what so many pairs can show, and how surely they show the AUC that is looked for.

    Published figures such as "500 + 500 detect 0.552" are a t-test's at alpha 0.05; at alpha 0.01 it takes 0.566.

    Args:
        members: how many, at least 1.
        nonmembers: how many, at least 1.
        detect: the AUC looked for, 0.5 to 1.
        power: of the first figure.
        alpha: chance of a false alarm.
        clusters: how the pairs of either side hang together.
        attacks: how many are tried: the first of them must then pass alpha / attacks (Holm).

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> print(spoken(500, 500))  # doctest: +NORMALIZE_WHITESPACE
        With 500 + 500 pairs an AUC of 0.566 or more is found in 90 % of audits like this one (power 0.9);
        an AUC of 0.51 in 4 % (at 1 false alarm in 100).
        >>> print(spoken(3, 3))  # doctest: +NORMALIZE_WHITESPACE
        With 3 + 3 pairs not even an AUC of 1 is found in 90 % of audits like this one (power 0.9);
        an AUC of 0.51 in 0 % (at 1 false alarm in 100).
    """
    level = alpha / attacks
    smallest = detectable(members, nonmembers, power, level, clusters)
    found = (
        "not even an AUC of 1 is" if smallest is None else f"an AUC of {ceil(smallest * 1000) / 1000:.3f} or more is"
    )
    chance = _seen(detect, members, nonmembers, level, clusters)
    over = f" over {attacks} attacks" if attacks > 1 else ""
    return (
        f"With {members:,} + {nonmembers:,} pairs {found} found in {100 * power:g} % of audits like this one (power "
        f"{power:g}); an AUC of {detect:g} in {100 * chance:.0f} % (at 1 false alarm in {1 / alpha:.4g}{over})."
    )


def _seen(auc: float, members: int, nonmembers: int, alpha: float, clusters: Clusters) -> float:
    return power(auc, members, nonmembers, alpha, 1, clusters)


def _beyond(distance: float, error: float) -> float:
    return float(distance > 0) if error == 0 else float(ndtr(distance / error))


def _check(members: int, nonmembers: int, alpha: float, sides: int) -> None:
    if not (members >= 1 and nonmembers >= 1):
        raise ValueError(f"there must be at least one member and one nonmember, not {members} and {nonmembers}")
    if not (0 < alpha < 0.5 and sides in (1, 2)):
        raise ValueError(f"alpha {alpha} must lie between 0 and 0.5, and sides {sides} be 1 or 2")
