"""`report.html`: one self-contained page for a person; no network, no script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from lmia.report import cells, doubt, figures, findings, markdown, sentences, verdict
from lmia.report.checklist import checklist
from lmia.report.model import AttackResult, AuditReport
from lmia.report.visible import visible

NAME = "report.html"


def html(report: AuditReport) -> str:
    """Write a report as one HTML page with inline styles and figures; everything from the data is escaped.

    The page asks for nothing from outside, and its content policy forbids scripts.
    """
    fprs = list(dict.fromkeys(tpr.fpr for attack in report.attacks for tpr in attack.tprs))
    nonmembers = next((sum(role.scored.values()) for role in report.roles if role.role == "nonmembers"), 0)
    return render(
        "page.html.j2",
        report=report,
        say=sentences,
        cell=cells,
        fprs=fprs,
        tprs={attack.name: {tpr.fpr: tpr for tpr in attack.tprs} for attack in report.attacks},
        ruling=verdict,
        forest=Markup(figures.forest(report.attacks, report.validity)) if _drawn(report) else None,
        roc=Markup(figures.roc(report.attacks, nonmembers)) if any(a.curve for a in report.attacks) else None,
        histograms=[(a, Markup(figures.histogram(a.name, a.histogram))) for a in report.attacks if a.histogram],
        doubt=doubt.sentences(report),
        baselines=doubt.baselines(report),
        besides=doubt.besides(report),
        adjusted=verdict.adjusted(report),
        checks=verdict.checks(report),
        positives=verdict.positives(report),
        slices=verdict.slices(report),
        copies=doubt.copies(report),
        points=checklist(report),
        thresholds=markdown.threshold_lines(report),
        findings=[(attack, found) for attack in report.attacks if (found := findings.tables(attack.findings))],
        runs=[_run(attack) for attack in report.attacks],
        about=markdown.about(report),
        environment=findings.tables(dict(report.environment)),
        config=markdown.config_yaml(report),
        footer=markdown.footer(report),
    )


def render(template: str, **values: object) -> str:
    """Fill a template of this package; every value is made visible and escaped, unless it is `Markup`.

    Args:
        template: its file name.
        **values: what the template names.
    """
    style = Markup(files("lmia.report").joinpath("page.css").read_text("utf-8"))
    return _template(template).render(style=style, **values)


@cache
def _template(name: str) -> Template:
    """Compile a template once a process: it takes longer than to fill it."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(files("lmia.report").joinpath(name).read_text("utf-8"))


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup) else visible(str(value), lines=True)


def _drawn(report: AuditReport) -> bool:
    return bool(report.attacks) and (report.question == "leakage" or bool(report.validity.adjusted))


def _run(attack: AttackResult) -> tuple[AttackResult, str]:
    return attack, cells.scalar({name: cells.scalar(value) for name, value in attack.settings.items()})
