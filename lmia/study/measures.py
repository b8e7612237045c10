"""What can be read off a finished cell: one number, with its interval where it has one, for each attack."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm

from lmia.errors import LmiaError, nearest
from lmia.evidence import auroc, tpr_at_fpr
from lmia.evidence.estimate import Estimate
from lmia.membership import read
from lmia.report.model import AttackResult
from lmia.report.run import Run

Value = Estimate | float | str | None


@dataclass(frozen=True)
class Found:
    """A finished cell, seen through one attack.

    Args:
        run: the audit.
        attack: of it.
        training: figures of the target that was audited: `recall`, `recall in`, `auc`, `epochs`, `pairs`, promises.
        manifest: who was in the training, and how often an epoch showed them.
    """

    run: Run
    attack: AttackResult
    training: Mapping[str, float]
    manifest: Path

    def sides(self, repeated: bool = False) -> Sides | None:
        """Return the attack's scores of members and of non-members; None where it has none, or a side is empty.

        Args:
            repeated: take only members that an epoch showed as often as any.
        """
        rows = self.run.attacks.get(self.attack.name)
        if rows is None:
            return None
        member, nonmember = rows.role == "members", rows.role == "nonmembers"
        if repeated:
            known = read(self.manifest)
            most = {key for key, times in zip(known.keys, known.repeats, strict=True) if times == known.repeats.max()}
            member &= np.array([key in most for key in rows.key], bool)
        if not member.any() or not nonmember.any():
            return None
        mine = rows.only(member | nonmember)
        return Sides(mine.score, mine.role == "members", mine.groups())


@dataclass(frozen=True)
class Sides:
    """The scores of members and of non-members.

    Args:
        scores: `(n,)`.
        member: `(n,)`, some of each.
        groups: `(n,)` equal for duplicates; None where every pair is its own.
    """

    scores: NDArray[np.float64]
    member: NDArray[np.bool_]
    groups: NDArray[np.int64] | None = None

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return scores, labels and groups as `lmia.evidence` takes them."""
        groups = None if self.groups is None else torch.from_numpy(self.groups)
        return torch.from_numpy(self.scores), torch.from_numpy(self.member), groups


def gap(sides: Sides, confidence: float) -> Estimate:
    """Estimate how much higher members' cosines are in the mean; Welch's interval, by normal quantiles, duplicates as one.

    Args:
        sides: the cosines.
        confidence: nominal coverage.

    Example:
        >>> print(gap(Sides(np.array([0.3, 0.5, 0.1, 0.3]), np.array([True, True, False, False])), 0.95))
        0.200 [-0.077, 0.477]
    """
    (first, above), (second, below) = (_mean(sides, side) for side in (sides.member, ~sides.member))
    half = float(norm.ppf(0.5 + confidence / 2)) * math.sqrt(above + below)
    method = "Welch" if sides.groups is None else "Welch, clustered by duplicate group"
    return Estimate(first - second, first - second - half, first - second + half, confidence, method, len(sides.scores))


def _mean(sides: Sides, side: NDArray[np.bool_]) -> tuple[float, float]:
    """Return a side's mean, and the variance of that mean: from sums over groups, G / (G - 1) for having taken the mean off."""
    scores = sides.scores[side]
    groups = np.arange(len(scores)) if sides.groups is None else np.unique(sides.groups[side], return_inverse=True)[1]
    sums = np.bincount(groups, scores - scores.mean())
    if (n := len(sums)) == 1:
        return float(scores.mean()), math.inf
    return float(scores.mean()), n / (n - 1) * float((sums**2).sum()) / len(scores) ** 2


def _gap(found: Found) -> Value:
    sides = found.sides() if found.attack.name == "csa" else None
    return None if sides is None else gap(sides, found.run.report.confidence)


def _judged(name: str) -> Callable[[Found], Value]:
    def of(found: Found) -> Value:
        mine = [one for one in found.run.report.validity.adjusted if one.attack == found.attack.name]
        value: Value = getattr(mine[0], name) if mine else None
        return value

    return of


def _twin(name: str) -> Callable[[Found], Value]:
    def of(found: Found) -> Value:
        beside = found.run.report.validity.besides
        mine = [one for one in beside if one.kind == "twin" and one.attack == found.attack.name]
        value: Value = getattr(mine[0], name) if mine else None
        return value

    return of


