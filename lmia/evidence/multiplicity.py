"""P-values for several attacks at once: the best of many is high by chance more often than one alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.evidence.ranks import as_finite, dense_ranks
from lmia.evidence.sides import as_groups, as_labels, as_truth

_CELLS = 1_000_000
"""Labels permuted at once, at most, of 8 bytes each: bounds the memory, never the result."""

Floats = NDArray[np.float64]


def holm(p: Tensor) -> Tensor:
    """Adjust p-values so that one below alpha is a false alarm anywhere with probability alpha at most.

    Holm (Scandinavian Journal of Statistics 6, 1979): the i-th smallest of n times n - i + 1, none below an earlier one.
    Valid however the tests depend on each other.

    Args:
        p: (n,) in [0, 1].

    Returns:
        (n,) float64 in [0, 1], none below its p.

    Raises:
        ValueError: a p-value is NaN or outside [0, 1].

    Example:
        >>> holm(torch.tensor([0.5, 0.01, 0.03], dtype=torch.float64))
        tensor([0.5000, 0.0300, 0.0600], dtype=torch.float64)
    """
    values = as_finite(p)
    if len(values) == 0:
        return values
    if float(values.min()) < 0 or float(values.max()) > 1:
        raise ValueError(f"p-values must lie in [0, 1], but reach from {values.min():g} to {values.max():g}")
    ordered, order = values.sort()
    adjusted = torch.empty_like(values)
    adjusted[order] = (ordered * torch.arange(len(values), 0, -1)).cummax(0).values.clamp(max=1)
    return adjusted


@dataclass(frozen=True)
class Permuted:
    """P-values of k scores against labels dealt at random.

    Args:
        alone: (k,) each score's own, as if it were the only one.
        best: (k,) adjusted for the best of all k; never below `alone`.
        permutations: how many they rest on: no p-value lies below 1/(1 + permutations).
        moved: the share of samples whose labels could move at all; where it is small, p-values are too large.
    """

    alone: Tensor
    best: Tensor
    permutations: int
    moved: float = 1.0


def max_statistic(
    scores: Tensor,
    labels: Tensor,
    groups: Tensor | None = None,
    permutations: int = 2000,
    seed: int = 0,
    two_sided: bool = False,
    strata: Tensor | None = None,
) -> Permuted:
    """Test k scores at once against labels dealt at random: p-values adjusted for the best of k.

    Single-step maxT (Westfall and Young, Resampling-Based Multiple Testing, 1993) of each score's AUC, in units of its
    spread under independent labels, so that a score with many ties counts for as much as one without. It uses how the
    scores depend on each other: k copies of one score cost nothing. The scores must not have been fitted on these labels.

    Labels move by whole duplicate group, and only between groups of the same size; a group of both sides deals its own
    anew among its samples. So the number of members stays, and sides with larger groups cannot show as a difference. A
    group of a size of its own never moves: where none can, all p-values are 1.

    With strata the AUC is the adjusted one, of pairs within a stratum, and labels move within strata alone: between
    groups whose samples lie in the same strata. So what the strata hold of either side stays as it is, and does not show.

    Args:
        scores: (k, n), any real dtype; higher means more likely a member.
        labels: (n,) bool or 0 and 1; 1 is a member.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        permutations: B, at least 1.
        seed: of all permutations.
        two_sided: whether an AUC below 0.5 counts as well; the price is that of twice as many scores.
        strata: (n,) integers, equal within a stratum; None for one.

    Returns:
        (1 + b)/(1 + B), b the permutations whose statistic reaches this score's: its own, and the highest of all k.
        Exact in false alarms for any B (Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9, 2010).

    Raises:
        ValueError: a score is NaN or infinite, the shapes do not match, or there is no permutation.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> scores = torch.stack([torch.arange(40.0), torch.arange(40.0) % 7])
        >>> max_statistic(scores, torch.arange(40) >= 20, permutations=999).best
        tensor([0.0010, 0.7250], dtype=torch.float64)
    """
    if scores.ndim != 2 or permutations < 1:
        raise ValueError(f"scores must be (k, n), but are {tuple(scores.shape)}; permutations are {permutations}")
    truth = as_truth(labels, scores.shape[1])
    given = truth.numpy().astype(np.float64)
    where = as_groups(torch.zeros(len(truth), dtype=torch.int64) if strata is None else strata, len(truth)).numpy()
    blocks = _blocks(given, as_groups(groups, len(truth)).numpy(), where)
    signed, scale = _signed_ranks(scores, where)
    found = _statistics(given[None], signed, scale, two_sided)[0]
    streams = _streams(blocks, seed)
    alone, best = np.zeros(len(found), np.int64), np.zeros(len(found), np.int64)
    step = max(1, _CELLS // len(truth))
    for start in range(0, permutations, step):
        dealt = np.repeat(given[None], min(step, permutations - start), axis=0)
        for block, lots in zip(blocks, streams, strict=True):
            dealt[:, block.rows] = block.deal(lots, len(dealt))
        reached = _statistics(dealt, signed, scale, two_sided)
        alone += (reached >= found).sum(0)
        best += (reached.max(1, initial=-np.inf)[:, None] >= found).sum(0)
    each, highest = (torch.from_numpy((1 + count) / (1 + permutations)) for count in (alone, best))
    return Permuted(each, highest, permutations, sum(block.rows.size for block in blocks) / len(truth))


def dealt(labels: Tensor, groups: Tensor | None = None, seed: int = 0) -> Tensor:
    """Deal labels anew, once, as `max_statistic` does it many times: duplicates together, between groups of one size.

    Args:
        labels: (n,) bool or 0 and 1; 1 is a member.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        seed: of the deal.

    Returns:
        (n,) bool, as many members as before.

    Example:
        >>> dealt(torch.arange(6) < 2, torch.tensor([0, 0, 1, 1, 2, 2]), seed=1).tolist()
        [False, False, False, False, True, True]
    """
    truth = as_labels(labels, len(labels)).numpy()
    given = truth.astype(np.float64)
    blocks = _blocks(given, as_groups(groups, len(given)).numpy(), np.zeros(len(given), np.int64))
    for block, lots in zip(blocks, _streams(blocks, seed), strict=True):
        given[block.rows] = block.deal(lots, 1)[0]
    return torch.from_numpy(given > 0)


def _streams(blocks: Sequence[_Block], seed: int) -> list[list[np.random.Generator]]:
    """Give each block the generators that its deals need."""
    seeds = np.random.SeedSequence(seed).spawn(len(blocks))
    return [np.random.default_rng(own).spawn(1 + len(block.parts)) for own, block in zip(seeds, blocks, strict=True)]


def _signed_ranks(scores: Tensor, strata: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Count for each score how many of its stratum lie below minus how many above it, (n, k); and one over their spread.

    Summed over members it is 2 AUC - 1 times the pairs of a member and a nonmember within strata, in whole numbers: so
    equal statistics are equal to the last bit. With one stratum this is mn(2 AUC - 1).
    """
    columns, sizes = np.empty((scores.shape[1], len(scores))), np.bincount(strata)
    starts = (np.cumsum(sizes) - sizes)[strata]
    for i, score in enumerate(scores):
        ranks = dense_ranks(score).numpy()
        order = np.unique(strata * (int(ranks.max()) + 1) + ranks, return_inverse=True)[1]
        at = np.bincount(order)
        columns[:, i] = (2 * np.cumsum(at) - at)[order] - 2 * starts - sizes[strata]
    norms = np.sqrt((columns**2).sum(0))
    return columns, np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)


