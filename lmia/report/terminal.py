"""The summary in the terminal: question, answer, one table, warnings, and the report's path last."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lmia.evidence.estimate import Estimate
from lmia.report import doubt, sentences, verdict
from lmia.report.cells import NONE, count, interval, percent, rate, signed
from lmia.report.model import AttackResult, AuditReport
from lmia.report.visible import visible

_WORD = {"void": "yellow", "evidence": "red", "underpowered": "yellow", "none": "green"}
_STATUS = {"ran": "green", "nothing to learn": "yellow", "did not run": "red"}


def summary(report: AuditReport) -> RenderableType:
    """Lay a report out for the terminal; nothing in it is read as markup or as an escape sequence."""
    parts: list[RenderableType] = [Text(sentences.DEMO, style="bold red")] if report.demo else []
    parts += [_text(sentences.question(report), "bold"), *_verdict(report), _text(sentences.answer(report)), Text("")]
    if report.attacks:
        parts.append(_leakage(report) if report.question == "leakage" else _use(report))
    parts += [_text(sentence) for sentence in doubt.sentences(report)]
    parts += [_text(sentences.status(attack), "yellow") for attack in report.attacks if attack.status != "ran"]
    parts += [_text(f"Warning: {warning}", "yellow") for warning in report.warnings]
    return Group(*parts)


def _verdict(report: AuditReport) -> list[RenderableType]:
    if report.verdict is None:
        return []
    said = Text.assemble((f" {verdict.mark(report)} ", f"reverse {_WORD[report.verdict.word]}"), " ")
    said.append(visible(verdict.headline(report)), style="bold")
    return [said, *(_text(f"- {ground}") for ground in verdict.grounds(report)), Text("")]


def print_summary(report: AuditReport, console: Console, path: Path) -> None:
    """Print the summary and, as the last line, where the report lies.

    Args:
        report: what to print.
        console: where to; without a terminal, or with NO_COLOR, it prints plain text.
        path: of the report to open, `report.html` or `report.json`.
    """
    console.print(summary(report))
    console.print(_text(f"Report: {path}"), soft_wrap=True)


_SHORT = 10
"""Names up to this length leave room between columns of intervals, in 80 characters."""


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)


def _table(first: str, *others: str, apart: int = 1) -> Table:
    """Lay out columns of which only the first may fold: a number that is broken is misread."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, apart, 0, 0))
    table.add_column(first, overflow="fold")
    for column in others:
        table.add_column(column, no_wrap=True)
    return table


def _two_lines(shown: str) -> Text:
    """Put the interval under its value, unbreakable, so that six columns fit into 80 characters."""
    value, bracket, rest = shown.partition(" [")
    return Text(value).append(f"\n[{rest.replace(', ', ',')}", style="dim") if bracket else Text(shown, style="dim")


def _leakage(report: AuditReport) -> Table:
    fprs = list(dict.fromkeys(tpr.fpr for attack in report.attacks for tpr in attack.tprs))
    like = {one.attack: one.adjusted for one in report.validity.adjusted}
    shares = [f"TPR@{rate(fpr).replace(' ', '')}" for fpr in fprs]
    short = all(len(attack.name) <= _SHORT for attack in report.attacks)
    columns = ["AUC", *(["adjusted"] if like else []), "vs cosine", *shares]
    table = _table("attack", *columns, apart=1 if short else 0)
    for attack in report.attacks:
        tprs = {tpr.fpr: _tpr(tpr.estimate) for tpr in attack.tprs}
        if attack.auc is None:  # in its place, since 80 characters are soon full
            table.add_row(_text(attack.name, "bold"), _status(attack))
            continue
        cells = [interval(attack.auc), *([interval(like.get(attack.name))] if like else [])]
        cells += [signed(attack.versus_cosine), *(tprs.get(fpr, NONE) for fpr in fprs)]
        table.add_row(_text(attack.name, "bold"), *(_two_lines(cell) for cell in cells))
    return table


def _tpr(estimate: Estimate | None) -> str:
    return "not\nestimable" if estimate is None else percent(estimate)


def _use(report: AuditReport) -> Table:
    table = _table("attack", "suspects", f"q <= {sentences.LEVEL}", "smallest p possible", "status")
    for attack in report.attacks:
        found = attack.suspects
        cells = (NONE,) * 3
        if found is not None:
            cells = (count(found.n), count(sentences.discoveries(attack) or 0), f"{found.smallest_p:.3g}")
        table.add_row(_text(attack.name, "bold"), *(Text(cell) for cell in cells), _status(attack))
    return table


def _status(attack: AttackResult) -> Text:
    return Text(
        attack.status.replace(" ", "\n", 1) if len(attack.status) > 11 else attack.status, style=_STATUS[attack.status]
    )
