"""`report.md`: the report as text that any viewer of Markdown shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import yaml

from lmia.report import doubt, findings, sentences, verdict
from lmia.report.cells import NONE, count, interval, percent, rate, signed
from lmia.report.checklist import checklist
from lmia.report.model import AttackResult, AuditReport
from lmia.report.visible import visible

NAME = "report.md"
_MARKUP = re.compile(r"([\\`*_{}\[\]|~#!$])")
_LINK = re.compile(r"(?i)(?<=www)\.")  # which some viewers make a link of, without being asked
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def markdown(report: AuditReport) -> str:
    r"""Write a report as Markdown: the question, the answer, every attack, every count, the exact configuration.

    Example:
        >>> escape("a|b <script>")
        'a\\|b &lt;script&gt;'
    """
    parts = [
        f"# {escape(sentences.question(report))}",
        f"**{sentences.DEMO}**" if report.demo else "",
        f"**{verdict.mark(report)}: {escape(verdict.headline(report))}**",
        _bullets(verdict.grounds(report)),
        escape(sentences.answer(report)),
        _bullets(sentences.sides(report)),
        _section("What this does not show", _bullets([*sentences.limits(report), *verdict.cautions(report)])),
        _section("Warnings", _bullets(report.warnings)),
        _section("Attacks", _attacks(report)),
        _section("Where nothing is remembered", _doubt(report)),
        _section("What must be found", _tables([table] if (table := verdict.positives(report)) else [])),
        _section("Who is exposed most", _slices(report)),
        _section("What is there twice", _copies(report)),
        _section("Deployable thresholds", _bullets(threshold_lines(report))),
        _section("Records", _records(report)),
        *(_section(f"Findings of {escape(a.name)}", _tables(findings.tables(a.findings))) for a in report.attacks),
        _section("What a report one can trust carries", _checklist(report)),
        _section("Target, views and extraction", _tables(about(report))),
        _section("Configuration", _fenced(config_yaml(report))),
        _section("Environment", _tables(findings.tables(dict(report.environment)))),
        escape(footer(report)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    r"""Write text from the data so that Markdown shows it as it is, on one line, and HTML in it stays text.

    Example:
        >>> escape("*bold* [x](http://y)")
        '\\*bold\\* \\[x\\](http:\\//y)'
    """
    shown = "".join(_ENTITIES.get(char, char) for char in _MARKUP.sub(r"\\\1", visible(text)))
    return _LINK.sub(r"\\.", shown.replace("://", ":\\//"))


def config_yaml(report: AuditReport) -> str:
    """Write the exact configuration as YAML, with nothing unseen in it."""
    text = yaml.safe_dump(_listed(report.config), sort_keys=False, allow_unicode=True, width=100)
    if text == visible(text, lines=True):
        return text
    return yaml.safe_dump(_listed(report.config), sort_keys=False, allow_unicode=False, width=100)


def threshold_lines(report: AuditReport) -> list[str]:
    """Say every deployable threshold in a sentence."""
    return [sentences.threshold(attack, item) for attack in report.attacks for item in attack.thresholds]


def about(report: AuditReport) -> list[findings.Table]:
    """Lay out what is known of the target, the views and the extraction."""
    parts = {"target": report.target, "views": report.views, "extraction": report.extraction}
    return [table for title, data in parts.items() for table in findings.tables(data, title)]


def footer(report: AuditReport) -> str:
    """Say when and by what the report was made, and what checks the scores beside it."""
    return (
        f"Made by lmia {report.lmia} on {report.created} in {report.seconds:.1f} s, seed {report.seed}; every interval has "
        f"{rate(report.confidence)} coverage. sha256 of scores.parquet: {report.scores_sha256 or NONE}"
    )


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [_row(escape(cell) for cell in row) for row in rows]
    return "\n".join([_row(escape(column) for column in columns), _row("---" for _ in columns), *body])


def _tables(tables: Iterable[findings.Table]) -> str:
    parts = []
    for table in tables:
        parts.append(f"**{escape(table.title)}**" if table.title else "")
        parts.append(_grid(table.columns or ("name", "value"), table.rows))
        parts.append(f"{count(table.left_out)} more rows are in report.json." if table.left_out else "")
    return "\n\n".join(part for part in parts if part)


def _doubt(report: AuditReport) -> str:
    parts = (verdict.adjusted(report), doubt.baselines(report), doubt.besides(report), verdict.checks(report))
    tables = [table for table in parts if table]
    said = (_bullets(doubt.sentences(report)), _tables(tables))
    return "\n\n".join(part for part in said if part)


def _slices(report: AuditReport) -> str:
    table = verdict.slices(report)
    if table is None or report.validity.slices is None:
        return ""
    return f"{_bullets(report.validity.slices.sentences())}\n\n{_tables([table])}"


def _copies(report: AuditReport) -> str:
    if report.validity.copied is None:
        return ""
    table = doubt.copies(report)
    return f"{_bullets(report.validity.copied.sentences())}\n\n{_tables([table] if table else [])}".strip()


def _checklist(report: AuditReport) -> str:
    rows = [(str(one.number), one.title, one.state, one.sentence) for one in checklist(report)]
    return _grid(("", "point", "state", "in this audit"), rows)


def _attacks(report: AuditReport) -> str:
    if not report.attacks:
        return "None was asked for."
    if report.question == "leakage":
        fprs = list(dict.fromkeys(tpr.fpr for attack in report.attacks for tpr in attack.tprs))
        columns = [
            "attack",
            "status",
            "AUC",
            "difference to plain cosine",
            *(f"TPR at {rate(fpr)} FPR" for fpr in fprs),
        ]
        rows = [_leakage_row(attack, fprs) for attack in report.attacks]
    else:
        columns = ["attack", "status", "suspects", f"stand out (q <= {sentences.LEVEL})", "smallest p possible"]
        rows = [_use_row(attack) for attack in report.attacks]
    noted = [f"{attack.name}: {note}" for attack in report.attacks for note in sentences.notes(attack)]
    noted += sentences.tpr_notes(report)
    return "\n\n".join(part for part in (_grid(columns, rows), _bullets(noted)) if part)


def _leakage_row(attack: AttackResult, fprs: Sequence[float]) -> list[str]:
    tprs = {tpr.fpr: percent(tpr.estimate) if tpr.estimate else "not estimable" for tpr in attack.tprs}
    shares = [tprs.get(fpr, NONE) for fpr in fprs]
    return [attack.name, attack.status, interval(attack.auc), signed(attack.versus_cosine), *shares]


def _use_row(attack: AttackResult) -> list[str]:
    found = attack.suspects
    if found is None:
        return [attack.name, attack.status, NONE, NONE, NONE]
    return [attack.name, attack.status, count(found.n), str(sentences.discoveries(attack)), f"{found.smallest_p:.3g}"]


def _records(report: AuditReport) -> str:
    rows = []
    for role in report.roles:
        scored, rejected = sum(role.scored.values()), sum(role.rejected.values())
        reasons = "; ".join(f"{reason}: {count(n)}" for reason, n in role.rejected.items())
        left = role.records - scored - rejected
        rows.append(
            [role.role, role.source, count(role.records), count(scored), count(left), count(rejected), reasons or NONE]
        )
    columns = ("role", "source", "records", "scored", "left out", "rejected", "reasons")
    return _grid(columns, rows) if rows else ""


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}yaml\n{text.rstrip()}\n{fence}"


def _listed(value: object) -> object:
    """Make lists of tuples and dicts of mappings, which YAML's safe writer asks for."""
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Sequence):
        return [_listed(item) for item in value]
    if hasattr(value, "items"):
        return {key: _listed(item) for key, item in value.items()}
    return value
