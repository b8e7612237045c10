"""The positive control: members that are known to have been shown again and again must be found, or the attack is blind."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lmia.evidence.auc import auroc
from lmia.evidence.bounds import tail
from lmia.evidence.estimate import Estimate
from lmia.evidence.repeated import Positive, Positives
from lmia.evidence.verdict import lower_end


def positives(
    scores: Mapping[str, Tensor], labels: Tensor, repeats: Tensor, groups: Tensor | None, confidence: float = 0.95
) -> Positives:
    """Judge every attack on the members that were shown more than once, and on the others.

    Args:
        scores: `(n,)` by attack; higher means more likely a member.
        labels: `(n,)` bool; True is a member.
        repeats: `(n,)` int, how often a member was shown; of non-members not looked at.
        groups: `(n,)` int64, equal for duplicates; None where samples are independent.
        confidence: nominal coverage of every interval.

    Example:
        >>> scores, labels = torch.tensor([9.0, 8.0, 1.0, 2.0, 3.0]), torch.tensor([1, 1, 1, 0, 0]).bool()
        >>> found = positives({"csa": scores}, labels, torch.tensor([4, 8, 1, 0, 0]), None)
        >>> found.members, found.rest, found.times, found.attacks[0].repeated.value, found.attacks[0].rest.value
        (2, 1, 6.0, 1.0, 0.0)
    """
    many = labels & (repeats > 1)
    few = labels & ~many

    def auc(mine: Tensor, one: Tensor) -> Estimate | None:
        keep = mine | ~labels
        if not mine.any() or labels.all():
            return None
        return auroc(one[keep], labels[keep], None if groups is None else groups[keep], confidence)

    found = [Positive(name, auc(many, one), auc(few, one)) for name, one in scores.items()]
    judged = [one.repeated for one in found if one.repeated is not None]
    best = max(judged, key=lambda one: one.value, default=None)
    seen = best is not None and lower_end(best, tail(confidence) / len(judged)) > 0.5
    times = float(torch.quantile(repeats[many].double(), 0.5)) if many.any() else None
    return Positives(int(many.sum()), int(few.sum()), times, found, seen)
