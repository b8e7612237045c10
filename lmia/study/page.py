"""What a study leaves for people: tables, a figure, a page, a summary; written from its finished cells alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from lmia.report.aside import write_aside
from lmia.report.html import render
from lmia.report.lines import Line, lines
from lmia.report.markdown import escape
from lmia.report.visible import visible
from lmia.study.grid import Cell
from lmia.study.law import Law, power_law
from lmia.study.plan import Study
from lmia.study.table import Row, as_csv, as_parquet, rows, summary

FILES = (
    "table.csv",
    "table.parquet",
    "summary.csv",
    "summary.md",
    "laws.csv",
    "figure.svg",
    "figure.png",
    "index.html",
)
LIMITS = (
    "These worlds are small and drawn by a program: they show a direction, not a size. A model trained on millions of "
    "photographs may differ in every figure.",
    "A seed draws anew who is in, the first weights and all orders, but not the pictures: the spread over seeds is not that "
    "over collections of data.",
    "No figure is corrected for how many cells were looked at: the best of many is flattered.",
)
"""What no small world can say."""


def write_study(study: Study, cells: Sequence[Cell], out: Path, command: str) -> list[Row]:
    """Write everything a person reads into the study's folder, and return the summary.

    Args:
        study: as its file says it.
        cells: all of its cells; unfinished ones are rows that say so.
        out: its folder.
        command: that makes it again.

    Raises:
        LmiaError: a report or a file cannot be read or written.
    """
    found = rows(study, cells, out)
    short, fitted = summary(study, found), laws(study, found)
    dashed, _ = _reference(study) or (None, "")
    drawn = lines(_lines(study, found), study.figure["x"], study.figure["y"], study.figure.get("log", ""), dashed)
    said = [_said(line) for line in short]
    made = {
        "table.csv": as_csv(found),
        "table.parquet": as_parquet(found),
        "summary.csv": as_csv(short),
        "laws.csv": as_csv(fitted),
        "figure.svg": drawn.svg.encode("utf-8"),
        "figure.png": drawn.png,
        "summary.md": _markdown(study, found, said, [_said(one) for one in fitted], command).encode("utf-8"),
        "index.html": render(
            "study.html.j2",
            study=study,
            counts=_counts(study, found),
            failed=_failed(study, found),
            figure=Markup(drawn.svg),
            caption=_caption(study),
            limits=_limits(study),
            laws=[_said(one) for one in fitted],
            summary=said,
            command=command,
        ).encode("utf-8"),
    }
    for name, data in made.items():
        write_aside(out / name, data)
    return short


def laws(study: Study, found: Sequence[Row]) -> list[Row]:
    """Fit the laws that a study asks for: one for every attack and every combination of the other factors."""
    fitted: list[Row] = []
    for asked in study.laws:
        others = [factor for factor in study.vary if factor != asked["x"]]
        groups = {tuple(str(row[key]) for key in (*others, "attack")): None for row in found if row["status"] == "ran"}
        for names in groups:
            mine = [row for row in found if tuple(str(row[key]) for key in (*others, "attack")) == names]
            if any(row.get(asked["y"]) is not None for row in mine):
                law = _law(study, asked, mine)
                fitted.append({**dict(zip([*others, "attack"], names, strict=True)), **_row(asked, law)})
    columns = list(dict.fromkeys(key for line in fitted for key in line))
    return [{key: line.get(key) for key in columns} for line in fitted]


def _law(study: Study, asked: Mapping[str, Any], mine: Sequence[Row]) -> Law:
    levels = list(study.vary[asked["x"]])
    at = {(row["seed"], row[asked["x"]]): row.get(asked["y"]) for row in mine}
    values = [[at.get((seed, level)) for level in levels] for seed in study.seeds]
    return power_law([float(level) for level in levels], np.array(values, float))


def _row(asked: Mapping[str, Any], law: Law) -> Row:
    ends = law.exponent
    line: Row = {"law": f"{asked['y']} ~ {asked['x']}^b"}
    line |= {"b": ends.value, "b low": ends.low, "b high": ends.high} if ends else {"b": None}
    line["claimed b"] = float(asked["claim"]) if asked.get("claim") is not None else None
    return line | {"points": law.points, "left out": law.left_out, "seeds": law.seeds}


def _lines(study: Study, found: Sequence[Row]) -> list[Line]:
    """Collect what is drawn: a line for each colour, in the order of the table; empty ones are left out."""
    across, up, colour = study.figure["x"], study.figure["y"], study.figure.get("colour")
    at = {factor: str(level) for factor, level in study.figure.get("at", {}).items()}
    found = [row for row in found if row["status"] != "failed" and all(row[key] == level for key, level in at.items())]
    names = list(dict.fromkeys(str(row[colour]) if colour else "" for row in found))
    drawn = []
    for name in names:
        runs: dict[str, list[float]] = {level: [] for level in study.vary[across]}
        for row in found:
            value = row.get(up)
            if isinstance(value, (int, float)) and (not colour or str(row[colour]) == name):
                runs[str(row[across])].append(float(value))
        if any(runs.values()):
            drawn.append(Line(f"{colour} {name}" if colour in study.vary else name, runs))
    return drawn


def _reference(study: Study) -> tuple[float, str] | None:
    """Where the dashed line lies, and what it is: guessing is a half for areas, and the rate itself for shares found."""
    up = study.figure["y"]
    if up == "versus cosine":
        return 0.0, "the plain cosine"
    if up.startswith("tpr@"):
        return float(up.removeprefix("tpr@").removesuffix(" repeated")), "guessing"
    return (0.5, "guessing") if up in ("auc", "auc repeated", "adjusted", "twin", "blind", "live auc") else None


def _caption(study: Study) -> str:
    only = ", ".join(f"{factor} {level}" for factor, level in study.figure.get("at", {}).items())
    what = f"{study.figure['y']} against {study.figure['x']}{f', at {only}' if only else ''}"
    many = "s" if len(study.seeds) != 1 else ""
    line = f" The dashed line is {reference[1]}." if (reference := _reference(study)) else ""
    return f"{what}. Every open mark is one audit, with one of {len(study.seeds)} seed{many}; filled marks are means.{line}"


def _counts(study: Study, found: Sequence[Row]) -> str:
    factors = "; ".join(f"{factor}: {', '.join(levels)}" for factor, levels in study.vary.items())
    seeds = ", ".join(map(str, study.seeds))
    cells = len({tuple(row[key] for key in (*study.vary, "seed")) for row in found})
    return f"{cells} audits of targets trained for this. {factors}. Seeds: {seeds}."


def _failed(study: Study, found: Sequence[Row]) -> list[str]:
    """Say every cell and attack without a number, with its reason: of several seeds, the first one's."""
    seeds: dict[str, list[Row]] = {}
    for row in found:
        if row["status"] != "ran":
            where = ", ".join(
                [*(f"{key} {row[key]}" for key in study.vary), *([str(row["attack"])] if row["attack"] else [])]
            )
            seeds.setdefault(where, []).append(row)
    said = []
    for where, some in seeds.items():
        which = f"seed{'s' * (len(some) > 1)} {', '.join(str(row['seed']) for row in some)}"
        reasons = [str(row["failed"] or row["status"]) for row in some]
        whose = "" if len(set(reasons)) == 1 else f" (in the words of seed {some[0]['seed']})"
        said.append(f"{where}, {which}{whose}: {reasons[0]}")
    return said


