"""The true positive rate at a false positive rate: our rule, its guards, its interval."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lmia.errors import LmiaError
from lmia.evidence.bounds import clopper_pearson, tail
from lmia.evidence.estimate import Estimate
from lmia.evidence.resampling import Floats, Ints, resample
from lmia.evidence.results import TPR
from lmia.evidence.sides import as_truth, countable, distinct, independent, sides
from lmia.evidence.ties import across_ties

NEEDED = 10
"""False positives that a threshold must rest on: n_nonmembers x fpr below it is not estimable."""

CLUMPED = 2.0
"""How many of those false positives may be copies of one another, on average."""

FEW = 100
"""False positives below which an estimate carries a warning."""


class TPRAtFPR(Metric):
    """The largest TPR over thresholds whose empirical FPR is at most `fpr`, as a torchmetrics Metric.

    Ties count against the attacker (tied scores are called members all or none), nothing is interpolated. Any split
    into batches, and any number of processes, gives the same result; scores of any size and sign are taken as they are.

    Args:
        fpr: false positive rate, strictly between 0 and 1.

    Raises:
        LmiaError: fpr is not between 0 and 1.

    Example:
        >>> metric = TPRAtFPR(fpr=0.5)
        >>> metric.update(torch.tensor([7.0, 3.0, -1.0]), torch.tensor([1, 0, 1]))
        >>> metric.update(torch.tensor([-2.0, 2.0]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, fpr: float) -> None:
        super().__init__()
        check_fpr(fpr)
        self.fpr = fpr
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("labels", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take one batch.

        Args:
            preds: (b,) scores, any real dtype.
            target: (b,) bool or 0 and 1; 1 is a member.

        Raises:
            ValueError: the shapes differ.
        """
        if preds.ndim != 1 or preds.shape != target.shape:
            raise ValueError(f"scores {tuple(preds.shape)} and labels {tuple(target.shape)} must be one vector each")
        self.scores.append(preds.detach().double())
        self.labels.append(target.detach().long())

    def compute(self) -> Tensor:
        """Compute the TPR over all batches.

        Returns:
            () float64.

        Raises:
            ValueError: a score is NaN or infinite, or a label neither 0 nor 1.
            LmiaError: not both members and nonmembers were seen.
        """
        scores, labels = (
            dim_zero_cat(state) if len(state) else torch.empty(0, device=self.device)
            for state in (self.scores, self.labels)
        )
        members, nonmembers = sides(scores, labels)
        threshold = _threshold(nonmembers, self.fpr)
        return (members > threshold).double().mean().to(self.device)


def tpr_at_fpr(
    scores: Tensor,
    labels: Tensor,
    fpr: float,
    groups: Tensor | None = None,
    confidence: float = 0.95,
    bootstraps: int = 1000,
    seed: int = 0,
    asked: bool = False,
) -> TPR:
    """Estimate the TPR at an FPR, by the rule of `TPRAtFPR`.

    The interval holds the middle of what `lmia.evidence.resampling.resample` draws: the threshold is found anew each time,
    from resampled nonmembers, and the TPR by Bayes from the members above it. Where groups are given, members are resampled
    too, both sides by group. With groups, and at a TPR of 0 or 1, it is widened to Clopper-Pearson's at the threshold found.
    Where ties are large, `lmia.evidence.ties.across_ties` takes the draws' place, or with groups widens what they give.

    Args:
        scores: (n,), any real dtype; higher means more likely a member.
        labels: (n,) bool or 0 and 1; 1 is a member.
        fpr: false positive rate, strictly between 0 and 1.
        groups: (n,) int64, equal for duplicates; None where samples are independent.
        confidence: nominal coverage.
        bootstraps: how many resamples.
        seed: of the resampling.
        asked: whether the user named this FPR: then too few nonmembers are an error, not a note.

    Returns:
        the TPR with its interval and the expected population FPR at its threshold; without an estimate where the
        nonmembers are too few, n x fpr < 10, or in groups that are worth fewer than half as many independent ones.

    Raises:
        ValueError: a score is NaN or infinite, or the shapes do not match.
        LmiaError: a side is missing; fpr is not between 0 and 1; or asked for with too few nonmembers.

    Example:
        >>> labels = torch.arange(4000) % 2
        >>> scores = torch.arange(4000) % 97 + 30.0 * labels
        >>> found = tpr_at_fpr(scores, labels, 0.01)
        >>> print(found.estimate, found.note)
        0.307 [0.284, 0.341] rests on 20 false positives at most (fewer than 100): uncertain
        >>> tpr_at_fpr(scores, labels, 0.001).note
        'not estimable: needs 10000 nonmembers, has 2000'
    """
    members, nonmembers = sides(scores, labels)
    n = len(nonmembers)
    check_fprs([fpr], n, asked)
    if _short(n, fpr):
        return TPR(fpr, None, None, f"not estimable: needs {_needed(fpr)} nonmembers, has {n}")
    owners = None if groups is None else _owners(groups, labels)
    worth = n if owners is None else independent(torch.from_numpy(owners[1]), n)
    if _short(CLUMPED * worth, fpr):
        said = f"not estimable: needs {ceil(_needed(fpr) / CLUMPED)} independent nonmembers, has {worth:.0f}"
        return TPR(fpr, None, None, f"{said} ({n} in groups)")
    threshold = _threshold(nonmembers, fpr)
    hits, false = int((members > threshold).sum()), int((nonmembers > threshold).sum())
    value = hits / len(members)
    both = members.numpy(), nonmembers.numpy()
    low, high, method = _interval(*both, owners, fpr, value, confidence, bootstraps, seed)
    estimate = Estimate(value, min(low, value), max(high, value), confidence, method, len(scores))
    allowed = floor(worth * fpr + 1e-9)
    note = f"rests on {allowed} false positives at most (fewer than {FEW}): uncertain" if worth * fpr < FEW else ""
    return TPR(fpr, estimate, (false / n * worth + 1) / (worth + 1), note)


def check_fprs(fprs: Sequence[float], n_nonmembers: int, asked: bool) -> None:
    """Refuse false positive rates that the data cannot carry; cheap, so an audit calls it before the model pass.

    Args:
        fprs: false positive rates.
        n_nonmembers: how many audited nonmembers there will be.
        asked: whether the user named them; rates that are only our defaults may be too small.

    Raises:
        LmiaError: one is not between 0 and 1; or, where asked for, n_nonmembers x fpr < 10.

    Example:
        >>> check_fprs([0.01], 1000, asked=True)
        >>> check_fprs([0.001], 1000, asked=False)
        >>> check_fprs([0.001], 1000, asked=True)
        Traceback (most recent call last):
        lmia.errors.LmiaError: TPR at an FPR of 0.001 cannot be estimated: needs 10000 nonmembers, has 1000.
        Give more nonmembers, or ask for an FPR of 0.01 or more.
    """
    for fpr in fprs:
        check_fpr(fpr)
        if asked and _short(n_nonmembers, fpr):
            raise LmiaError(
                f"TPR at an FPR of {fpr:g} cannot be estimated: needs {_needed(fpr)} nonmembers, has {n_nonmembers}.",
                f"Give more nonmembers{_offer(n_nonmembers)}.",
            )


def check_fpr(fpr: float) -> None:
    """Refuse what is no false positive rate.

    Args:
        fpr: strictly between 0 and 1.

    Raises:
        LmiaError: it is not.

    Example:
        >>> check_fpr(0.01)
    """
    if not 0 < fpr < 1:
        raise LmiaError(f"{fpr:g} is not a false positive rate.", "Give one strictly between 0 and 1, such as 0.01.")


def _interval(
    members: Floats,
    nonmembers: Floats,
    owners: tuple[Ints, Ints] | None,
    fpr: float,
    value: float,
    confidence: float,
    bootstraps: int,
    seed: int,
) -> tuple[float, float, str]:
    """Bound the TPR, and name how."""
    across = across_ties(members, nonmembers, fpr, confidence, owners)
    if owners is None and across is not None:
        return *across, "binomial and Clopper-Pearson, over the thresholds that ties leave open"
    drawn = resample(members, nonmembers, owners, fpr, bootstraps, seed)
    ends = [np.quantile(drawn, [tail(confidence), 1 - tail(confidence)]).tolist(), across or (value, value)]
    if owners is not None or value in (0, 1):
        worth = len(members) if owners is None else distinct(torch.from_numpy(owners[0]))
        ends.append(clopper_pearson(value * worth, worth, confidence))
    method = (
        "threshold by bootstrap, TPR by Bayes" if owners is None else "joint stratified bootstrap, by duplicate group"
    )
    return min(low for low, _ in ends), max(high for _, high in ends), method


def _owners(groups: Tensor, labels: Tensor) -> tuple[Ints, Ints]:
    where, truth = countable(groups, len(labels)), as_truth(labels, len(labels))
    return where[truth].numpy(), where[~truth].numpy()


def _short(n: float, fpr: float) -> bool:
    return n * fpr < NEEDED - 1e-9


def _offer(n: int) -> str:
    """Name the smallest FPR that so many nonmembers carry, rounded up to two digits."""
    if n <= NEEDED:
        return ""
    unit = 10.0 ** (floor(log10(NEEDED / n)) - 1)
    return f", or ask for an FPR of {ceil(NEEDED / n / unit - 1e-9) * unit:.2g} or more"


def _needed(fpr: float) -> int:
    return ceil(NEEDED / fpr - 1e-9)


def _threshold(nonmembers: Tensor, fpr: float) -> Tensor:
    """Find the lowest threshold v, to be used as score > v, whose empirical FPR is at most fpr."""
    n = len(nonmembers)
    allowed = min(floor(n * fpr + 1e-9), n - 1)
    return nonmembers.kthvalue(n - allowed).values
