"""Ranks: the form in which scores reach torchmetrics, which takes anything outside [0, 1] for logits."""

from __future__ import annotations

import torch
from torch import Tensor


def as_finite(scores: Tensor) -> Tensor:
    """Check scores and return them in float64, where comparing them across dtypes is exact.

    Args:
        scores: (n,), any real dtype, bf16 among them.

    Returns:
        (n,) float64 on the CPU.

    Raises:
        ValueError: not a vector, or some scores are NaN or infinite (says how many of each).

    Example:
        >>> as_finite(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
        tensor([ 1.5000, -2.0000], dtype=torch.float64)
    """
    if scores.ndim != 1:
        raise ValueError(f"scores must be a vector (n,), but have the shape {tuple(scores.shape)}")
    wide = scores.detach().to("cpu", torch.float64)
    if not wide.isfinite().all():
        nan, infinite = int(wide.isnan().sum()), int(wide.isinf().sum())
        raise ValueError(f"{nan} of {len(wide)} scores are NaN and {infinite} are infinite")
    return wide


def dense_ranks(scores: Tensor) -> Tensor:
    """Number the distinct values of scores from 0 upwards: order and ties are kept, all else is dropped.

    Args:
        scores: (n,), any real dtype.

    Returns:
        (n,) int64 from 0 to the number of distinct values - 1.

    Raises:
        ValueError: a score is NaN or infinite.

    Example:
        >>> dense_ranks(torch.tensor([-7.0, 40.0, 40.0, 3.0]))
        tensor([0, 2, 2, 1])
    """
    ordered, order = as_finite(scores).sort()
    steps = torch.zeros_like(order)
    steps[1:] = ordered[1:] != ordered[:-1]
    ranks = torch.empty_like(order)
    ranks[order] = steps.cumsum(0)
    return ranks


def as_ranks(scores: Tensor) -> Tensor:
    """Map scores into [0, 1], keeping their order and their ties: the i-th of k distinct values becomes i/(k - 1).

    A score outside [0, 1] would be taken for a logit by torchmetrics, per update call: a true AUC of 0.58 was shown
    as 0.54. Ranks are dense (tied scores share one rank, none is averaged) and float64, so that ten million distinct
    values stay distinct.

    Args:
        scores: (n,), any real dtype.

    Returns:
        (n,) float64 in [0, 1]; all 0 where all scores are equal.

    Raises:
        ValueError: a score is NaN or infinite.

    Example:
        >>> as_ranks(torch.tensor([-7.0, 40.0, 40.0, 3.0]))
        tensor([0.0000, 1.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    dense = dense_ranks(scores)
    return dense.double() / max(1, int(dense.max())) if len(dense) else dense.double()
