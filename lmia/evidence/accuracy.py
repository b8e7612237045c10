"""Shares with exact intervals, and balanced accuracy."""

from __future__ import annotations

from math import sqrt

from scipy.special import kolmogi
from torch import Tensor

from lmia.evidence.bounds import clopper_pearson, mover
from lmia.evidence.curve import roc
from lmia.evidence.estimate import Estimate
from lmia.evidence.sides import as_groups, as_truth, independent


def rate(k: int, n: int, confidence: float = 0.95) -> Estimate:
    """Estimate a share with its Clopper-Pearson interval.

    Args:
        k: how many.
        n: of how many, at least 1.
        confidence: nominal coverage.

    Returns:
        k/n.

    Raises:
        ValueError: k is not within 0 and n, or n is 0.

    Example:
        >>> print(rate(8, 10))
        0.800 [0.444, 0.975]
    """
    low, high = clopper_pearson(k, n, confidence)
    return Estimate(k / n, low, high, confidence, "Clopper-Pearson", n)


def share(called: Tensor, groups: Tensor | None = None, confidence: float = 0.95) -> Estimate:
    """Estimate the share of samples that are called members, duplicates counted once in the interval.

    Args:
        called: (n,) bool, at least one.
        groups: (n,) integers, equal for duplicates; None where samples are independent. So many samples are worth what
            `lmia.evidence.sides.independent` says: that errs on the wide side.
        confidence: nominal coverage.

    Raises:
        ValueError: there is none, or the shapes do not match.

    Example:
        >>> import torch
        >>> print(share(torch.tensor([True, True, False, False])), share(torch.arange(4) < 2, torch.arange(4) // 2))
        0.500 [0.068, 0.932] 0.500 [0.013, 0.987]
    """
    hits, n = int(called.sum()), len(called)
    if groups is None:
        return rate(hits, n, confidence)
    worth = independent(groups, n)
    low, high = clopper_pearson(hits / n * worth, worth, confidence)
    return Estimate(hits / n, low, high, confidence, "Clopper-Pearson, by duplicate group", n)


def balanced_accuracy(tpr: Estimate, fpr: Estimate) -> Estimate:
    """Estimate (TPR + 1 - FPR)/2 at one threshold that these samples did not choose.

    Args:
        tpr: share of members called members.
        fpr: share of nonmembers called members, with the same confidence.

    Returns:
        the balanced accuracy, its interval made from the two (MOVER).

    Example:
        >>> print(balanced_accuracy(rate(8, 10), rate(3, 10)))
        0.750 [0.499, 0.896]
    """
    low, high = mover(tpr.value, (tpr.low, tpr.high), fpr.value, (fpr.low, fpr.high))
    method = f"MOVER of {tpr.method}"
    value = (1 + tpr.value - fpr.value) / 2
    return Estimate(value, (1 + low) / 2, (1 + high) / 2, tpr.confidence, method, tpr.n + fpr.n)


def balanced_accuracy_best(
    scores: Tensor, labels: Tensor, groups: Tensor | None = None, confidence: float = 0.95
) -> Estimate:
    """Estimate the best balanced accuracy over all thresholds, picked on these samples: optimistic.

    The interval is a band that holds at all thresholds at once (Kolmogorov), so that it pays for the picking: it covers
    the population's best. Without a signal the value still lies above 0.5, by about 0.44/sqrt(n) for n a side.

    Args:
        scores: (n,), any real dtype; higher means more likely a member.
        labels: (n,) bool or 0 and 1; 1 is a member.
        groups: (n,) integers, equal for duplicates, which count once in the band; None where samples are independent.
        confidence: nominal coverage.

    Returns:
        max over thresholds of (TPR + 1 - FPR)/2, at least 0.5.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> import torch
        >>> print(balanced_accuracy_best(torch.arange(400.0), torch.arange(400) > 99))
        1.000 [0.922, 1.000]
    """
    fpr, tpr = roc(scores, labels)
    truth, owners = as_truth(labels, len(scores)), as_groups(groups, len(scores))
    worth = [independent(owners[side], int(side.sum())) for side in (truth, ~truth)]
    value = float((1 + (tpr - fpr).max()) / 2)
    band = float(kolmogi(1 - confidence)) * sqrt(sum(1 / one for one in worth)) / 2
    method = "Kolmogorov band over all thresholds; optimistic: threshold picked on the audit set"
    return Estimate(value, max(0.5, value - band), min(1.0, value + band), confidence, method, len(scores))
