"""The two sides of an audit: the scores of members, and those of nonmembers."""

from __future__ import annotations

import torch
from torch import Tensor

from lmia.errors import LmiaError
from lmia.evidence.ranks import as_finite


def as_labels(labels: Tensor, n: int) -> Tensor:
    """Check labels and return them as booleans.

    Args:
        labels: (n,) bool, or integers 0 and 1; 1 is a member.
        n: how many scores they belong to.

    Returns:
        (n,) bool on the CPU.

    Raises:
        ValueError: another shape, or a value besides 0 and 1.

    Example:
        >>> as_labels(torch.tensor([1, 0]), 2)
        tensor([ True, False])
    """
    if labels.shape != (n,):
        raise ValueError(f"labels must have one entry a score, ({n},), but have the shape {tuple(labels.shape)}")
    plain = labels.detach().to("cpu")
    others = int(((plain != 0) & (plain != 1)).sum())
    if others:
        raise ValueError(f"{others} of {n} labels are neither 0 (nonmember) nor 1 (member)")
    return plain == 1


def as_truth(labels: Tensor, n: int) -> Tensor:
    """Check labels of which both kinds must be there.

    Args:
        labels: (n,) bool, or integers 0 and 1; 1 is a member.
        n: how many scores they belong to.

    Returns:
        (n,) bool on the CPU.

    Raises:
        ValueError: another shape, or a value besides 0 and 1.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> as_truth(torch.tensor([1, 0]), 2)
        tensor([ True, False])
    """
    members = as_labels(labels, n)
    counted = int(members.sum())
    if counted in (0, n):
        missing = "members" if counted == 0 else "nonmembers"
        raise LmiaError(
            f"There are no {missing} among the {n} scored pairs, so nothing can be told apart.",
            "Give pairs of both kinds: `--members` and `--nonmembers`.",
        )
    return members


def sides(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Split scores by truth.

    Args:
        scores: (n,), any real dtype.
        labels: (n,) bool or 0 and 1; 1 is a member.

    Returns:
        the members' scores (m,) and the nonmembers' (n - m,), both float64.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> sides(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1, 0, 1]))
        (tensor([3., 2.], dtype=torch.float64), tensor([1.], dtype=torch.float64))
    """
    values = as_finite(scores)
    members = as_truth(labels, len(values))
    return values[members], values[~members]


def as_groups(groups: Tensor | None, n: int) -> Tensor:
    """Number duplicate groups densely; without groups every sample is a group of its own.

    Args:
        groups: (n,) int64, equal where samples are duplicates of each other; or None.
        n: how many samples.

    Returns:
        (n,) int64 from 0 to the number of groups - 1.

    Raises:
        ValueError: another shape, or not integers.

    Example:
        >>> as_groups(torch.tensor([70, 5, 70]), 3)
        tensor([1, 0, 1])
    """
    if groups is None:
        return torch.arange(n)
    plain = countable(groups, n)
    return ((torch.bincount(plain) > 0).cumsum(0) - 1)[plain]


def countable(groups: Tensor, n: int) -> Tensor:
    """Number duplicate groups so that they can be counted; not every number need be one's.

    Args:
        groups: (n,) integers, equal where samples are duplicates of each other.
        n: how many samples.

    Returns:
        (n,) int64 from 0 to at most 4 n, in the order of the groups': themselves where they are such, which takes no sorting.

    Raises:
        ValueError: another shape, or not integers.

    Example:
        >>> countable(torch.tensor([3, 5, 3]), 3), countable(torch.tensor([-70, 5, -70]), 3)
        (tensor([3, 5, 3]), tensor([0, 1, 0]))
    """
    if groups.shape != (n,) or groups.is_floating_point():
        raise ValueError(f"groups must be ({n},) integers, but are {tuple(groups.shape)} {groups.dtype}")
    plain = groups.detach().to("cpu").long()
    if n and int(plain.min()) >= 0 and int(plain.max()) < 4 * n:
        return plain
    numbered: Tensor = torch.unique(plain, return_inverse=True)[1]
    return numbered


def distinct(groups: Tensor) -> int:
    """Count the groups.

    Args:
        groups: (n,) integers, equal for duplicates.

    Example:
        >>> distinct(torch.tensor([70, 5, 70]))
        2
    """
    return int((torch.bincount(countable(groups, len(groups))) > 0).sum())


def one_each(groups: Tensor | None, n: int) -> Tensor:
    """Take the first sample of each group: copies of one sample are no new draws.

    Args:
        groups: (n,) integers, equal for duplicates; None where samples are independent.
        n: how many samples.

    Returns:
        (k,) int64, ascending positions, one for each of k groups.

    Example:
        >>> one_each(torch.tensor([7, 5, 7, 9]), 4).tolist(), one_each(None, 2).tolist()
        ([0, 1, 3], [0, 1])
    """
    numbered = as_groups(groups, n)
    first = torch.full((int(numbered.max()) + 1 if n else 0,), n, dtype=torch.int64)
    return first.scatter_reduce(0, numbered, torch.arange(n), "amin").sort().values


def independent(groups: Tensor | None, n: int) -> float:
    """Say how many independent samples n grouped ones are worth, if those of a group say the same (Kish 1965).

    Args:
        groups: (n,) integers, equal for duplicates; None where samples are independent.
        n: how many samples.

    Returns:
        n^2 over the sum of the squared sizes of the groups: their number, where all are as large.

    Example:
        >>> independent(None, 6), independent(torch.tensor([0, 0, 1, 1, 2, 2]), 6)
        (6.0, 3.0)
    """
    if groups is None:
        return float(n)
    sizes = torch.bincount(countable(groups, n)).double()
    return n**2 / float((sizes**2).sum()) if n else 0.0
