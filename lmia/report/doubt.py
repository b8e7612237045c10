"""What the audit did to doubt itself, laid out for people: the same attacks on models that cannot remember."""

from __future__ import annotations

from dataclasses import replace

from lmia.evidence.estimate import Estimate
from lmia.report.cells import interval, signed
from lmia.report.findings import Table
from lmia.report.model import AuditReport, Beside
from lmia.report.sentences import corrected_low

_LOOKS = {"captions": "captions", "files": "properties of the files", "pixels": "statistics of the pixels"} | {
    "metadata": "where they were published",
    "all": "captions, files and pixels together",
}


def besides(report: AuditReport) -> Table | None:
    """Lay out every attack on every model that cannot remember; None where there was none."""
    found = report.validity.besides
    if not any(beside.auc for beside in found):
        return None
    rows = tuple((beside.model, beside.attack, _auc(beside), signed(beside.above)) for beside in found)
    return Table("", ("model", "attack", "AUC there", "target above it"), rows, 0)


def baselines(report: AuditReport) -> Table | None:
    """Lay out what tells the two sides apart without the model; None where nothing was tried."""
    rows = tuple((one.kind, interval(one.auc), one.reason) for one in report.validity.baselines)
    return Table("", ("what it looks at", "AUC without the model", "why not"), rows, 0) if rows else None


def sentences(report: AuditReport) -> list[str]:
    """Say what so many pairs can show, what the models that cannot remember show, and which checks were not made."""
    models = dict.fromkeys((beside.model, beside.kind) for beside in report.validity.besides if beside.auc)
    power = [report.validity.power] if report.validity.power else []
    return [*power, *_blind(report), *(_said(report, model, kind) for model, kind in models), *report.validity.notes]


def differs(auc: Estimate, among: int) -> bool:
    """Whether an AUC lies off 0.5, on either side, corrected for having picked it of several (Bonferroni).

    Example:
        >>> differs(Estimate(0.4, 0.37, 0.43, 0.95, "DeLong", 900), 4), differs(Estimate(0.52, 0.5, 0.54, 0.95, "", 9), 1)
        (True, False)
    """
    mirrored = replace(auc, value=1 - auc.value, low=1 - auc.high, high=1 - auc.low)
    return max(corrected_low(auc, among), corrected_low(mirrored, among)) > 0.5


def _blind(report: AuditReport) -> list[str]:
    """Say what the strongest blind baseline shows, corrected for how many were tried."""
    found = {one.kind: one.auc for one in report.validity.baselines if one.auc is not None}
    if not found:
        return []
    kind = max(found, key=lambda kind: _off(found[kind]))
    if differs(found[kind], len(found)):
        return [
            f"Without the model, the two sides can be told apart as well: by {_LOOKS[kind]}, AUC {interval(found[kind])}. "
            "They differ in more than in who was trained on."
        ]
    return [
        "Without the model, nothing was found that tells the two sides apart: of captions, files and pixels, farthest from "
        f"guessing is AUC {interval(found[kind])} ({_LOOKS[kind]})."
    ]


def _said(report: AuditReport, model: str, kind: str) -> str:
    found = {one.attack: (one.auc, one.above) for one in report.validity.besides if one.model == model and one.auc}
    attack = max(found, key=lambda attack: _off(found[attack][0]))
    auc, above = found[attack]
    where = "the target's architecture with random weights" if kind == "twin" else f"the placebo {model}"
    higher = f" The target's AUC less that: {signed(above)}." if above else ""
    if differs(auc, len(found)):
        return (
            f"On {where}, which cannot remember these pairs, {attack} tells the two sides apart as well: AUC "
            f"{interval(auc)}. At least that much lies in the data.{higher}"
        )
    return (
        f"On {where}, which cannot remember these pairs, no attack was found to tell the two sides apart: farthest from "
        f"guessing is AUC {interval(auc)} ({attack}).{higher}"
    )


def _off(auc: Estimate) -> float:
    return abs(auc.value - 0.5)


def _auc(beside: Beside) -> str:
    return interval(beside.auc) if beside.status == "ran" else beside.status
