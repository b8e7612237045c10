"""How far a finding reaches: p at growing n, how much an owner needs, and at least which share of a collection was used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, ndtr, ndtri

from lmia.evidence.inference import ALPHA, Inference, permutation_p
from lmia.evidence.permuting import finite, labelled

LEVELS = tuple(level / 20 for level in range(1, 20))
"""Where the two distributions are compared for `share_lower_bound`: shares of the held-out scores, fixed beforehand."""


@dataclass(frozen=True, slots=True)
class Needs:
    """How many pairs an owner needs for this power, if the difference is as large as it was found here.

    Args:
        pairs: of mine, with as many held-out pairs in proportion as here; None where none was found to go by.
        low: the same at the upper end of the difference's interval.
        high: at its lower end; None where that is no difference, so that no number may do.
        power: chance to find it.
        alpha: chance of a false alarm.
    """

    pairs: int | None
    low: int | None
    high: int | None
    power: float
    alpha: float

    def sentence(self) -> str:
        """Say it.

        Example:
            >>> Needs(200, 90, None, 0.9, 0.01).sentence()[:75]
            'To find a difference of this size nine times in ten takes about 200 of your'
        """
        if self.pairs is None:
            return "The held-out pairs score at least as high as yours: there is no difference from which to tell a number."
        often = "nine times in ten" if self.power == 0.9 else f"with a chance of {self.power:.0%}"
        least = f"{self.low:,}" if self.low is not None else "?"
        most = f"{self.high:,}" if self.high is not None else "no number, as there may be none to find"
        return (
            f"To find a difference of this size {often} takes about {self.pairs:,} of your pairs and held-out ones in "
            f"proportion (from {least} to {most})."
        )


@dataclass(frozen=True, slots=True)
class Share:
    """At least which share of a collection was used, whatever use does to a score.

    Args:
        low: the bound; 0 where nothing can be said.
        confidence: chance that the true share is no smaller.
        units: pairs, or groups, of mine and of held-out it rests on.
        grouped: whether each is the first pair of a group.
    """

    low: float
    confidence: float
    units: tuple[int, int]
    grouped: bool

    def sentence(self) -> str:
        """Say it, with what it takes for granted.

        Example:
            >>> Share(0.0, 0.95, (60, 60), False).sentence()
            'From these scores no share of the collection can be shown to have been used.'
        """
        if self.low <= 0:
            return "From these scores no share of the collection can be shown to have been used."
        what = "of the groups' first pairs" if self.grouped else "of the collection"
        return (
            f"If the held-out pairs are what yours would be without training, at least {100 * self.low:.1f} % {what} "
            f"was used ({self.confidence:.0%} sure). This is a lower limit, not an estimate."
        )


def growth(
    mine: ArrayLike,
    heldout: ArrayLike,
    clusters_mine: ArrayLike | None = None,
    clusters_heldout: ArrayLike | None = None,
    shares: Sequence[float] = (0.125, 0.25, 0.5, 1.0),
    permutations: int = 2_000,
    seed: int = 0,
) -> list[Inference]:
    """Test growing parts of both collections, each holding the one before; whole clusters, in an order drawn by seed.

    A picture of how p falls, not several tests: only the whole collection's p-value counts.

    Args:
        mine: (n,) scores.
        heldout: (m,) scores.
        clusters_mine: (n,) what belongs together.
        clusters_heldout: (m,) likewise.
        shares: of the clusters of each side, above 0 and at most 1; parts with too few clusters are left out.
        permutations: as for `permutation_p`.
        seed: of the order and the permutations.

    Raises:
        ValueError: a share is out of range, or what `permutation_p` says.

    Example:
        >>> [found.used for found in growth(np.arange(8.0), np.arange(8.0))]
        [(2, 2), (4, 4), (8, 8)]
    """
    if not all(0 < share <= 1 for share in shares):
        raise ValueError(f"{tuple(shares)} are no shares above 0 and up to 1")
    sides = (finite(mine, "mine"), finite(heldout, "heldout"))
    given = (clusters_mine, clusters_heldout)
    labels = [labelled(names, side) for names, side in zip(given, sides, strict=True)]
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(int(label.max()) + 1) for label in labels]
    found = []
    for share in shares:
        counts = [round(share * len(order)) for order in orders]
        if min(counts) < 2:
            continue
        kept = [np.isin(label, order[:n]) for label, order, n in zip(labels, orders, counts, strict=True)]
        names = [None if one is None else np.asarray(one)[keep] for one, keep in zip(given, kept, strict=True)]
        found.append(permutation_p(sides[0][kept[0]], sides[1][kept[1]], names[0], names[1], permutations, seed))
    return found


def power_at(difference: float, error: float, alpha: float = ALPHA) -> float:
    """Return the chance to find a difference of means, by the normal approximation, one-sided.

    Args:
        difference: the true one.
        error: standard error of the estimate.
        alpha: chance of a false alarm.

    Raises:
        ValueError: the error is not above 0, or alpha is none.

    Example:
        >>> round(power_at(0.0, 1.0), 6), round(power_at(3.608, 1.0), 3)
        (0.01, 0.9)
    """
    if error <= 0 or not 0 < alpha < 1:
        raise ValueError(f"no power at an error of {error} and alpha {alpha}")
    return float(ndtr(difference / error - float(ndtri(1 - alpha))))


def owner_needs(found: Inference, power: float = 0.9, alpha: float = ALPHA) -> Needs:
    """Return how many pairs it takes to find a difference as large as this one, clusters as large as here.

    The error of a difference falls as one over the root of n, so that n grows by ((z_alpha + z_power) error /
    difference)^2; the found error holds clusters already.

    Args:
        found: a test of this collection, or of a pilot.
        power: chance to find it.
        alpha: chance of a false alarm, one-sided.

    Raises:
        ValueError: power or alpha is out of range.

    Example:
        >>> from lmia.evidence.inference import permutation_p
        >>> pilot = permutation_p([0.5, 1.5, 1.0, 2.0], [0.0, 1.0, 0.5, 1.5])
        >>> owner_needs(pilot).pairs
        44
    """
    if not 0 < alpha < power < 1:
        raise ValueError(f"power {power} and alpha {alpha} must be shares, the power the larger")
    reach = float(ndtri(1 - alpha) + ndtri(power)) * found.error

    def pairs(difference: float) -> int | None:
        return max(2, ceil(found.used[0] * (reach / difference) ** 2)) if difference > 0 else None

    gap = found.difference
    return Needs(pairs(gap.value), pairs(gap.high), pairs(gap.low), power, alpha)


def share_lower_bound(
    mine: ArrayLike,
    heldout: ArrayLike,
    clusters_mine: ArrayLike | None = None,
    clusters_heldout: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Share:
    r"""Bound from below the share of a collection that was used, without knowing what use does to a score.

    Let s be the share used, F_0 the distribution of scores without use, and G any other. Mine then follows
    F = (1 - s) F_0 + s G >= (1 - s) F_0 at every threshold t, so that s >= 1 - F(t)/F_0(t), the largest of these over
    any t. Thresholds are the held-out scores of fixed ranks k (`LEVELS`), J of them. Two bounds hold at each with
    error (1 - confidence)/(2 J), so all hold together (Bonferroni):

    - F_0 at the k-th of m held-out scores is Beta(k, m + 1 - k), or larger where scores tie: its lower quantile;
    - given the thresholds, the count of mine at or below t is a sum of independent draws with mean n F(t): the upper
      end of Clopper and Pearson's interval, which holds for fixed members too, as the sum of unequal draws is more
      concentrated than a binomial (Hoeffding, Annals of Mathematical Statistics 27, 1956).

    Pairs of a cluster are not independent: the first pair of every cluster is taken, so that cluster sizes do not
    matter. The share is then one of these.

    Args:
        mine: (n,) scores; higher means more likely a member.
        heldout: (m,) scores of what is like mine but for use: this is assumed, and nothing here can test it.
        clusters_mine: (n,) what belongs together.
        clusters_heldout: (m,) likewise.
        confidence: chance that the bound holds.

    Raises:
        ValueError: a score is not finite, or the confidence is no share.

    Example:
        >>> used = np.r_[np.linspace(0, 1, 500), np.linspace(5, 6, 500)]
        >>> round(share_lower_bound(used, np.linspace(0, 1, 1000)).low, 2)
        0.44
    """
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence must lie between 0 and 1, but is {confidence}")
    ours = _first(finite(mine, "mine"), clusters_mine)
    theirs = np.sort(_first(finite(heldout, "heldout"), clusters_heldout))
    n, m = len(ours), len(theirs)
    ranks = np.unique([ceil(level * m) for level in LEVELS])
    below = np.searchsorted(np.sort(ours), theirs[ranks - 1], side="right").astype(np.float64)
    error = (1 - confidence) / (2 * len(ranks))
    at_least = betaincinv(ranks, m + 1 - ranks, error)
    at_most = np.where(below < n, betaincinv(below + 1, np.maximum(n - below, 1), 1 - error), 1.0)
    low = max(0.0, float((1 - at_most / at_least).max()))
    return Share(low, confidence, (n, m), clusters_mine is not None or clusters_heldout is not None)


def _first(
    scores: np.ndarray[tuple[int], np.dtype[np.float64]], clusters: ArrayLike | None
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return scores[np.unique(labelled(clusters, scores), return_index=True)[1]]
