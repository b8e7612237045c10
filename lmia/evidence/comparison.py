"""Like compared with like: the two sides of an audit, cut into strata of a score made without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.evidence.adjusted import adjusted_auroc, adjusted_difference, overlap, strata
from lmia.evidence.auc import p_above
from lmia.evidence.baselines.blind import Baseline
from lmia.evidence.estimate import Estimate
from lmia.evidence.multiplicity import holm, max_statistic

STRATA = 10
"""Strata that each half of the pairs is cut into, where it holds enough."""
FEW, FEWEST = 10, 4
"""Samples of the smaller side that a stratum should hold, and the least number of strata all the same. The number is even:
of an odd one the middle stratum would hold both of two sides that lie wholly apart."""


MANY = 50_000
"""Samples above which labels are not dealt anew: it would take a minute, to find what the normal limit gives."""
MOVED = 0.9
"""Share of the samples that must be able to trade labels with others of their kind for a permutation to be a fair test."""


@dataclass(frozen=True)
class Comparison:
    """The two sides of an audit, and which pairs of them are alike.

    Args:
        labels: (n,) True for members, or for suspects.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        strata: (n,) int64; samples of one stratum look alike to the blind baselines.
        overlap: how much of either side has a counterpart in its stratum, 0 to 1; None where there was no blind score.
        kind: the baseline whose score the strata are of; empty where there was none.
        seed: of permutations.
        confidence: of every interval.
    """

    labels: Tensor
    groups: Tensor | None
    strata: Tensor
    overlap: float | None
    kind: str
    seed: int = 0
    confidence: float = 0.95

    def adjusted(self, scores: Tensor) -> Estimate | None:
        """Estimate the AUC among like pairs; None where no stratum holds both sides."""
        return adjusted_auroc(scores, self.labels, self.strata, self.groups, self.confidence)

    def above(self, scores: Tensor, others: Tensor) -> Estimate | None:
        """Estimate the AUC of `scores` among like pairs minus that of `others`, paired."""
        return adjusted_difference(scores, others, self.labels, self.strata, self.groups, self.confidence)

    def tested(self, scores: Sequence[Tensor], two_sided: bool = False) -> Significance:
        """Test k scores, each (n,), of telling the sides apart among like pairs.

        Labels are dealt anew within strata. Where pairs come in clusters, few can trade labels with one of their kind; and
        of very many pairs the interval is as exact as so many deals. The p-values are then those of the clustered
        intervals, with Holm's correction.
        """
        if len(self.labels) <= MANY:
            each = torch.stack([one.double() for one in scores])
            dealt = max_statistic(
                each, self.labels, self.groups, seed=self.seed, two_sided=two_sided, strata=self.strata
            )
            if dealt.moved >= MOVED:
                return Significance(dealt.alone, dealt.best, "labels dealt anew within strata")
        estimates = [self.adjusted(one) for one in scores]
        alone = torch.tensor([1.0 if one is None else p_above(one, two_sided) for one in estimates]).double()
        return Significance(alone, holm(alone), "clustered interval, Holm")


@dataclass(frozen=True)
class Significance:
    """P-values of k scores among like pairs.

    Args:
        alone: (k,) each score's own.
        best: (k,) corrected for having tried all k.
        method: how they were made.
    """

    alone: Tensor
    best: Tensor
    method: str


def compare(
    baselines: Sequence[Baseline],
    half: NDArray[np.bool_],
    labels: Tensor,
    groups: Tensor | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Cut the two sides into strata of the baseline that tells them apart best.

    Each half of the pairs is cut by itself, by the score of the model trained on the other half; so no pair is compared
    with one that its stratum was learned from. The baseline taken is that of the least overlap. Dealing labels anew within
    strata leaves every overlap as it is, so that this choice costs no significance.

    Args:
        baselines: as `blind_scores` gives them.
        half: (n,) True for the second half.
        labels: (n,) bool; True is a member.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        seed: of permutations.
        confidence: of every interval.

    Example:
        >>> score = np.arange(400.0)
        >>> one = Baseline("pixels", None, None, score)
        >>> found = compare([one], np.arange(400) % 2 == 0, torch.arange(400) % 4 > 1)
        >>> found.kind, len(found.strata.unique()), found.overlap
        ('pixels', 20, 1.0)
    """
    cut = [(one.kind, _strata(one.cross_fitted, half, labels)) for one in baselines if one.cross_fitted is not None]
    if not cut:
        return Comparison(labels, groups, torch.zeros(len(labels), dtype=torch.int64), None, "", seed, confidence)
    measured = [overlap(where, labels) for _, where in cut]
    least = int(np.argmin(measured))
    kind, where = cut[least]
    return Comparison(labels, groups, where, measured[least], kind, seed, confidence)


def _strata(scores: NDArray[np.float64], half: NDArray[np.bool_], labels: Tensor) -> Tensor:
    where = torch.zeros(len(labels), dtype=torch.int64)
    for side in (False, True):
        rows = torch.from_numpy(np.flatnonzero(half == side))
        truth = labels[rows]
        smaller = int(min(truth.sum(), (~truth).sum()))
        if smaller:
            count = max(FEWEST, min(STRATA, smaller // FEW // 2 * 2))
            where[rows] = strata(torch.from_numpy(scores)[rows], truth, count) + STRATA * int(side)
        else:
            where[rows] = STRATA * int(side)
    return where