def _blind(found: Found) -> Value:
    known = [one.auc for one in found.run.report.validity.baselines if one.auc is not None]
    return max(known, key=lambda auc: abs(auc.value - 0.5), default=None)


def _word(found: Found) -> Value:
    return found.run.report.verdict.word if found.run.report.verdict else None


def _figure(name: str) -> Callable[[Found], Value]:
    return lambda found: found.training.get(name)


MEASURES: Mapping[str, Callable[[Found], Value]] = {
    "auc": lambda found: found.attack.auc,
    "versus cosine": lambda found: found.attack.versus_cosine,
    "adjusted": _judged("adjusted"),
    "p": _judged("p"),
    "versus blind": _judged("versus_blind"),
    "twin": _twin("auc"),
    "above twin": _twin("above"),
    "blind": _blind,
    "overlap": lambda found: found.run.report.validity.overlap,
    "verdict": _word,
    "gap": _gap,
    "auc repeated": lambda found: _area(found, repeated=True),
    "recall": _figure("recall"),
    "recall in": _figure("recall in"),
    "live auc": _figure("auc"),
    "pairs": _figure("pairs"),
    "epochs": _figure("epochs"),
    "epsilon": _figure("epsilon"),
}
"""By name. `auc`, `adjusted`, `twin`, `above twin`, `blind` and `overlap` are the report's; `gap` is members' mean cosine
minus non-members' (of `csa`); `recall` is R@1 on held-out pairs, the model's use, and `recall in` on members. `auc repeated`
is of the members that were shown most often. `tpr@F` and `tpr@F repeated` are there for any false positive rate F, and
`achieved fpr@F` and `achieved tpr@F` for the threshold that known non-members promise F at."""
_RATE = re.compile(r"(tpr|achieved tpr|achieved fpr)@(0?\.\d+)( repeated)?")
_SHOWN = [*MEASURES, "tpr@0.01", "tpr@0.01 repeated", "achieved tpr@0.01", "achieved fpr@0.01"]


def check_measures(names: Sequence[str]) -> None:
    """Check that there are measures of these names, each once.

    Raises:
        LmiaError: there are not.

    Example:
        >>> check_measures(["auk"])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: There is no measure 'auk'.
        Did you mean 'auc'? Known: ...
    """
    if not names:
        raise LmiaError("A study of no measure finds nothing.", f"Known: {', '.join(_SHOWN)}.")
    for place, name in enumerate(names):
        if name not in MEASURES and (not (rate := _RATE.fullmatch(str(name))) or (rate[1] != "tpr" and rate[3])):
            raise LmiaError(f"There is no measure '{name}'.", nearest(str(name), _SHOWN))
        if name in names[:place]:
            raise LmiaError(f"The measure '{name}' is asked for twice.", "Name it once.")


def rate_of(name: str) -> float | None:
    """Return the false positive rate that an audit has to be asked for, for a measure to be there; None where none.

    Example:
        >>> rate_of("tpr@0.01"), rate_of("auc"), rate_of("tpr@0.01 repeated")
        (0.01, None, None)
    """
    rate = _RATE.fullmatch(name)
    return float(rate[2]) if rate and not rate[3] else None


def measured(name: str, found: Found) -> Value:
    """Read one measure off a finished cell; None where it has none."""
    if (rate := _RATE.fullmatch(name)) is None:
        return MEASURES[name](found)
    fpr = float(rate[2])
    if rate[3]:
        return _share(found, fpr)
    if rate[1] != "tpr":
        at = next((one for one in found.attack.thresholds if one.fpr == fpr), None)
        value: Value = getattr(at, rate[1].replace(" ", "_")) if at else None
        return value
    return next((tpr.estimate for tpr in found.attack.tprs if tpr.fpr == fpr), None)


def _area(found: Found, repeated: bool) -> Estimate | None:
    if (sides := found.sides(repeated)) is None:
        return None
    return auroc(*sides.tensors(), confidence=found.run.report.confidence)


def _share(found: Found, fpr: float) -> Estimate | None:
    if (sides := found.sides(repeated=True)) is None:
        return None
    scores, labels, groups = sides.tensors()
    report = found.run.report
    return tpr_at_fpr(scores, labels, fpr, groups, confidence=report.confidence, seed=report.seed).estimate
