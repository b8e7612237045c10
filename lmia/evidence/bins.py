"""Score histograms of several groups in common bins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from lmia.evidence.ranks import as_finite
from lmia.evidence.results import Histogram


def histogram(groups: Mapping[str, Tensor], bins: int = 60) -> Histogram:
    """Count scores by group, in bins of equal width that span all groups.

    Args:
        groups: name to scores (n_g,), any real dtype; a group may be empty, not all of them.
        bins: how many, at least 1.

    Returns:
        the edges and each group's counts, which add up to its size.

    Raises:
        ValueError: a score is NaN or infinite, there is no score at all, or no bin.

    Example:
        >>> import torch
        >>> histogram({"members": torch.tensor([1.0, 3.0]), "nonmembers": torch.tensor([-1.0])}, bins=2).counts
        {'members': (0, 2), 'nonmembers': (1, 0)}
    """
    scores = {name: as_finite(group).numpy() for name, group in groups.items()}
    filled = [group for group in scores.values() if len(group)]
    if not filled or bins < 1:
        raise ValueError(f"cannot draw {bins} bins of {sum(map(len, scores.values()))} scores")
    low, high = min(float(group.min()) for group in filled), max(float(group.max()) for group in filled)
    if low == high:
        margin = max(0.5, abs(low) * 1e-3)
        low, high = low - margin, high + margin
    edges = np.linspace(low, high, bins + 1)
    counts = {name: tuple(np.histogram(group, edges)[0].tolist()) for name, group in scores.items()}
    return Histogram(tuple(edges.tolist()), counts)
