"""Which share of a collection was used: at least so much whatever use does, and about so much where that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from lmia.evidence.estimate import Estimate
from lmia.evidence.permuting import finite, labelled

LEVELS = tuple(level / 20 for level in range(1, 20))
"""Where the two distributions are compared for `share_lower_bound`: shares of the held-out scores, fixed beforehand."""


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


@dataclass(frozen=True, slots=True)
class ShareByEffect:
    """About which share of a collection was used, if use raises a score by what was measured elsewhere.

    Args:
        share: the estimate and its interval, within 0 and 1.
        effect: by how much use raises a score on average, as measured on pairs that are known to have been used.
        ratio: difference over effect, before it is cut to 0 and 1.
    """

    share: Estimate
    effect: float
    ratio: float

    def sentence(self) -> str:
        """Say it, with what it rests on.

        Example:
            >>> share_by_effect(Estimate(0.1, 0.05, 0.15, 0.95, "t", 9), 0.2).sentence()[:61]
            'If use raises a score by 0.2, as you measured, about 50.0 % o'
        """
        low, high, at = self.share.low, self.share.high, f"{self.share.confidence:.0%}"
        found = (
            f"If use raises a score by {self.effect:g}, as you measured, about {100 * self.share.value:.1f} % of the "
            f"collection was used ({at} interval {100 * low:.1f} % to {100 * high:.1f} %, not counting how surely the "
            f"{self.effect:g} is known). All of the difference is laid to use here."
        )
        if self.ratio > 1:
            found += f" The difference is {self.ratio:.2g} times that effect: it has another cause too, or the effect is larger."
        return found


def share_by_effect(difference: Estimate, effect: float) -> ShareByEffect:
    """Estimate the share used: what all pairs gained on average over what one that was used gains.

    With a share s used, and each use worth `effect` on average, the means of mine and held-out differ by s times the
    effect. Nothing in a collection of unknown use tells the effect: without a measured one there is no estimate, only
    `share_lower_bound`.

    Args:
        difference: of the means, with its interval.
        effect: mean gain of pairs that were used, of the same model and score, from pairs of known use like these.

    Raises:
        ValueError: the effect is not above 0, or not finite.

    Example:
        >>> print(share_by_effect(Estimate(0.1, -0.1, 0.3, 0.95, "t", 9), 0.25).share)
        0.400 [0.000, 1.000]
    """
    if not (isfinite(effect) and effect > 0):
        raise ValueError(f"a member effect of {effect} is no gain above 0")
    value, low, high = (min(1.0, max(0.0, one / effect)) for one in (difference.value, difference.low, difference.high))
    method = f"difference over a member effect of {effect:g}, {difference.method}"
    share = Estimate(value, low, high, difference.confidence, method, difference.n)
    return ShareByEffect(share, effect, difference.value / effect)


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
    every = (finite(mine, "mine"), finite(heldout, "heldout"))
    ours = _first(every[0], clusters_mine)
    theirs = np.sort(_first(every[1], clusters_heldout))
    n, m = len(ours), len(theirs)
    ranks = np.unique([ceil(level * m) for level in LEVELS])
    below = np.searchsorted(np.sort(ours), theirs[ranks - 1], side="right").astype(np.float64)
    error = (1 - confidence) / (2 * len(ranks))
    at_least = betaincinv(ranks, m + 1 - ranks, error)
    at_most = np.where(below < n, betaincinv(below + 1, np.maximum(n - below, 1), 1 - error), 1.0)
    low = max(0.0, float((1 - at_most / at_least).max()))
    return Share(low, confidence, (n, m), n + m < sum(map(len, every)))


def _first(
    scores: np.ndarray[tuple[int], np.dtype[np.float64]], clusters: ArrayLike | None
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return scores[np.unique(labelled(clusters, scores), return_index=True)[1]]
