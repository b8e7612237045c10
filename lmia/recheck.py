"""What an audit did to doubt itself, computed again from scores.parquet: like against like, twin, placebos, verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from lmia import evidence
from lmia.blind import Ran
from lmia.controls import Aside
from lmia.evidence.baselines import Baseline, Blind
from lmia.evidence.comparison import Comparison
from lmia.evidence.duplicates import numbered
from lmia.judging import Judge, Scored
from lmia.report.model import AttackResult, AuditReport, Validity, Verdict
from lmia.report.run import Floats, Rows, Run
from lmia.report.scores import NO_MODEL, ROLES
from lmia.roles import Roles
from lmia.ruling import verdict
from lmia.validity import Doubt, validity


def scored(rows: Rows, p: Floats | None = None) -> Scored:
    """Return an attack's scores part by part, with p-values as written unless given, `(n,)`."""
    p = rows.p if p is None else p
    places = {role: np.flatnonzero(rows.role == role) for role in ROLES if (rows.role == role).any()}
    parts: dict[str, torch.Tensor] = {role: torch.from_numpy(rows.score[at]) for role, at in places.items()}
    calibration = [torch.from_numpy(rows.score[(rows.role == "calibration") & fold]) for fold in rows.folds()]
    return Scored(parts, {role: torch.from_numpy(p[at]) for role, at in places.items()}, None, calibration)


def judge_of(report: AuditReport, rows: Rows, fprs: Sequence[float], plain: Mapping[str, torch.Tensor]) -> Judge:
    """Make the judge of an audit again from one attack's rows: who is who, and which pairs are duplicates.

    Args:
        report: of the audit.
        rows: of an attack that ran.
        fprs: of the report.
        plain: cosines by role.
    """
    once = np.isnan(rows.fold) | (rows.role != "calibration") | (rows.fold == 0)  # calibration is scored once a fold
    named: Sequence[str] = ROLES
    places = {role: at for role in named if len(at := np.flatnonzero((rows.role == role) & once))}
    names = [group or f"{key}" for group, key in zip(rows.group, rows.key, strict=True)]
    roles = Roles((), pa.table({}), places, numbered(names), (), (), _repeats(rows))
    known = (report.seed, report.confidence, plain, max(1, len(report.attacks)))
    return Judge(roles, list(rows.key), fprs, False, *known)


def doubts(run: Run, judge: Judge) -> tuple[Validity, Verdict | None]:
    """Make every check again that scores.parquet carries; what it does not carry is taken as written.

    Args:
        run: whose scores and report agree so far.
        judge: of the audit, made again from its rows.
    """
    report, first = run.report, next(iter(run.attacks.values()))
    strata = torch.from_numpy(first.stratum[judge.side_rows]).nan_to_num().long()
    overlap = evidence.overlap(strata, judge.labels) if report.validity.strata_of else None
    like = Comparison(
        judge.labels, judge.groups, strata, overlap, report.validity.strata_of, report.seed, report.confidence
    )
    ran = {one.name: _ran(one, run.attacks.get(one.name)) for one in report.attacks}
    asides = [
        Aside(one.model, one.kind, one.attack, _ran(_result(one.attack, one.status, one.reason), run.besides.get(at)))
        for one in report.validity.besides
        for at in [(one.model, one.attack)]
    ]
    trained = dict.fromkeys(ran, False) | {one.attack: one.trained for one in report.validity.adjusted}
    found = validity(Doubt(judge, _blind(run, judge), like), trained, ran, asides, _detect(report))
    found = replace(found, **{name: getattr(report.validity, name) for name in ("notes", "sliced", "slices", "copied")})
    regime = report.verdict.regime if report.verdict else "post hoc"
    return found, verdict(found, report.question, regime, _detect(report))


def _blind(run: Run, judge: Judge) -> Blind:
    """Make what the blind baselines found again of their scores; one that found nothing has none."""
    sides, labels = judge.roles.sides, judge.labels
    place = {
        (sides[not first], judge.keys[row]): i
        for i, (row, first) in enumerate(zip(judge.side_rows, labels, strict=True))
    }
    found, b = [], np.zeros(0, np.int64)
    for one in run.report.validity.baselines:
        if one.auc is None:
            found.append(Baseline(one.kind, None, None, None, one.reason))
            continue
        if (rows := run.besides.get((NO_MODEL, one.kind))) is None:
            raise ValueError(f"the blind baseline '{one.kind}' has no rows")
        at = np.array([place[pair] for pair in zip(rows.role, rows.key, strict=True)], np.int64)
        if len(b) and not np.array_equal(b, np.sort(at)):
            raise ValueError(f"the blind baseline '{one.kind}' was judged on other pairs than the first")
        scores, b = rows.score[np.argsort(at)], np.sort(at)
        groups = None if judge.groups is None else judge.groups[b]
        area = evidence.auroc(torch.from_numpy(scores), labels[b], groups, judge.confidence)
        found.append(Baseline(one.kind, scores, area, None))
    return Blind(tuple(found), b[:0], b, np.zeros(len(labels), np.bool_), "")


def _repeats(rows: Rows) -> NDArray[np.int32] | None:
    return None if np.isnan(rows.repeats).all() else np.nan_to_num(rows.repeats).astype(np.int32)


def _ran(result: AttackResult, rows: Rows | None) -> Ran:
    return Ran(result, scored(rows) if rows is not None and result.status == "ran" else None)


def _result(attack: str, status: str, reason: str) -> AttackResult:
    return AttackResult(attack, "", status, reason)  # type: ignore[arg-type]


def _detect(report: AuditReport) -> float:
    detect: object = report.config.get("detect")
    return detect if isinstance(detect, float) and 0.5 < detect < 1 else 0.51
