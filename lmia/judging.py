"""Joining scores to truth: from an attack's scores of every part to its `AttackResult` and its rows of scores.parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia import evidence
from lmia.evidence.baselines import Blind
from lmia.evidence.comparison import Comparison
from lmia.report.model import AttackResult, SuspectSummary
from lmia.report.scores import NO_MODEL, TARGET, RoleScores
from lmia.roles import Roles

DEFAULT_FPRS = (0.01, 0.001)
_LEVELS = (0.01, 0.05, 0.1)
NAMED = 0.05
"""Share of wrongly named suspects, on average, that the attack which names the most may have."""


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
        attacks: how many were asked for.
    """

    roles: Roles
    keys: Sequence[str]
    fprs: Sequence[float]
    asked: bool
    seed: int
    confidence: float
    plain: Mapping[str, Tensor]
    attacks: int = 1

    def judge(self, result: AttackResult, scored: Scored) -> AttackResult:
        """Complete an attack's result with all that its scores show."""
        shown = {part: scores for part, scores in scored.parts.items() if len(scores)}
        result = replace(result, histogram=evidence.histogram(shown))
        return self._leakage(result, scored) if "members" in scored.parts else self._use(result, scored)

    def _leakage(self, result: AttackResult, scored: Scored) -> AttackResult:
        scores, labels = scored.sides(self.roles.sides)
        plain = torch.cat([self.plain[side] for side in self.roles.sides])
        groups, at = self.groups, self.confidence
        return replace(
            result,
            auc=evidence.auroc(scores, labels, groups, confidence=at),
            versus_cosine=evidence.auroc_difference(scores, plain, labels, groups, confidence=at),
            tprs=[
                evidence.tpr_at_fpr(scores, labels, fpr, groups, seed=self.seed, asked=self.asked, confidence=at)
                for fpr in self.fprs
            ],
            balanced_accuracy_best=evidence.balanced_accuracy_best(scores, labels, groups, confidence=at),
            thresholds=[
                evidence.deploy(
                    scores, labels, scored.calibration[0][self.roles.calibrating], fpr, groups, confidence=at
                )
                for fpr in self.fprs
            ],
            curve=evidence.thin_curve(*evidence.roc(scores, labels)),
        )

    def _use(self, result: AttackResult, scored: Scored) -> AttackResult:
        q = evidence.benjamini_hochberg(scored.p["suspects"])
        calibrated = len(self.roles.calibrating)
        found = {f"{level:g}": int((q <= level).sum()) for level in _LEVELS}
        smallest = 1 / (calibrated + 1)
        note = "" if smallest * len(q) <= _LEVELS[-1] else (
            f"With {calibrated} calibration nonmembers no p-value can be below {smallest:.2g}; a single pair among "
            f"{len(q)} suspects can then not reach q = {_LEVELS[-1]:g}, only many together can."
        )  # fmt: skip
        named = int((q <= NAMED / self.attacks).sum())
        return replace(result, suspects=SuspectSummary(len(q), smallest, found, named, note))

    @cached_property
    def side_rows(self) -> NDArray[np.int64]:
        """Rows of both sides, the first side's first, `(n,)`."""
        return np.concatenate([self.roles.parts[side] for side in self.roles.sides])

    @cached_property
    def labels(self) -> Tensor:
        """Which of both sides' rows are the first side's, `(n,)` bool."""
        return torch.arange(len(self.side_rows)) < len(self.roles.parts[self.roles.sides[0]])

    @cached_property
    def groups(self) -> Tensor | None:
        """Duplicate groups of both sides' rows, `(n,)`, numbered by name; None where every row is its own."""
        names = [self._copies.get(row) or self.keys[row] for row in self.side_rows.tolist()]
        number = {name: i for i, name in enumerate(sorted(set(names)))}
        return None if len(number) == len(names) else torch.tensor([number[name] for name in names])

    def rows(self, name: str, scored: Scored, comparison: Comparison, model: str = TARGET) -> list[RoleScores]:
        """Return an attack's rows of scores.parquet."""
        strata = dict(zip(self.side_rows.tolist(), comparison.strata.tolist(), strict=True))
        found = []
        for part, scores in scored.parts.items():
            if part == "calibration":
                continue
            q = evidence.benjamini_hochberg(scored.p[part]).numpy() if part == "suspects" else None
            folds = scored.folds if part == "suspects" else None
            found.append(self._part(name, part, scores, strata, _numpy(scored.p[part]), q, folds, model))
        for fold, calibration in enumerate(scored.calibration):
            which = np.full(len(calibration), fold, np.int8) if scored.folds is not None else None
            found.append(self._part(name, "calibration", calibration, strata, None, None, which, model))
        return found

    def rows_of_blind(self, blind: Blind) -> list[RoleScores]:
        """Return the blind baselines' rows of scores.parquet: the half of both sides that they were judged on."""
        rows, first = self.side_rows[blind.b], self.labels.numpy()[blind.b]
        found = []
        for one in blind.baselines:
            for side, mine in zip(self.roles.sides, (first, ~first), strict=True):
                if one.scores is not None:
                    keys, group = self._named(rows[mine].tolist())
                    found.append(RoleScores(one.kind, side, keys, one.scores[mine], model=NO_MODEL, group=group))  # type: ignore[arg-type]
        return found

    def _part(
        self,
        name: str,
        part: str,
        scores: Tensor,
        strata: Mapping[int, int],
        p: NDArray[np.float64] | None,
        q: NDArray[np.float64] | None,
        folds: NDArray[np.int8] | None,
        model: str,
    ) -> RoleScores:
        rows = self.roles.parts[part].tolist()
        keys, group = self._named(rows)
        stratum = np.array([strata[row] for row in rows], np.int64) if part in self.roles.sides else None
        shown = (
            self.roles.repeats[self.roles.parts[part]] if part == "members" and self.roles.repeats is not None else None
        )
        cosine = _numpy(self.plain[part]) if model == TARGET else None
        return RoleScores(name, part, keys, _numpy(scores), p, q, folds, model, group, stratum, shown, cosine)  # type: ignore[arg-type]

    def _named(self, rows: Sequence[int]) -> tuple[list[str], list[str | None]]:
        return [self.keys[row] for row in rows], [self._copies.get(row) for row in rows]

    @cached_property
    def _copies(self) -> dict[int, str]:
        """Name the group of every row that has duplicates among the rows judged: by the first of their keys."""
        judged = [part for part in ("members", "nonmembers", "suspects", "calibration") if part in self.roles.parts]
        members: dict[int, list[int]] = {}
        for row in np.concatenate([self.roles.parts[part] for part in judged]).tolist():
            members.setdefault(int(self.roles.groups[row]), []).append(row)
        several = (rows for rows in members.values() if len(rows) > 1)
        return {row: name for rows in several for name in [min(self.keys[row] for row in rows)] for row in rows}


def _numpy(values: Tensor) -> NDArray[np.float64]:
    return values.double().numpy()
