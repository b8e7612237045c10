"""The AUC among like pairs only: members and nonmembers compared within strata of a score made without the model.

Where the two sides differ by themselves, a raw AUC shows that difference. Within a stratum of a blind score members and
nonmembers look alike to it, so what an attack still tells apart there is not what the blind score saw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lmia.evidence.auc import _difference, _interval
from lmia.evidence.estimate import Estimate
from lmia.evidence.placements import Placements
from lmia.evidence.ranks import dense_ranks
from lmia.evidence.sides import as_groups, as_truth


def strata(blind: Tensor, labels: Tensor, count: int = 10) -> Tensor:
    """Cut samples into strata at the quantiles of a blind score; tied scores are never split.

    Quantiles of both sides together, each side weighing one half: with 100 members and 10,000 nonmembers deciles of
    the plain pool would leave most strata without a member.

    Args:
        blind: (n,) scores made without the model, any real dtype.
        labels: (n,) bool or 0 and 1; 1 is a member.
        count: how many strata to aim for; ties may leave fewer.

    Returns:
        (n,) int64, from 0 upwards with the blind score, each number in use.

    Raises:
        ValueError: a score is NaN or infinite, the shapes do not match, or count is below 1.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> strata(torch.tensor([0.1, 0.2, 0.7, 0.7, 0.7, 0.9]), torch.tensor([0, 1, 0, 1, 0, 1]), 3)
        tensor([0, 0, 1, 1, 1, 2])
    """
    if count < 1:
        raise ValueError(f"there must be at least 1 stratum, not {count}")
    ranks = dense_ranks(blind)
    truth = as_truth(labels, len(ranks))
    values, m, n = int(ranks.max()) + 1, int(truth.sum()), int((~truth).sum())
    # In whole numbers, since a rounded share could put equal cases on different sides of a cut.
    weight = n * torch.bincount(ranks[truth], minlength=values) + m * torch.bincount(ranks[~truth], minlength=values)
    middle = 2 * weight.cumsum(0) - weight
    return _numbered((middle * count).div(4 * m * n, rounding_mode="floor")[ranks], len(ranks))


def overlap(strata: Tensor, labels: Tensor) -> float:
    """Measure how far the two sides are alike: the sum over strata of the smaller side's share of its whole.

    Args:
        strata: (n,) integers, equal within a stratum.
        labels: (n,) bool or 0 and 1; 1 is a member.

    Returns:
        from 0, where no stratum holds both sides, to 1, where both are spread alike.

    Raises:
        ValueError: the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> overlap(torch.tensor([0, 0, 0, 1]), torch.tensor([1, 0, 1, 0]))
        0.5
    """
    truth = as_truth(labels, len(labels))
    where = _numbered(strata, len(labels))
    count = int(where.max()) + 1
    shares = [torch.bincount(where[side], minlength=count).double() / side.sum() for side in (truth, ~truth)]
    return min(1.0, float(torch.minimum(*shares).sum()))


def adjusted_auroc(
    scores: Tensor, labels: Tensor, strata: Tensor, groups: Tensor | None = None, confidence: float = 0.95
) -> Estimate | None:
    """Estimate the chance that a member scores above a nonmember of its own stratum, ties by half.

    All pairs of one stratum are pooled, so that a stratum weighs as many as it holds. The interval is DeLong's (Biometrics
    44, 1988) with placements within the stratum, each weighted by its opponents there and summed by duplicate group
    across strata and sides (Obuchowski, Biometrics 53, 1997). It is centred on the pooled area, not on each stratum's:
    so a side of one sample adds its full uncertainty, at the price of an interval slightly too wide. Where few groups
    carry the weight it widens as `auroc`'s does; with one stratum it is `auroc`'s.

    Args:
        scores: (n,), any real dtype; higher means more likely a member.
        labels: (n,) bool or 0 and 1; 1 is a member.
        strata: (n,) integers, equal within a stratum.
        groups: (n,) int64, equal for duplicates, which may lie in several strata; None where samples are independent.
        confidence: nominal coverage.

    Returns:
        the adjusted AUROC, of as many samples as lie in a stratum with both sides; None where there is no such stratum.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> scores, labels = torch.arange(400.0), torch.arange(400) % 4 > 1
        >>> print(adjusted_auroc(scores, labels, torch.arange(400) // 40))
        0.550 [0.493, 0.606]
    """
    ranks = dense_ranks(scores)
    alike = _alike(labels, strata, groups, len(ranks))
    if alike is None:
        return None
    placed = alike.place(alike.order(ranks))
    (low, high), method = _interval(placed, confidence)
    return Estimate(placed.area, low, high, confidence, method + alike.note, len(alike.rows))


def adjusted_difference(
    a: Tensor, b: Tensor, labels: Tensor, strata: Tensor, groups: Tensor | None = None, confidence: float = 0.95
) -> Estimate | None:
    """Estimate the adjusted AUROC of a minus that of b, paired: the target's score minus its twin's.

    As `auroc_difference`, with placements within strata. Scores that order each stratum alike differ by exactly 0.

    Args:
        a: (n,), any real dtype.
        b: (n,), scores of the same samples in the same order.
        labels: (n,) bool or 0 and 1; 1 is a member.
        strata: (n,) integers, equal within a stratum.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        confidence: nominal coverage.

    Returns:
        the difference, above 0 where a is the better score; None where no stratum holds both sides.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: not both members and nonmembers are there.

    Example:
        >>> scores, labels = torch.arange(400.0), torch.arange(400) % 4 > 1
        >>> print(adjusted_difference(scores, scores % 40, labels, torch.arange(400) // 40))
        0.000 [0.000, 0.000]
    """
    if a.shape != b.shape:
        raise ValueError(f"both scores must be of the same samples, but have the shapes {a.shape} and {b.shape}")
    of_a, of_b = dense_ranks(a), dense_ranks(b)
    alike = _alike(labels, strata, groups, len(of_a))
    if alike is None:
        return None
    first, second = alike.order(of_a), alike.order(of_b)
    if torch.equal(first, second):
        return Estimate(0.0, 0.0, 0.0, confidence, "the same order" + alike.note, len(alike.rows))
    left, right = alike.place(first), alike.place(second)
    (low, high), method = _difference(left, right, confidence)
    value = left.area - right.area
    return Estimate(value, max(low, -1.0), min(high, 1.0), confidence, method + alike.note, len(alike.rows))


@dataclass(frozen=True)
class _Alike:
    """The samples of all strata that hold both sides.

    Args:
        rows: (u,) where they are among all.
        truth: (u,) True for members.
        stratum: (u,) from 0 to s - 1.
        group: (u,) from 0 to g - 1.
        m: (s,) members of each stratum.
        n: (s,) nonmembers of each stratum.
        note: what to add to a method.
    """

    rows: Tensor
    truth: Tensor
    stratum: Tensor
    group: Tensor
    m: Tensor
    n: Tensor
    note: str

    def order(self, ranks: Tensor) -> Tensor:
        """Number the distinct values upwards, one stratum's after the other's, (u,)."""
        chosen = ranks[self.rows]
        numbered: Tensor = torch.unique(self.stratum * (chosen.max() + 1) + chosen, return_inverse=True)[1]
        return numbered

    def place(self, order: Tensor) -> Placements:
        """Place every score among the other side's of its stratum, by `order`, and weigh it by how many they are."""
        truth, pairs = self.truth, int((self.m * self.n).sum())
        won = self._twice_below(order, ~truth, self.n)[truth]
        lost = self._twice_below(order, truth, self.m)[~truth]
        area = int(won.sum()) / (2 * pairs)  # of whole numbers: 0 and 1 are exact
        over, under = self.n[self.stratum][truth].double(), self.m[self.stratum][~truth].double()
        m, n, nothing = len(over), len(under), torch.zeros(int(self.group.max()) + 1, dtype=torch.float64)
        better, worse = won.double() / 2 - over * area, under * (1 - area) - lost.double() / 2
        placed = Placements(
            area=area,
            members=nothing.index_add(0, self.group[truth], better * (m / pairs)),
            nonmembers=nothing.index_add(0, self.group[~truth], worse * (n / pairs)),
            m=m,
            n=n,
            member_groups=_effective(self.group[truth], over),
            nonmember_groups=_effective(self.group[~truth], under),
        )
        return placed if 0 < area < 1 else self._flawless(placed)

    def _twice_below(self, order: Tensor, side: Tensor, sizes: Tensor) -> Tensor:
        """Count for each sample twice this side's samples below it in its stratum, ties once, (u,)."""
        at = torch.bincount(order[side], minlength=int(order.max()) + 1)
        before = sizes.cumsum(0) - sizes
        return (2 * at.cumsum(0) - at)[order] - 2 * before[self.stratum]

    def _flawless(self, placed: Placements) -> Placements:
        """Keep no more groups than there are disjoint pairs to speak for the pooled area.

        With k_s disjoint pairs and the weight w_s in stratum s, no error has the chance prod A_s^k_s, which is at most
        (sum w_s A_s)^k for k = min k_s / w_s: the weights must not exceed the pairs that support them.
        """
        held, *sides = (self._groups(rows) for rows in (self.truth | True, self.truth, ~self.truth))
        each = torch.stack([*sides, held // 2]).amin(0).clamp(min=1).double()
        spans = int(held.sum()) / len(placed.members)  # a group in several strata supports only one of them
        weights = (self.m * self.n).double() / float((self.m * self.n).sum())
        pairs = max(1, int(float((each / weights).min()) / spans + 1e-9))
        if pairs >= placed.pairs:
            return placed
        limits = min(placed.member_groups, pairs), min(placed.nonmember_groups, pairs)
        return replace(placed, member_groups=limits[0], nonmember_groups=limits[1])

    def _groups(self, rows: Tensor) -> Tensor:
        """Count the groups of these rows in each stratum, (s,)."""
        count = int(self.group.max()) + 1
        pairs: Tensor = torch.unique(self.stratum[rows] * count + self.group[rows])
        return torch.bincount(pairs // count, minlength=len(self.m))


def _alike(labels: Tensor, strata: Tensor, groups: Tensor | None, n: int) -> _Alike | None:
    truth, where, owners = as_truth(labels, n), _numbered(strata, n), as_groups(groups, n)
    count = int(where.max()) + 1
    both = (torch.bincount(where[truth], minlength=count) > 0) & (torch.bincount(where[~truth], minlength=count) > 0)
    rows = both[where].nonzero().ravel()
    if not len(rows):
        return None
    truth, where, owners = truth[rows], _numbered(where[rows], len(rows)), as_groups(owners[rows], len(rows))
    used = int(both.sum())
    m, others = (torch.bincount(where[side], minlength=used) for side in (truth, ~truth))
    note = f", within {used} {'stratum' if used == 1 else 'strata'}"
    return _Alike(
        rows, truth, where, owners, m, others, note if groups is None else f"{note}, clustered by duplicate group"
    )


def _effective(groups: Tensor, weights: Tensor) -> int:
    """Count groups by the weight they carry: (sum w)^2 / sum w^2 (Kish 1965), w the mean weight of a group's samples."""
    held = torch.bincount(groups)
    mean = torch.bincount(groups, weights)[held > 0] / held[held > 0]
    return int(float(mean.sum() ** 2 / (mean**2).sum()) + 1e-9)


def _numbered(strata: Tensor, n: int) -> Tensor:
    if strata.shape != (n,) or strata.is_floating_point():
        raise ValueError(f"strata must be ({n},) integers, but are {tuple(strata.shape)} {strata.dtype}")
    numbered: Tensor = torch.unique(strata.detach().to("cpu"), return_inverse=True)[1]
    return numbered
