"""What the audit did to doubt itself, laid out for people: the same attacks on models that cannot remember."""

from __future__ import annotations

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


def fires(beside: Beside, among: int) -> bool:
    """Whether an attack tells the two sides apart on a model that cannot remember, corrected for how many attacks ran."""
    return beside.auc is not None and corrected_low(beside.auc, among) > 0.5


def _blind(report: AuditReport) -> list[str]:
    """Say what the strongest blind baseline shows, corrected for how many were tried."""
    found = [one for one in report.validity.baselines if one.auc is not None]
    best = max(found, key=lambda one: one.auc.value if one.auc else 0.0, default=None)
    if best is None or best.auc is None:
        return []
    if corrected_low(best.auc, len(found)) > 0.5:
        return [
            f"Without the model, the two sides can be told apart as well: by {_LOOKS[best.kind]}, AUC {interval(best.auc)}. "
            "They differ in more than in who was trained on."
        ]
    return [
        "Without the model, nothing tells the two sides apart: of captions, files and pixels, the highest AUC is "
        f"{interval(best.auc)} ({_LOOKS[best.kind]})."
    ]


def _said(report: AuditReport, model: str, kind: str) -> str:
    found = [beside for beside in report.validity.besides if beside.model == model and beside.auc]
    best = max(found, key=lambda beside: beside.auc.value if beside.auc else 0.0)
    where = "the target's architecture with random weights" if kind == "twin" else f"the placebo {model}"
    if fires(best, len(found)):
        return (
            f"On {where}, which cannot remember these pairs, {best.attack} tells the two sides apart as well: AUC "
            f"{interval(best.auc)}. At least that much lies in the data; the target lies {signed(best.above)} above it."
        )
    return (
        f"On {where}, which cannot remember these pairs, no attack tells the two sides apart: the highest AUC is "
        f"{interval(best.auc)} ({best.attack}). The target lies {signed(best.above)} above it."
    )


def _auc(beside: Beside) -> str:
    return interval(beside.auc) if beside.status == "ran" else beside.status
