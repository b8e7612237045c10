"""AUROC with its interval, and the paired difference of two."""

from __future__ import annotations

from math import inf, isfinite, sqrt

import torch
from scipy.special import expit, logit, ndtr, ndtri, stdtrit
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from lmia.evidence.bounds import Interval, hanley_mcneil, mover, newcombe, separated, tail
from lmia.evidence.estimate import Estimate
from lmia.evidence.placements import Placements, covariance, place
from lmia.evidence.ranks import dense_ranks
from lmia.evidence.sides import as_truth

FEW = 100
"""Independent groups on a side below which DeLong's interval covers too little (78 % at AUC .99 for 60)."""

FEW_ERRORS = 5
"""So many expected errors on the smaller side, min(n) min(AUC, 1 - AUC), below which the same happens."""

STEADY = 1 / 3
"""Errors that Hanley and McNeil's variance counts for beside DeLong's own, since a lucky sample shows hardly any. Of 200 a
side and an AUC of .98 DeLong's alone held scores full of ties in 93.0 %, and widened to Newcombe's normal ones in 98 %
(by hand, 1,000 repeats); what it holds now is in tests/evidence/test_coverage.py."""


def auroc(scores: Tensor, labels: Tensor, groups: Tensor | None = None, confidence: float = 0.95) -> Estimate:
    """Estimate the area under the ROC curve: the chance that a member scores above a nonmember, ties by half.

    The interval is DeLong's on the logit scale (Biometrics 44, 1988), clustered where duplicate groups are given
    (Obuchowski, Biometrics 53, 1997). With fewer than 5 errors it uses Student's t and DeLong's variance is steadied by a
    third of an error's weight of Hanley and McNeil's; with less than one error, or fewer than 100 groups a side, it is widened
    to contain Newcombe's (method 5) instead; at an AUC of 0 or 1 it is exact: tail^(1/k) for k disjoint pairs.

    Args:
        scores: (n,), any real dtype; higher means more likely a member.
        labels: (n,) bool or 0 and 1; 1 is a member.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        confidence: nominal coverage.

    Returns:
        the AUROC. Its method says which interval it is.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> scores, labels = torch.arange(400.0), torch.arange(400) % 4 > 1
        >>> print(auroc(scores, labels), auroc(scores, labels).method)
        0.505 [0.448, 0.561] DeLong, logit scale
    """
    placed = _placed(dense_ranks(scores), labels, groups)
    (low, high), method = _interval(placed, confidence)
    return Estimate(placed.area, low, high, confidence, method + _clustered(groups), placed.m + placed.n)


def auroc_difference(
    a: Tensor, b: Tensor, labels: Tensor, groups: Tensor | None = None, confidence: float = 0.95
) -> Estimate:
    """Estimate AUROC(a) - AUROC(b) of two scores of the same samples, paired.

    The interval is DeLong's paired one (Biometrics 44, 1988). Where either AUC rests on few samples or errors it uses
    Student's t and is widened to contain the one made of both AUCs' own intervals (MOVER). Scores that order the
    samples alike differ by exactly 0, with an interval of width 0.

    Args:
        a: (n,), any real dtype.
        b: (n,), scores of the same samples in the same order.
        labels: (n,) bool or 0 and 1; 1 is a member.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        confidence: nominal coverage.

    Returns:
        the difference, above 0 where a is the better score.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> scores, labels = torch.arange(400.0), torch.arange(400) % 4 > 1
        >>> print(auroc_difference(3 * scores, scores, labels))
        0.000 [0.000, 0.000]
    """
    of_a, of_b = dense_ranks(a), dense_ranks(b)
    first, second = _placed(of_a, labels, groups), _placed(of_b, labels, groups)
    if torch.equal(of_a, of_b):
        return Estimate(0.0, 0.0, 0.0, confidence, "the same order", len(a))
    (low, high), method = _difference(first, second, confidence)
    value = first.area - second.area
    return Estimate(value, max(low, -1.0), min(high, 1.0), confidence, method + _clustered(groups), len(a))


def p_above(auc: Estimate, two_sided: bool = False) -> float:
    """Return the p-value that an AUC's interval implies, of the true one being at most 0.5 (or 0.5, two-sided).

    The level at which the interval's end would meet 0.5, by normal quantiles on the logit scale; as wide as the interval
    is, so clustered where that is. At an AUC of 0 or 1 nothing is known between the interval's own level and a half.

    Args:
        auc: an AUROC with its interval.
        two_sided: whether an AUC below 0.5 counts as much as one above.

    Example:
        >>> p_above(Estimate(0.6, 0.5, 0.69, 0.95, "DeLong, logit scale", 300))
        0.025
    """
    z = -float(ndtri(tail(auc.confidence)))
    if auc.value in (0, 1):
        end = auc.low if auc.value else 1 - auc.high
        reached = z if end > 0.5 else 0.0
        score = reached if auc.value else -reached
    else:
        end = auc.low if auc.value > 0.5 else auc.high
        width = abs(logit(auc.value) - logit(min(max(end, 1e-12), 1 - 1e-12)))
        score = z * float(logit(auc.value)) / width if width > 0 else 0.0
    above = float(ndtr(-score))
    return round(min(1.0, 2 * min(above, 1 - above)) if two_sided else above, 15)


