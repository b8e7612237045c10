"""What a control leaves: its numbers, a table, a figure, a page; written from finished audits alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from markupsafe import Markup

import lmia
from lmia.control.figure import figure
from lmia.control.levels import Level, of_audit, shown
from lmia.control.outcome import Outcome
from lmia.control.plan import Control
from lmia.control.words import Trained, headline, limits, sentence
from lmia.evidence.estimate import Estimate
from lmia.membership import NAME as MANIFEST
from lmia.membership import read
from lmia.report.aside import write_aside
from lmia.report.cells import NONE, interval, rate
from lmia.report.html import render
from lmia.report.run import read_run
from lmia.study.cell import CELLS, TRAININGS
from lmia.study.cell import trained as record_of
from lmia.study.grid import Cell
from lmia.study.table import Row, as_csv

RUNS = "runs"
"""Folder of the trainings and audits, below that of the results."""
FILES = ("control.json", "table.csv", "figure.svg", "figure.png", "index.html")


def outcome(control: Control, cells: Sequence[Cell]) -> Outcome:
    """Judge every finished audit, level by level.

    Args:
        control: as asked for.
        cells: its trainings and audits, all finished.

    Raises:
        LmiaError: a report cannot be read.
    """
    found: list[Level] = []
    for cell in cells:
        run = read_run(control.out / RUNS / CELLS / cell.folder)
        found += of_audit(run, cell.seed, control.repeats, control.alpha)
    return Outcome(found, control.power)


def trainings(control: Control, cells: Sequence[Cell]) -> Trained:
    """Read what the trainings were."""
    told = {cell.seed: record_of(cell.training, control.out / RUNS) or {} for cell in cells}
    first = next(iter(told.values()))
    return Trained(
        source=first["source"],
        target=first["target"],
        pairs={seed: one["pairs"] for seed, one in told.items()},
        held_out={seed: one["held_out"] for seed, one in told.items()},
        epochs={seed: one["epochs"] for seed, one in told.items()},
        shown=_shown(control, cells),
    )


def _shown(control: Control, cells: Sequence[Cell]) -> dict[int, float]:
    totals = []
    for cell in cells:
        known = read(control.out / RUNS / TRAININGS / cell.training.key / MANIFEST)
        totals.append((int(known.repeats.sum()), int(cell.training.config["data"].get("batch", 128))))
    return {
        level: sum(shown(level, total, batch) for total, batch in totals) / len(totals) for level in control.repeats
    }


def write_control(control: Control, found: Outcome, trained: Trained, command: str) -> None:
    """Write everything that is for people, or for their programs, into the control's folder.

    Args:
        control: as asked for.
        found: what came out.
        trained: what the trainings were.
        command: that makes it again.

    Raises:
        LmiaError: a file cannot be written.
    """
    drawn, lines = figure(found), rows(found, trained)
    page = render(
        "control.html.j2",
        headline=headline(found),
        sentence=sentence(found, control, trained),
        attacks=[f"{attack}: {headline(found, attack)}" for attack in found.attacks] if len(found.attacks) > 1 else [],
        figure=Markup(drawn.svg),
        limits=limits(found, trained),
        lines=shown_rows(found, trained),
        alpha=f"{control.alpha:g}",
        command=command,
    )
    made = {
        "control.json": (json.dumps(told(control, found, trained), indent=2) + "\n").encode("utf-8"),
        "table.csv": as_csv(lines),
        "figure.svg": drawn.svg.encode("utf-8"),
        "figure.png": drawn.png,
        "index.html": page.encode("utf-8"),
    }
    for name in FILES:
        write_aside(control.out / name, made[name])


def told(control: Control, found: Outcome, trained: Trained) -> dict[str, Any]:
    """Say all of it to a program: settings, the level found, the sentence, and every number."""
    asked = {key: value for key, value in asdict(control).items() if key not in ("out", "jobs")}
    return {
        "lmia": lmia.__version__,
        "asked": asked,
        "found": found.smallest(),
        "found_by": {attack: found.smallest(attack) for attack in found.attacks},
        "trainings_in_which": {str(level): found.hits(level) for level in found.repeats},
        "headline": headline(found),
        "sentence": sentence(found, control, trained),
        "limits": limits(found, trained),
        "trained": asdict(trained),
        "levels": [{**asdict(one), "found": one.found} for one in found.levels],
    }


def rows(found: Outcome, trained: Trained) -> list[Row]:
    """List every level of every attack and training, as table.csv has it."""
    lines: list[Row] = []
    fprs = list(dict.fromkeys(tpr.fpr for one in found.levels for tpr in one.tprs))
    for one in found.levels:
        line: Row = {"seed": one.seed, "attack": one.attack, "repeats": one.repeats}
        line |= {"shown": trained.shown[one.repeats], "members": one.members, "nonmembers": one.nonmembers}
        line |= _ends("auc", one.auc) | {"confidence": one.auc.confidence if one.auc else None}
        line |= {"p": one.p, "found": "yes" if one.found else "no"}
        tprs = {tpr.fpr: tpr.estimate for tpr in one.tprs}
        for fpr in fprs:
            line |= _ends(f"tpr@{fpr:g}", tprs.get(fpr))
        lines.append(line)
    return lines


def _ends(name: str, estimate: Estimate | None) -> Row:
    value, low, high = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    return {name: value, f"{name} low": low, f"{name} high": high}


def shown_rows(found: Outcome, trained: Trained) -> list[dict[str, str]]:
    """Lay the same out for a person."""
    lines = []
    fprs = list(dict.fromkeys(tpr.fpr for one in found.levels for tpr in one.tprs))
    for one in found.levels:
        line = {"attack": one.attack, "repeats": str(one.repeats), "shown": f"{trained.shown[one.repeats]:.1f}"}
        line |= {"seed": str(one.seed), "pairs": f"{one.members:,}", "held out": f"{one.nonmembers:,}"}
        p = NONE if one.p is None else f"{one.p:.2g}" if one.p else "< 1e-13"  # a normal tail is kept to 15 digits
        line |= {"AUC": interval(one.auc), "p": p, "found": "yes" if one.found else "no"}
        tprs = {tpr.fpr: tpr for tpr in one.tprs}
        for fpr in fprs:
            tpr = tprs.get(fpr)
            line[f"TPR at {rate(fpr)}"] = interval(tpr.estimate) if tpr else NONE
        lines.append(line)
    return lines