def _limits(study: Study) -> list[str]:
    many = (
        "One seed shows no spread." if len(study.seeds) == 1 else f"{len(study.seeds)} seeds show the spread roughly."
    )
    few = [many] if len(study.seeds) < 10 else []
    return [*study.limits, *LIMITS, *few]


def _said(line: Row) -> dict[str, str]:
    """Write a row for a person: a mean with its spread and range in one cell."""
    said: dict[str, str] = {}
    for key, value in line.items():
        name, _, part = key.rpartition(" ")
        if part in ("sd", "min", "max", "n", "low", "high") and (f"{name} mean" in line or name in line):
            continue
        if part == "mean":
            said[name] = _whole(line, name, _number(value), ("min", "max"), line.get(f"{name} sd"))
        elif f"{key} low" in line:
            said[key] = _whole(line, key, _number(value), ("low", "high"))
        elif f"{key} min" in line:
            said[key] = _whole(line, key, _number(value), ("min", "max"))
        elif not (part == "n" and value == 0):
            said[key] = _number(value)
    return said


def _whole(line: Row, name: str, value: str, ends: tuple[str, str], sd: str | float | None = None) -> str:
    low, high = (_number(line.get(f"{name} {end}")) for end in ends)
    if value == "-" or (ends == ("min", "max") and low == high == value):
        return value
    n = line.get(f"{name} n", line.get("seeds"))
    of = f" (of {_number(n)})" if n != line.get("seeds") else ""
    return f"{value}{f' sd {_number(sd)}' if sd is not None else ''} [{low}, {high}]{of}"


def _number(value: str | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _markdown(
    study: Study, found: Sequence[Row], short: Sequence[dict[str, str]], fitted: Sequence[dict[str, str]], command: str
) -> str:
    """Write the summary as Markdown; what the study's file says is escaped."""
    parts = [f"# {escape(study.title)}", escape(study.question)]
    parts += [f"What is claimed: {escape(study.claim)}"] if study.claim else []
    parts += [escape(_counts(study, found)), f"![{escape(_caption(study))}](figure.png)", _table(short)]
    parts += ["## Power laws", _table(fitted)] if fitted else []
    failed = _failed(study, found)
    parts += ["## Not found out", "\n".join(f"- {escape(line)}" for line in failed)] if failed else []
    parts += ["## What this does not show", "\n".join(f"- {escape(limit)}" for limit in _limits(study))]
    return "\n\n".join([*parts, f"Made again with `{visible(command).replace('`', '')}`."]) + "\n"


def _table(shown: Sequence[dict[str, str]]) -> str:
    if not shown:
        return "There is no finished cell."
    head = [[escape(name) for name in shown[0]], ["---"] * len(shown[0])]
    body = [[escape(text) for text in line.values()] for line in shown]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*head, *body])
