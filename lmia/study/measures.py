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

    def sides(self, repeated: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the attack's scores of members and of non-members; None where it has none.

        Args:
            repeated: take only members that an epoch showed as often as any.
        """
        rows = self.run.attacks.get(self.attack.name)
        if rows is None:
            return None
        member = rows.role == "members"
        if repeated:
            known = read(self.manifest)
            most = {key for key, times in zip(known.keys, known.repeats, strict=True) if times == known.repeats.max()}
            member &= np.array([key in most for key in rows.key], bool)
        return rows.score[member], rows.score[rows.role == "nonmembers"]


def gap(members: NDArray[np.float64], nonmembers: NDArray[np.float64], confidence: float) -> Estimate:
    """Estimate how much higher members' cosines are in the mean; Welch's interval, by normal quantiles.

    Args:
        members: `(n,)` cosines, two or more.
        nonmembers: `(m,)` cosines, two or more.
        confidence: nominal coverage.

    Example:
        >>> print(gap(np.array([0.3, 0.5]), np.array([0.1, 0.3]), 0.95))
        0.200 [-0.077, 0.477]
    """
    value = float(members.mean() - nonmembers.mean())
    error = math.sqrt(members.var(ddof=1) / len(members) + nonmembers.var(ddof=1) / len(nonmembers))
    half = float(norm.ppf(0.5 + confidence / 2)) * error
    return Estimate(value, value - half, value + half, confidence, "Welch", len(members) + len(nonmembers))


def _gap(found: Found) -> Value:
    sides = found.sides() if found.attack.name == "csa" else None
    return None if sides is None else gap(*sides, found.run.report.confidence)


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
    sides = found.sides(repeated)
    if sides is None or not all(map(len, sides)):
        return None
    return auroc(*_labelled(*sides), confidence=found.run.report.confidence)


def _share(found: Found, fpr: float) -> Estimate | None:
    sides = found.sides(repeated=True)
    if sides is None or not all(map(len, sides)):
        return None
    report = found.run.report
    return tpr_at_fpr(*_labelled(*sides), fpr, confidence=report.confidence, seed=report.seed).estimate


def _labelled(members: NDArray[np.float64], nonmembers: NDArray[np.float64]) -> tuple[torch.Tensor, torch.Tensor]:
    scores = torch.from_numpy(np.concatenate([members, nonmembers]))
    return scores, torch.arange(len(scores)) < len(members)
