"""Thresholds and p-values with a guarantee, from calibration nonmembers alone (split conformal prediction)."""

from __future__ import annotations

from math import ceil, floor

import torch
from scipy.special import betaincinv
from torch import Tensor

from lmia.evidence.accuracy import balanced_accuracy, share
from lmia.evidence.bounds import tail
from lmia.evidence.estimate import Estimate
from lmia.evidence.ranks import as_finite
from lmia.evidence.results import Threshold
from lmia.evidence.sides import as_labels
from lmia.evidence.tpr import check_fpr

FEW_ABOVE = 10
"""Calibration scores at or above the threshold below which its true FPR is too uncertain to go without a warning."""


def conformal_threshold(calibration: Tensor, fpr: float) -> float | None:
    """Take the threshold that a new nonmember exceeds with probability fpr at most, averaged over calibration sets.

    The ceil((m + 1)(1 - fpr))-th smallest calibration score (Vovk, Gammerman and Shafer 2005; exchangeability of the
    calibration scores and the new one is all it needs). Ties only lower the achieved FPR.

    Args:
        calibration: (m,) scores of nonmembers that no attack was fitted on, any real dtype.
        fpr: false positive rate, strictly between 0 and 1.

    Returns:
        tau, to be used as: member if score > tau. None where m < 1/fpr - 1.

    Raises:
        ValueError: a score is NaN or infinite.
        LmiaError: fpr is not between 0 and 1.

    Example:
        >>> conformal_threshold(torch.arange(99.0), 0.05)
        94.0
        >>> conformal_threshold(torch.arange(98.0), 0.01) is None
        True
    """
    check_fpr(fpr)
    ordered = as_finite(calibration).sort().values
    above = _above(len(ordered), fpr)
    return float(ordered[len(ordered) - above]) if above else None


def conformal_p(scores: Tensor, calibration: Tensor) -> Tensor:
    """Compute conformal p-values, p = (1 + #{calibration >= s})/(m + 1), under the null that s is a nonmember's.

    Args:
        scores: (n,), any real dtype.
        calibration: (m,) scores of nonmembers that no attack was fitted on.

    Returns:
        (n,) float64 in [1/(m + 1), 1].

    Raises:
        ValueError: a score is NaN or infinite.

    Example:
        >>> conformal_p(torch.tensor([9.0, 1.0]), torch.tensor([0.0, 1.0, 2.0]))
        tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    ordered = as_finite(calibration).sort().values
    below = torch.searchsorted(ordered, as_finite(scores))
    return (1 + len(ordered) - below).double() / (len(ordered) + 1)


def benjamini_hochberg(p: Tensor) -> Tensor:
    """Turn p-values into q-values: the smallest false discovery rate at which each would be a discovery.

    Benjamini and Hochberg (J. R. Stat. Soc. B 57, 1995). Valid on conformal p-values of one calibration set, which
    depend on each other positively (Bates et al., Annals of Statistics 51, 2023).

    Args:
        p: (n,) in [0, 1].

    Returns:
        (n,) float64 in [0, 1], none below its p.

    Raises:
        ValueError: a p-value is NaN or outside [0, 1].

    Example:
        >>> benjamini_hochberg(torch.tensor([0.5, 0.01, 0.04], dtype=torch.float64))
        tensor([0.5000, 0.0300, 0.0600], dtype=torch.float64)
    """
    values = as_finite(p)
    if len(values) == 0:
        return values
    if float(values.min()) < 0 or float(values.max()) > 1:
        raise ValueError(f"p-values must lie in [0, 1], but reach from {values.min():g} to {values.max():g}")
    ordered, order = values.sort(descending=True)
    n = len(values)
    share = ordered * n / torch.arange(n, 0, -1, dtype=torch.float64)
    q = torch.empty_like(values)
    q[order] = share.cummin(0).values.clamp(max=1)
    return q


def deploy(
    scores: Tensor,
    labels: Tensor | None,
    calibration: Tensor,
    fpr: float,
    groups: Tensor | None = None,
    confidence: float = 0.95,
) -> Threshold:
    """Set the conformal threshold and see what it achieves on the audited samples, where their truth is known.

    Args:
        scores: (n,) of the audited samples, any real dtype.
        labels: (n,) bool or 0 and 1, 1 a member, one side may be missing; None where the truth is unknown (suspects).
        calibration: (m,) scores of nonmembers that no attack was fitted on, disjoint from the audited ones.
        fpr: false positive rate to promise.
        groups: (n,) integers, equal for duplicates, which count once in the intervals; None where samples are independent.
        confidence: nominal coverage of the achieved rates' intervals.

    Returns:
        the threshold, with a note where there is none or its true FPR is very uncertain.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: fpr is not between 0 and 1.

    Example:
        >>> scores, labels = torch.arange(100.0), torch.arange(100) >= 50
        >>> found = deploy(scores, labels, torch.arange(99.0) / 2, 0.1)
        >>> print(found.value, found.achieved_fpr, found.achieved_tpr)
        44.5 0.100 [0.033, 0.218] 1.000 [0.929, 1.000]
    """
    values, m = as_finite(scores), len(calibration)
    tau = conformal_threshold(calibration, fpr)
    note = _note(m, fpr, confidence)
    if tau is None or labels is None:
        return Threshold(fpr, tau, m, note=note)
    called, members = values > tau, as_labels(labels, len(values))
    achieved_fpr, achieved_tpr = (_share(called, side, groups, confidence) for side in (~members, members))
    both = balanced_accuracy(achieved_tpr, achieved_fpr) if achieved_fpr and achieved_tpr else None
    return Threshold(fpr, tau, m, achieved_fpr, achieved_tpr, both, note)


def _above(m: int, fpr: float) -> int:
    """Count the calibration scores at or above the threshold: floor((m + 1) fpr), rounding errors aside."""
    return floor((m + 1) * fpr + 1e-9)


def _share(called: Tensor, side: Tensor, groups: Tensor | None, confidence: float) -> Estimate | None:
    return share(called[side], None if groups is None else groups[side], confidence) if side.any() else None


def _note(m: int, fpr: float, confidence: float) -> str:
    above = _above(m, fpr)
    if above == 0:
        return f"not possible: needs {ceil(1 / fpr - 1 - 1e-9)} calibration nonmembers, has {m}"
    if above >= FEW_ABOVE:
        return ""
    low, high = (float(betaincinv(above, m + 1 - above, p)) for p in (tail(confidence), 1 - tail(confidence)))
    return (
        f"{m} calibration nonmembers keep the FPR on average; with these {m} it may be {low:.2g} to {high:.2g} "
        f"({confidence:.0%})"
    )
