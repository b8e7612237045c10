"""Joining scores to truth: from an attack's scores of every part to its `AttackResult` and its rows of scores.parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia import evidence
from lmia.report.model import AttackResult, Beside, SuspectSummary
from lmia.report.scores import RoleScores
from lmia.roles import Roles

DEFAULT_FPRS = (0.01, 0.001)
_LEVELS = (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Scored:
    """An attack's scores, part by part; made where membership is not known, read where it is.

    Args:
        parts: `(n,)` scores of `members`, `nonmembers`, `suspects`, `calibration`, as far as there are any.
        p: `(n,)` conformal p-values of the same parts but calibration.
        folds: the fold of each suspect, where the attack was cross-fitted.
        calibration: the raw calibration scores of every fold; one entry where there are no folds.
    """

    parts: Mapping[str, Tensor]
    p: Mapping[str, Tensor]
    folds: NDArray[np.int8] | None
    calibration: Sequence[Tensor]

    def sides(self, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
        """Join the scores of two parts, and say which are the first's.

        Where an attack was cross-fitted, every other calibration row takes its score of the second fold's fit: each pair
        counts once, and comes from the fits as evenly as the suspects do.
        """
        first, second = (self.parts[name] if name != "calibration" else self._once() for name in names)
        return torch.cat([first, second]), torch.cat([torch.ones(len(first)), torch.zeros(len(second))]).bool()

    def _once(self) -> Tensor:
        folds = torch.stack(list(self.calibration))
        rows = torch.arange(folds.shape[1])
        return folds[rows % len(folds), rows]


@dataclass(frozen=True)
class Judge:
    """Holds the truth of an audit, and what every attack is judged by.

    Args:
        roles: who is who.
        keys: a unique key for every row of the roles' table.
        fprs: false positive rates of the report.
        asked: whether the user asked for these; then too few non-members are an error.
        seed: of the bootstrap.
        confidence: of every interval.
        plain: cosine of every row's identity view, part by part: what each attack is compared with.
    """

    roles: Roles
    keys: Sequence[str]
    fprs: Sequence[float]
    asked: bool
    seed: int
    confidence: float
    plain: Mapping[str, Tensor]

    def judge(self, result: AttackResult, scored: Scored) -> AttackResult:
        """Complete an attack's result with all that its scores show."""
        shown = {part: scores for part, scores in scored.parts.items() if len(scores)}
        result = replace(result, histogram=evidence.histogram(shown))
        return self._leakage(result, scored) if "members" in scored.parts else self._use(result, scored)

    def _leakage(self, result: AttackResult, scored: Scored) -> AttackResult:
        scores, labels = scored.sides(self.roles.sides)
        plain = torch.cat([self.plain[side] for side in self.roles.sides])
        groups, at = self._groups(), self.confidence
        return replace(
            result,
            auc=evidence.auroc(scores, labels, groups, confidence=at),
            versus_cosine=evidence.auroc_difference(scores, plain, labels, groups, confidence=at),
            tprs=[
                evidence.tpr_at_fpr(scores, labels, fpr, groups, seed=self.seed, asked=self.asked, confidence=at)
                for fpr in self.fprs
            ],
            balanced_accuracy_best=evidence.balanced_accuracy_best(scores, labels, confidence=at),
            thresholds=[
                evidence.deploy(scores, labels, scored.calibration[0], fpr, confidence=at) for fpr in self.fprs
            ],
            curve=evidence.thin_curve(*evidence.roc(scores, labels)),
        )

    def _use(self, result: AttackResult, scored: Scored) -> AttackResult:
        q = evidence.benjamini_hochberg(scored.p["suspects"])
        calibrated = len(scored.calibration[0])
        found = {f"{level:g}": int((q <= level).sum()) for level in _LEVELS}
        smallest = 1 / (calibrated + 1)
        note = "" if smallest * len(q) <= _LEVELS[-1] else (
            f"With {calibrated} calibration nonmembers no p-value can be below {smallest:.2g}; a single pair among "
            f"{len(q)} suspects can then not reach q = {_LEVELS[-1]:g}, only many together can."
        )  # fmt: skip
        return replace(result, suspects=SuspectSummary(len(q), smallest, found, note))

    def beside(self, found: Beside, scored: Scored | None, on_target: Scored | None) -> Beside:
        """Complete what an attack shows on a model that cannot remember, and by how much the target lies above it."""
        if scored is None:
            return found
        sides = self.roles.sides
        (scores, labels), groups, at = scored.sides(sides), self._groups(), self.confidence
        found = replace(found, auc=evidence.auroc(scores, labels, groups, confidence=at))
        if on_target is None:
            return found
        target, _ = on_target.sides(sides)
        return replace(found, above=evidence.auroc_difference(target, scores, labels, groups, confidence=at))

    def _groups(self) -> Tensor | None:
        """Return the duplicate groups of both sides' rows, or None where every row is its own."""
        groups = np.concatenate([self.roles.groups[self.roles.parts[side]] for side in self.roles.sides])
        return None if len(np.unique(groups)) == len(groups) else torch.from_numpy(groups)

    def rows(self, name: str, scored: Scored) -> list[RoleScores]:
        """Return an attack's rows of scores.parquet."""
        found = []
        for part, scores in scored.parts.items():
            if part == "calibration":
                continue
            q = evidence.benjamini_hochberg(scored.p[part]).numpy() if part == "suspects" else None
            folds = scored.folds if part == "suspects" else None
            keys = [self.keys[row] for row in self.roles.parts[part]]
            found.append(RoleScores(name, part, keys, _numpy(scores), _numpy(scored.p[part]), q, folds))  # type: ignore[arg-type]
        keys = [self.keys[row] for row in self.roles.parts["calibration"]]
        for fold, calibration in enumerate(scored.calibration):
            which = np.full(len(keys), fold, np.int8) if scored.folds is not None else None
            found.append(RoleScores(name, "calibration", keys, _numpy(calibration), None, None, which))
        return found


def unique_keys(keys: Sequence[str]) -> list[str]:
    """Make keys unique by numbering the later ones: two shards may use the same key.

    Example:
        >>> unique_keys(["a", "b", "a"])
        ['a', 'b', 'a#2']
    """
    seen: dict[str, int] = {}
    taken = set(keys)
    found = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        name = key
        while seen[key] > 1 and (name == key or name in taken):
            name = f"{key}#{seen[key]}"
            seen[key] += name in taken
        taken.add(name)
        found.append(name)
    return found


def _numpy(values: Tensor) -> NDArray[np.float64]:
    return values.double().numpy()
