"""How far a finding reaches: p at growing n, and how much an owner needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from lmia.evidence.inference import permutation_p
from lmia.evidence.inferred import ALPHA, Inference
from lmia.evidence.permuting import finite, labelled


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


def growth(
    mine: ArrayLike,
    heldout: ArrayLike,
    clusters_mine: ArrayLike | None = None,
    clusters_heldout: ArrayLike | None = None,
    shares: Sequence[float] = (0.125, 0.25, 0.5, 1.0),
    permutations: int = 2_000,
    seed: int = 0,
    whole: Inference | None = None,
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
        whole: what `permutation_p` said of the whole collection, where that is known, to stand for the share 1.

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
        if share == 1 and whole is not None:
            found.append(whole)
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
