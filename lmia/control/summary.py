"""A control on the terminal: the line, a table of levels, the sentence for copying."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lmia.control.levels import Level
from lmia.control.outcome import Outcome
from lmia.control.plan import Control
from lmia.control.words import Trained, headline, notes, sentence
from lmia.report.cells import NONE
from lmia.report.visible import visible


def summary(found: Outcome, control: Control, trained: Trained) -> RenderableType:
    """Lay a control out for the terminal; nothing in it is read as markup or as an escape sequence."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("attack", "repeats", "shown", "AUC", "lower ends", "found in"):
        table.add_column(column, overflow="fold")
    for attack in found.attacks:
        for level in found.repeats:
            table.add_row(*(Text(visible(cell)) for cell in _cells(found, attack, level, trained)))
    parts: list[RenderableType] = [Text(visible(headline(found)), style="bold"), Text(""), table, Text("")]
    parts += [Text(visible(line), style="yellow") for line in notes(found)]
    parts += [Text("To stand beside a real audit:"), Text(visible(sentence(found, control, trained)))]
    return Group(*parts)


def _cells(found: Outcome, attack: str, level: int, trained: Trained) -> list[str]:
    mine = found.at(level, attack)
    hits = f"{found.hits(level, attack)} of {len(found.seeds)}"
    return [attack, str(level), f"{trained.shown[level]:.1f}", _mean(mine), _lower(mine), hits]


def _mean(levels: list[Level]) -> str:
    values = [one.auc.value for one in levels if one.auc is not None]
    return f"{sum(values) / len(values):.3f}" if values else NONE


def _lower(levels: list[Level]) -> str:
    return " ".join(NONE if one.auc is None else f"{one.auc.low:.3f}" for one in levels)
