"""Slices: of which pairs the scores give more away, by what is known of these pairs without the model.

Members of a slice are compared with nonmembers of the same slice: long captions may score higher on both sides, and most
members may be long, without any slice standing out. What a slice is held against is the AUC of the other slices of its
column, each within itself, pooled.

What is tested of each slice: its AUC is that of its column's other slices. The p-values are

- exact where chance alone decides in which slice a pair is, once its side is known: slices are dealt anew among members,
  and among nonmembers, so that each keeps its numbers of both. Duplicate groups move as wholes, between groups of as
  many members and nonmembers; where most have no such counterpart p is right for many groups only (`dealing.Deal`);
- right for many pairs where slices differ in their scores, but not in their AUC: dealing anew then mixes what is unlike,
  so the difference is taken in units of its own error (Chung and Romano, Annals of Statistics 41, 2013).

All slices of all columns are corrected by Holm's method, which holds however they depend on each other. The largest
statistic of each deal would gain a little where columns are alike, but only in the first case: in the second, slices
depend on each other otherwise than dealt ones do (Chung and Romano, Journal of Econometrics 193, 2016).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.evidence.adjusted import adjusted_auroc
from lmia.evidence.auc import auroc
from lmia.evidence.bounds import mover, tail
from lmia.evidence.dealing import Ordered, contrast, dealt_p
from lmia.evidence.estimate import Estimate
from lmia.evidence.multiplicity import holm
from lmia.evidence.ranks import dense_ranks
from lmia.evidence.sides import as_groups, as_truth
from lmia.evidence.sliced import Slice, Slices
from lmia.evidence.slicing import Cut, Value, cut

LEAST = 30
"""Independent members, and nonmembers, that a slice needs, and what it is compared with: an AUC of 30 + 30 pairs is
known to about 0.15, and with fewer its error is no longer a measure of it."""


def auroc_by_slice(
    scores: Tensor,
    labels: Tensor,
    columns: Mapping[str, Sequence[Value]],
    groups: Tensor | None = None,
    *,
    bins: int = 4,
    words: int = 5,
    least: int = LEAST,
    permutations: int = 1999,
    seed: int = 0,
    confidence: float = 0.95,
) -> Slices:
    """Estimate the AUC inside each slice, and test whether it differs from the other slices'; see above what is tested.

    Of one score that was chosen before: over several attacks, multiply p by their number. The columns must not be made of
    the scores.

    Args:
        scores: (n,), any real dtype; higher means more likely a member.
        labels: (n,) bool or 0 and 1; 1 is a member.
        columns: n numbers or words by name, None where missing; such as `lmia.evidence.slicing.slice_columns` gives them.
        groups: (n,) int64, equal for duplicates, or for what else hangs together; None where samples are independent.
        bins: slices to aim for, of a column of numbers.
        words: most frequent words to make a slice of each.
        least: independent members, and nonmembers, that a slice needs, and what lies outside it.
        permutations: the most that are drawn for a column; fewer once no p-value can become small any more.
        seed: of the permutations.
        confidence: with which all intervals hold at once.

    Raises:
        ValueError: a score is NaN or infinite, lengths do not match, or a number is out of range.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> labels, young = torch.arange(400) % 2 == 0, torch.arange(400) < 100
        >>> scores = torch.randn(400, generator=torch.Generator().manual_seed(0)) + 2 * (labels & young)
        >>> found = auroc_by_slice(scores, labels, {"age": range(400)})
        >>> found.standing_out()[0].name, found.tests
        ('0 to 99', 4)
    """
    if least < 2 or permutations < 1:
        raise ValueError(f"slices need at least 2 pairs a side and 1 permutation, not {least} and {permutations}")
    tail(confidence)
    pairs = _Pairs.of(scores, labels, groups, least)
    cuts = [cut(name, list(values), bins, words) for name, values in columns.items()]
    if wrong := [f"{one.column} {len(one.codes)}" for one in cuts if len(one.codes) != len(pairs.truth)]:
        raise ValueError(f"columns must have one entry a score, {len(pairs.truth)}, but have: {', '.join(wrong)}")
    held = [pairs.independent(one) for one in cuts]
    shown = sum(int((counts.min(1) >= least).sum()) for counts in held)
    level = 1 - (1 - confidence) / max(1, shown)
    found = [
        pairs.judge(one, counts, level, permutations, np.random.default_rng([seed, i]))
        for i, (one, counts) in enumerate(zip(cuts, held, strict=True))
    ]
    slices, tests = _corrected(found)
    return Slices(slices, tests, confidence, permutations)


@dataclass(frozen=True)
class _Pairs:
    """The audited pairs: scores (n,), who is a member (n,), duplicate groups (n,), and the same in order of score."""

    scores: Tensor
    truth: NDArray[np.bool_]
    group: NDArray[np.int64]
    ordered: Ordered
    clustered: bool
    least: int

    @staticmethod
    def of(scores: Tensor, labels: Tensor, groups: Tensor | None, least: int) -> _Pairs:
        ranks = dense_ranks(scores)
        truth, group = as_truth(labels, len(ranks)).numpy(), as_groups(groups, len(ranks)).numpy()
        return _Pairs(ranks, truth, group, Ordered.of(ranks.numpy(), truth, group), groups is not None, least)

    def independent(self, one: Cut) -> NDArray[np.int64]:
        """Count the independent members and nonmembers of each slice, (k, 2)."""
        return np.array([self._counted(one.codes == i) for i in range(len(one.names))], np.int64).reshape(-1, 2)

    def judge(
        self, one: Cut, held: NDArray[np.int64], level: float, permutations: int, random: np.random.Generator
    ) -> list[Slice]:
        """Estimate and test every slice of a column; p-values not corrected yet."""
        codes, count, found = one.codes[self.ordered.rows], len(one.names), []
        correlation = contrast(self.ordered, codes[None], count).correlation[0]
        for i, name in enumerate(one.names):
            inside = one.codes == i
            outside = ~inside & (held.min(1) > 0)[one.codes]
            members, nonmembers = int(self.truth[inside].sum()), int((~self.truth[inside]).sum())
            reason = _reason(held[i], self._counted(outside), self.least)
            auc = self._auroc(inside, level) if held[i].min() >= self.least else None
            made = Slice(one.column, name, members, nonmembers, auc, reason=reason)
            found.append(made if reason else self._compared(made, outside, one.codes, float(correlation[i])))
        due = [i for i, each in enumerate(found) if not each.reason]
        if due:
            p = dealt_p(self.ordered, codes, count, due, permutations, random, self.least - 1).tolist()
            for i, value in zip(due, p, strict=True):
                found[i] = replace(found[i], p_alone=value)
        return found

    def _compared(self, made: Slice, outside: NDArray[np.bool_], codes: NDArray[np.int64], correlation: float) -> Slice:
        if made.auc is None:  # pragma: no cover (it has no reason, so it is large enough)
            return made
        rows = torch.from_numpy(outside)
        rest = adjusted_auroc(
            self.scores[rows],
            torch.from_numpy(self.truth)[rows],
            torch.from_numpy(codes)[rows],
            torch.from_numpy(self.group)[rows] if self.clustered else None,
            made.auc.confidence,
        )
        if rest is None:  # pragma: no cover (outside are slices of both sides only)
            return made
        a, b = made.auc, rest
        low, high = mover(a.value, (a.low, a.high), b.value, (b.low, b.high), correlation)
        ends = max(-1.0, low), min(1.0, high)
        difference = Estimate(a.value - b.value, *ends, a.confidence, "MOVER of both intervals", a.n + b.n)
        return replace(made, rest=rest, difference=difference)

    def _auroc(self, inside: NDArray[np.bool_], level: float) -> Estimate:
        rows = torch.from_numpy(inside)
        groups = torch.from_numpy(self.group)[rows] if self.clustered else None
        return auroc(self.scores[rows], torch.from_numpy(self.truth)[rows], groups, level)

    def _counted(self, rows: NDArray[np.bool_]) -> tuple[int, int]:
        """Count groups of members and of nonmembers by what they weigh: (sum n)^2 / sum n^2 (Kish 1965)."""
        sizes = (np.unique(self.group[rows & side], return_counts=True)[1] for side in (self.truth, ~self.truth))
        members, nonmembers = (int(each.sum() ** 2 / max(1, (each**2).sum()) + 1e-9) for each in sizes)
        return members, nonmembers


def _reason(inside: Sequence[int], outside: Sequence[int], least: int) -> str:
    """Say why a slice cannot be compared; nothing where it can."""
    if min(inside) < least:
        return f"too small: {inside[0]} independent members and {inside[1]} nonmembers, {least} of each are needed"
    if max(outside) == 0:
        return "there is no other slice to compare it with"
    if min(outside) < least:
        return f"too few outside it: {outside[0]} independent members and {outside[1]} nonmembers, {least} are needed"
    return ""


def _corrected(columns: Sequence[Sequence[Slice]]) -> tuple[tuple[Slice, ...], int]:
    """Correct p over all columns; where two slices are all there is of a column, both ask the same and count once."""
    family: list[float] = []
    places: list[int | None] = []
    for some in columns:
        due = [one.p_alone for one in some if one.p_alone is not None]
        once = len(due) == 2 and sum(one.members * one.nonmembers > 0 for one in some) == 2
        start = len(family)
        family += due[:1] if once else due
        numbers = iter([start, start] if once else range(start, len(family)))
        places += [None if one.p_alone is None else next(numbers) for one in some]
    p = holm(torch.tensor(family, dtype=torch.float64)).tolist()
    every = [one for some in columns for one in some]
    slices = [one if at is None else replace(one, p=p[at]) for one, at in zip(every, places, strict=True)]
    return tuple(slices), len(family)
