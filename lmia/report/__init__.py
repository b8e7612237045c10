"""Sentences and files for people and programs: `AuditReport` and its writers.

The writers of `report.md` and `report.html` are a plugin as any other: they answer `lmia_audit_finished`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lmia.hookspecs import hookimpl

if TYPE_CHECKING:
    from lmia.report.model import AttackResult, AuditReport

__all__ = ["AttackResult", "AuditReport", "lmia_audit_finished"]


@hookimpl(tryfirst=True)  # before any stranger's, so that its fault costs no page
def lmia_audit_finished(report: AuditReport, out: Path) -> None:
    """Write `report.md` and `report.html` beside `report.json`.

    Raises:
        LmiaError: a file cannot be written.
    """
    # matplotlib and jinja2 take their time to import, which `lmia plugins` need not spend
    from lmia.report import html, markdown
    from lmia.report.aside import write_aside

    write_aside(out / markdown.NAME, markdown.markdown(report).encode("utf-8"))
    write_aside(out / html.NAME, html.html(report).encode("utf-8"))


def __getattr__(name: str) -> object:
    if name in ("AttackResult", "AuditReport"):  # the model rests on lmia.evidence, and that on torchmetrics
        from lmia.report import model

        return getattr(model, name)
    raise AttributeError(f"module 'lmia.report' has no attribute '{name}'")