def _statistics(dealt: Floats, signed: Floats, scale: Floats, two_sided: bool) -> Floats:
    """Compute every score's statistic under every deal of labels, (b, k)."""
    sums: Floats = (dealt @ signed) * scale
    return np.abs(sums) if two_sided else sums


@dataclass(frozen=True)
class _Block:
    """The groups of one kind, between which labels may move.

    Args:
        rows: (g, c) the c samples of each group, by stratum.
        held: (g, c) their labels, 0.0 and 1.0.
        mixed: the groups that hold both sides.
        parts: columns that lie in one stratum.
    """

    rows: NDArray[np.int64]
    held: Floats
    mixed: NDArray[np.int64]
    parts: tuple[slice, ...]

    def deal(self, streams: Sequence[np.random.Generator], times: int) -> Floats:
        """Deal the labels anew, (times, g, c) or (times, g, 1).

        Args:
            streams: one for the order of the groups and one for each part, so that so many deals at a time change none.
            times: how many deals.
        """
        (lots, *within), count = streams, len(self.held)
        if len(self.mixed) == 0:  # whole groups of one side: those of the lowest lots, without sorting them all
            drawn, last = lots.random((times, count)), int(self.held[:, 0].sum()) - 1
            return (drawn <= np.partition(drawn, last, axis=1)[:, last, None])[:, :, None].astype(np.float64)
        held = np.repeat(self.held[None], times, axis=0)
        for part, random in zip(self.parts, within, strict=True):
            held[:, self.mixed, part] = random.permuted(held[:, self.mixed, part], axis=2)
        order = lots.permuted(np.tile(np.arange(count), (times, 1)), axis=1)
        return np.take_along_axis(held, order[:, :, None], axis=1)


def _blocks(labels: Floats, groups: NDArray[np.int64], strata: NDArray[np.int64]) -> list[_Block]:
    """Sort groups by the strata that their samples lie in; of a kind that only one side has, none can move."""
    kind, sizes = _kinds(groups, strata)[groups], np.bincount(groups)
    order = np.lexsort((strata, groups, kind))
    found = []
    for some in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
        rows = some.reshape(-1, sizes[groups[some[0]]])
        held = labels[rows]
        if 0 < held.mean() < 1:
            cuts = [0, *(np.flatnonzero(np.diff(strata[rows[0]])) + 1), rows.shape[1]]
            parts = tuple(slice(*ends) for ends in pairwise(cuts))
            found.append(_Block(rows, held, np.flatnonzero(held.min(1) != held.max(1)), parts))
    return found


def _kinds(groups: NDArray[np.int64], strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups by which strata their samples lie in, how many in each, (g,)."""
    order = np.lexsort((strata, groups))
    ends = np.cumsum(np.bincount(groups))[:-1]
    held = np.split(strata[order], ends)
    names: dict[bytes, int] = {}
    return np.array([names.setdefault(one.tobytes(), len(names)) for one in held], np.int64)
