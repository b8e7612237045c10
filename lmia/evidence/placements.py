"""Placements: where each score falls among the other side's, from which AUC and its variance follow by ranks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lmia.evidence.sides import as_groups, as_truth


@dataclass(frozen=True)
class Placements:
    """The AUC and each independent group's part in its error (DeLong 1988; clustered: Obuchowski 1997).

    A member's placement is the share of nonmembers below it, ties by half; a nonmember's, of members above it.

    Args:
        area: the AUC, exact.
        members: (g,), each group's sum of its members' placements minus area.
        nonmembers: (g,), likewise of its nonmembers.
        m: members.
        n: nonmembers.
        member_groups: groups that hold a member.
        nonmember_groups: groups that hold a nonmember.
    """

    area: float
    members: Tensor
    nonmembers: Tensor
    m: int
    n: int
    member_groups: int
    nonmember_groups: int

    @property
    def pairs(self) -> int:
        """How many pairs of a member and a nonmember there are that share no group."""
        return max(1, min(self.member_groups, self.nonmember_groups, len(self.members) // 2))


def place(ranks: Tensor, labels: Tensor, groups: Tensor | None = None) -> Placements:
    """Place every score among the other side's, in O(n).

    Args:
        ranks: (n,) int64, `dense_ranks` of the scores.
        labels: (n,) bool or 0 and 1; 1 is a member.
        groups: (n,) int64, equal for duplicates; None where samples are independent.

    Returns:
        the placements, summed by group.

    Raises:
        ValueError: the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> place(torch.tensor([2, 1, 1, 0]), torch.tensor([1, 1, 0, 0])).area
        0.875
    """
    truth = as_truth(labels, len(ranks))
    where = as_groups(groups, len(ranks))
    count, values = int(where.max()) + 1, int(ranks.max()) + 1
    members, nonmembers = ranks[truth], ranks[~truth]
    above = _share_below(nonmembers, values)[members]
    below = 1 - _share_below(members, values)[nonmembers]
    area = float(above.mean())
    return Placements(
        area=area,
        members=torch.zeros(count, dtype=torch.float64).index_add_(0, where[truth], above - area),
        nonmembers=torch.zeros(count, dtype=torch.float64).index_add_(0, where[~truth], below - area),
        m=len(members),
        n=len(nonmembers),
        member_groups=_distinct(where[truth], count),
        nonmember_groups=_distinct(where[~truth], count),
    )


def covariance(a: Placements, b: Placements) -> Tensor:
    """Estimate the covariance of two AUCs of the same samples, in three parts that add up to it.

    Obuchowski (Biometrics 53, 1997) for clustered data, which is DeLong's where every group holds one sample.

    Args:
        a: placements by one score.
        b: placements of the same samples by another, or a again for its variance.

    Returns:
        (3,) float64: the members' part, the nonmembers', and that of groups which hold both; all infinite where a
        side has one group only, about whose variance nothing is known.

    Example:
        >>> placed = place(torch.tensor([2, 1, 1, 0]), torch.tensor([1, 1, 0, 0]))
        >>> covariance(placed, placed)
        tensor([0.0156, 0.0156, 0.0000], dtype=torch.float64)
    """
    if min(a.member_groups, a.nonmember_groups) < 2:
        return torch.full((3,), torch.inf, dtype=torch.float64)
    of_members = _unbiased(a.member_groups) * (a.members @ b.members) / a.m**2
    of_nonmembers = _unbiased(a.nonmember_groups) * (a.nonmembers @ b.nonmembers) / a.n**2
    of_both = (a.members @ b.nonmembers + b.members @ a.nonmembers) / (a.m * a.n)
    return torch.stack([of_members, of_nonmembers, _unbiased(len(a.members)) * of_both])


def _share_below(ranks: Tensor, values: int) -> Tensor:
    """Look up for each of the distinct values what share of these ranks lies below it, ties by half."""
    at = torch.bincount(ranks, minlength=values)
    return (2 * at.cumsum(0) - at).double() / (2 * len(ranks))


def _distinct(groups: Tensor, count: int) -> int:
    return int((torch.bincount(groups, minlength=count) > 0).sum())


def _unbiased(groups: int) -> float:
    return groups / (groups - 1)
