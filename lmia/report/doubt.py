"""What the audit did to doubt itself, laid out for people: the same attacks on models that cannot remember."""

from __future__ import annotations

from lmia.report.cells import interval, signed
from lmia.report.findings import Table
from lmia.report.model import AuditReport, Beside
from lmia.report.sentences import corrected_low


def besides(report: AuditReport) -> Table | None:
    """Lay out every attack on every model that cannot remember; None where there was none."""
    found = report.validity.besides
    if not any(beside.auc for beside in found):
        return None
    rows = tuple((beside.model, beside.attack, _auc(beside), signed(beside.above)) for beside in found)
    return Table("", ("model", "attack", "AUC there", "target above it"), rows, 0)


def sentences(report: AuditReport) -> list[str]:
    """Say what so many pairs can show, what the models that cannot remember show, and which checks were not made."""
    models = dict.fromkeys((beside.model, beside.kind) for beside in report.validity.besides if beside.auc)
    power = [report.validity.power] if report.validity.power else []
    return [*power, *(_said(report, model, kind) for model, kind in models), *report.validity.notes]


def fires(beside: Beside, among: int) -> bool:
    """Whether an attack tells the two sides apart on a model that cannot remember, corrected for how many attacks ran."""
    return beside.auc is not None and corrected_low(beside.auc, among) > 0.5


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
