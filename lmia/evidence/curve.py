"""The ROC curve: whole for computing, thinned for drawing."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_roc

from lmia.evidence.ranks import as_ranks
from lmia.evidence.results import Curve
from lmia.evidence.sides import as_truth


def roc(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the empirical ROC curve at every distinct threshold, from (0, 0) to (1, 1).

    By torchmetrics on ranks. It divides in float32, so the counts behind the rates are restored and divided again.

    Args:
        scores: (n,), any real dtype; higher means more likely a member.
        labels: (n,) bool or 0 and 1; 1 is a member.

    Returns:
        FPR and TPR, (t + 1,) float64 each for t distinct scores, ascending.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> roc(torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([1, 1, 0, 0]))[1]
        tensor([0.0000, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """
    members = as_truth(labels, len(scores))
    fpr, tpr, _ = binary_roc(as_ranks(scores), members.long(), validate_args=False)
    m, n = int(members.sum()), int((~members).sum())
    return (fpr.double() * n).round() / n, (tpr.double() * m).round() / m


def thin_curve(fpr: Tensor, tpr: Tensor, points: int = 500) -> Curve:
    """Thin a ROC curve for drawing, on plain and on log-log axes.

    A fifth of the points each: the ends of the lowest steps, evenly in FPR, in TPR, in log FPR and in log TPR. Every
    point kept is a point of the curve.

    Args:
        fpr: (t,) ascending, as `roc` gives it.
        tpr: (t,) ascending.
        points: at most how many to keep, at least 10.

    Returns:
        the thinned curve with both its ends.

    Raises:
        ValueError: fewer than 10 points, an empty curve or shapes that do not match.

    Example:
        >>> axis = torch.linspace(0, 1, 100_001, dtype=torch.float64)
        >>> len(thin_curve(axis, axis.sqrt()).fpr) <= 500
        True
    """
    if points < 10 or len(fpr) == 0 or fpr.shape != tpr.shape:
        raise ValueError(f"cannot thin {len(fpr)} FPR and {len(tpr)} TPR to {points} points (at least 10)")
    if len(fpr) <= points:
        return Curve(tuple(fpr.tolist()), tuple(tpr.tolist()))
    share = points // 5
    ends = (fpr[1:] > fpr[:-1]).nonzero()[:, 0]
    kept = [torch.tensor([0, len(fpr) - 1]), ends[: share - 2]]
    for axis in (fpr.contiguous(), tpr.contiguous()):
        targets = torch.cat([_evenly(axis, share), _evenly_in_log(axis, share)])
        kept.append((torch.searchsorted(axis, targets, right=True) - 1).clamp(min=0))
    chosen = torch.tensor(sorted(set(torch.cat(kept).tolist())))
    return Curve(tuple(fpr[chosen].tolist()), tuple(tpr[chosen].tolist()))


def _evenly(axis: Tensor, count: int) -> Tensor:
    return torch.linspace(0, 1, count, dtype=axis.dtype)


def _evenly_in_log(axis: Tensor, count: int) -> Tensor:
    """Run from the smallest positive rate to 1."""
    smallest = float(axis[axis > 0].min()) if bool((axis > 0).any()) else 1.0
    return torch.logspace(float(torch.tensor(smallest).log10()), 0, count, dtype=axis.dtype)
