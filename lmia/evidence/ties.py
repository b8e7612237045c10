"""The TPR where nonmembers tie: a threshold stands between two ties, and which of them it is, the sample leaves open."""

from __future__ import annotations

from math import ceil, floor, sqrt

import numpy as np
import torch
from scipy.stats import binom

from lmia.evidence.bounds import Interval, clopper_pearson, tail
from lmia.evidence.resampling import Floats, Ints
from lmia.evidence.sides import distinct


def across_ties(
    members: Floats, nonmembers: Floats, fpr: float, confidence: float, groups: tuple[Ints, Ints] | None = None
) -> Interval | None:
    """Bound the TPR at an FPR over every threshold that the nonmembers leave open.

    Of n nonmembers Binomial(n, fpr) lie above a threshold of just that FPR, whatever their scores are. So the population's
    threshold is not above the highest one, nor below the lowest one, that the binomial's two tails leave; the interval goes
    from Clopper-Pearson's lower end at the highest to its upper end at the lowest. Each of these four tails is cut at a
    quarter of what may be missed, so that the interval is exact: it holds the truth at least as often as it says. That is so
    where every sample gets it; with ties at the verge of what is returned below, those that do are chosen by their ties.

    Args:
        members: (m,) scores, finite.
        nonmembers: (n,) scores, finite.
        fpr: false positive rate, strictly between 0 and 1.
        confidence: nominal coverage.
        groups: of the members (m,) and of the nonmembers (n,), equal for duplicates, each counted as one; None where all
            are independent.

    Returns:
        the interval; None where no tie among those thresholds is larger than one standard deviation of the nonmembers
        above: then ties matter less than chance does.

    Example:
        >>> scores = np.arange(2000) % 20
        >>> low, high = across_ties(scores + 10.0, scores * 1.0, 0.1, 0.95)
        >>> print(f"{low:.3f} {high:.3f}")
        0.525 0.625
        >>> across_ties(np.arange(2000.0), np.arange(2000.0), 0.1, 0.95) is None
        True
    """
    n = len(nonmembers)
    worth = (
        (len(members), n)
        if groups is None
        else (distinct(torch.from_numpy(groups[0])), distinct(torch.from_numpy(groups[1])))
    )
    each = (1 + confidence) / 2  # half of the misses are the threshold's, half Clopper-Pearson's
    beyond = tail(each)
    fewest, most = (binom.ppf(p, worth[1], fpr) / worth[1] * n for p in (beyond, 1 - beyond))
    lowest = n - 1 - ceil(most - 1e-9)
    lower = np.partition(nonmembers, lowest)[lowest] if lowest >= 0 else -np.inf
    near = nonmembers >= lower
    top = np.sort(nonmembers[near])[::-1]
    owned = top if groups is None else _once_a_group(nonmembers[near], groups[1][near])
    if np.unique(owned, return_counts=True)[1].max() <= sqrt(worth[1] * fpr):
        return None
    above = floor(fewest + 1e-9)
    higher = top[above - 1] if above else np.inf
    shares = [float(np.mean(members > at)) * worth[0] for at in (higher, lower)]
    return clopper_pearson(shares[0], worth[0], each)[0], clopper_pearson(shares[1], worth[0], each)[1]


def _once_a_group(scores: Floats, groups: Ints) -> Floats:
    """Leave out scores that a group has more than once: copies tie without telling of a tie."""
    kept: Floats = np.unique(np.stack([scores, np.unique(groups, return_inverse=True)[1]]), axis=1)[0]
    return kept