def _placed(ranks: Tensor, labels: Tensor, groups: Tensor | None) -> Placements:
    """Place scores, and hold our exact count against torchmetrics, which works in float32 and takes the room it needs first."""
    truth = as_truth(labels, len(ranks))
    measured = float(  # its functional form never syncs processes
        binary_auroc(ranks.double().div_(max(1, int(ranks.max()))), truth.byte(), validate_args=False)
    )
    placed = place(ranks, truth, groups)
    if not abs(measured - placed.area) < 1e-6:
        raise ArithmeticError(f"AUROC is {placed.area} by counting and {measured} by torchmetrics")
    return placed


def _clustered(groups: Tensor | None) -> str:
    return "" if groups is None else ", clustered by duplicate group"


def _errors(placed: Placements) -> float:
    """Expected errors on the smaller side."""
    return placed.pairs * min(placed.area, 1 - placed.area)


def _few(placed: Placements, variance: float) -> bool:
    return placed.pairs < FEW or _errors(placed) < FEW_ERRORS or not variance > 0


def _interval(placed: Placements, confidence: float) -> tuple[Interval, str]:
    area, parts = placed.area, covariance(placed, placed)
    flawless = separated(placed.pairs, confidence)
    if area in (0, 1):
        return ((flawless, 1.0) if area == 1 else (0.0, 1 - flawless)), "exact, from disjoint pairs"
    variance = float(parts.sum())
    if not _few(placed, variance):
        return _logit(area, -ndtri(tail(confidence)) * sqrt(variance)), "DeLong, logit scale"
    sizes = placed.member_groups, placed.nonmember_groups
    method = "DeLong, logit scale, Student's t"
    if placed.pairs < FEW or _errors(placed) < 1 or not variance > 0:
        low, high = newcombe(area, *sizes, confidence)
        lower, upper = _logit(area, _reach(placed, parts, confidence))
        low, high, method = min(low, lower), max(high, upper), f"{method}, widened to Newcombe's method 5"
    else:
        weight = _errors(placed) / (_errors(placed) + STEADY)
        steadied = weight * variance + (1 - weight) * hanley_mcneil(area, *sizes)
        low, high = _logit(area, _reach(placed, parts * (steadied / variance), confidence))
        method += ", steadied by Hanley and McNeil's variance"
    # No error at all allows AUCs down to `flawless`; then an error or two must not allow less.
    return (min(low, flawless), max(high, 1 - flawless)), method


def _logit(area: float, reach: float) -> Interval:
    """Bound on the logit scale: there an interval near 0 or 1 is as lopsided as the truth."""
    half = reach / (area * (1 - area))
    return float(expit(logit(area) - half)), float(expit(logit(area) + half))


def _reach(placed: Placements, parts: Tensor, confidence: float) -> float:
    """Half an interval: Student's t by Satterthwaite's degrees of freedom, times the standard error."""
    variance = float(parts.sum())
    if not isfinite(variance):
        return inf
    if variance <= 0:
        return 0.0
    lone = float(parts[0] ** 2 / (placed.member_groups - 1) + parts[1] ** 2 / (placed.nonmember_groups - 1))
    freedom = max(1.0, float(parts[0] + parts[1]) ** 2 / lone) if lone > 0 else 1.0
    return float(-stdtrit(freedom, tail(confidence)) * sqrt(variance))


def _difference(a: Placements, b: Placements, confidence: float) -> tuple[Interval, str]:
    of_a, of_b, of_both = covariance(a, a), covariance(b, b), covariance(a, b)
    parts, value = of_a + of_b - 2 * of_both, a.area - b.area
    variance = float(parts.sum())
    if not (_few(a, float(of_a.sum())) or _few(b, float(of_b.sum())) or variance <= 0):
        half = float(-ndtri(tail(confidence)) * sqrt(variance))
        return (value - half, value + half), "paired DeLong"
    product = float(of_a.sum() * of_b.sum())
    known = isfinite(product) and product > 0
    correlation = max(-1.0, min(1.0, float(of_both.sum()) / sqrt(product))) if known else 0.0
    low, high = mover(a.area, _interval(a, confidence)[0], b.area, _interval(b, confidence)[0], correlation)
    half = _reach(a, parts, confidence)
    return (min(low, value - half), max(high, value + half)), "paired DeLong, Student's t, widened to MOVER"
