"""What an attack makes of the pairs of one level of repeats, against pairs that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from lmia.evidence import auroc, tpr_at_fpr
from lmia.evidence.auc import p_above
from lmia.evidence.estimate import Estimate
from lmia.evidence.results import TPR
from lmia.report.run import Run


@dataclass(frozen=True)
class Level:
    """One attack on one level in one training.

    Args:
        seed: of the training.
        attack: its name in the report.
        repeats: how often an epoch showed the level's pairs.
        members: how many of them were judged.
        nonmembers: how many held-out pairs they were judged against.
        auc: of these members against those non-members, with the interval whose lower end decides; None where the attack
            gave no scores, or no pair of the level was judged.
        p: one-sided, of the AUC being 0.5 at most; corrected.
        tprs: members found at false positive rates.
    """

    seed: int
    attack: str
    repeats: int
    members: int = 0
    nonmembers: int = 0
    auc: Estimate | None = None
    p: float | None = None
    tprs: Sequence[TPR] = ()

    @property
    def found(self) -> bool:
        """Whether the lower end lies above 0.5."""
        return self.auc is not None and self.auc.low > 0.5


def judged(
    scores: Tensor,
    repeats: Tensor,
    groups: Tensor | None,
    levels: Sequence[int],
    alpha: float,
    tests: int = 0,
    fprs: Sequence[float] = (),
    seed: int = 0,
    attack: str = "",
) -> list[Level]:
    """Judge one attack level by level, each against the same non-members.

    Intervals and p-values are Bonferroni's over `tests`: a lower end is one-sided at alpha / tests, a p-value is multiplied by
    tests, and one is below alpha exactly where the other is above 0.5. Holm's method has the same p-values or smaller ones, but no
    intervals to draw.

    Args:
        scores: `(n,)`, higher = more likely a member.
        repeats: `(n,)` int, how often an epoch showed a pair; 0 for held-out ones.
        groups: `(n,)` int64, equal for duplicates; None where pairs are independent.
        levels: that were planted, ascending.
        alpha: chance of a false alarm over all tests.
        tests: how many there are, levels times attacks; those of this attack alone where 0.
        fprs: rates to give the true positive rate at.
        seed: of the training, and of the bootstrap.
        attack: its name.

    Example:
        >>> scores, repeats = torch.arange(400.0) % 200, torch.tensor([0, 1]).repeat_interleave(200)
        >>> scores[repeats == 1] += torch.tensor([0.0, 80.0]).repeat(100)
        >>> repeats[201::2] = 8
        >>> [(one.repeats, one.members, one.found) for one in judged(scores, repeats, None, [1, 8], 0.01)]
        [(1, 100, False), (8, 100, True)]
    """
    tests, held_out = tests or len(levels), repeats == 0
    found = []
    for level in levels:
        keep = (repeats == level) | held_out
        members, nonmembers = int((repeats == level).sum()), int(held_out.sum())
        if not members or not nonmembers:
            found.append(Level(seed, attack, level, members, nonmembers))
            continue
        some, labels = scores[keep], ~held_out[keep]
        same = None if groups is None else groups[keep]
        auc = auroc(some, labels, same, confidence=1 - 2 * alpha / tests)
        tprs = [tpr_at_fpr(some, labels, fpr, same, seed=seed) for fpr in fprs]
        p = min(1.0, tests * p_above(auc))
        found.append(Level(seed, attack, level, members, nonmembers, auc, p, tprs))
    return found


def of_audit(run: Run, seed: int, levels: Sequence[int], alpha: float) -> list[Level]:
    """Judge every attack of a finished audit, level by level; one without scores has levels without an AUC."""
    found, attacks = [], run.report.attacks
    for one in attacks:
        rows = run.attacks.get(one.name)
        if rows is None:
            found += [Level(seed, one.name, level) for level in levels]
            continue
        sides = rows.only((rows.role == "members") | (rows.role == "nonmembers"))
        times = torch.from_numpy(np.where(sides.role == "members", sides.repeats, 0).astype(np.int64))
        fprs = [tpr.fpr for tpr in one.tprs]
        tests = len(levels) * len(attacks)
        scores, groups = torch.from_numpy(sides.score), sides.groups()
        same = None if groups is None else torch.from_numpy(groups)
        found += judged(scores, times, same, levels, alpha, tests, fprs, seed, one.name)
    return found


def shown(times: int, total: int, batch: int) -> float:
    """Return how often an epoch shows a pair of a level in the mean: copies that fall into one batch are shown once there.

    An epoch deals all copies at random into batches. That none of k copies of a pair falls into a batch of b of n places has
    the chance C(n - b, k) / C(n, k).

    Args:
        times: copies of the pair.
        total: copies of all pairs.
        batch: copies a batch.

    Example:
        >>> round(shown(2, 4, 2), 3), round(shown(8, 100, 10), 2), shown(8, 100, 100)
        (1.667, 5.83, 1.0)
    """
    whole, rest = divmod(total, batch)

    def missed(size: int) -> float:
        return prod(max(0, total - size - i) / (total - i) for i in range(times))

    return whole * (1 - missed(batch)) + (1 - missed(rest) if rest else 0.0)
