"""A figure of many runs: a level along the axis, every run a mark; means are filled, and joined where levels are numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from lmia.report.figures import drawing, svg_of
from lmia.report.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colours, told apart by all kinds of sight; marks differ as well."""
_MARKS = "osD^vPX*"
_DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Line:
    """The runs of one kind.

    Args:
        name: of the kind; empty where there is only one.
        runs: level to the values of all its runs.
    """

    name: str
    runs: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Args:
        svg: inline, text as text.
        png: for those who cannot show that.
    """

    svg: str
    png: bytes


def lines(drawn: Sequence[Line], across: str, up: str, log: str = "", dashed: float | None = None) -> Drawn:
    """Draw every run as an open mark and the means of each kind as filled ones, joined where the levels are numbers.

    Args:
        drawn: the kinds, all over the same levels in the same order.
        across: name of the horizontal axis.
        up: name of the vertical axis.
        log: which axes are logarithmic: `x`, `y`, `xy` or none. Levels that are no numbers stand side by
            side, and so do the kinds within one.
        dashed: where a dashed line stands to compare with, if anywhere.
    """
    levels = list(dict.fromkeys(level for line in drawn for level in line.runs))
    places = _numbers(levels)
    named = [line for line in drawn if line.name]
    with drawing(f"{across} {up}", 4.4 + 0.24 * ((len(named) + 2) // 3)) as (figure, axes):
        if dashed is not None:
            axes.axhline(dashed, color="#777777", lw=1, ls="--", zorder=0)
        for i, line in enumerate(drawn):
            aside = 0.0 if places else 0.7 * ((i + 0.5) / len(drawn) - 0.5)
            at = [place + aside for place in places or range(len(levels))]
            _draw(axes, line, dict(zip(levels, at, strict=True)), i, joined=places is not None)
        axes.set(xlabel=visible(across), ylabel=visible(up))
        if "x" in log and places and min(places) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if "y" in log and any(value > 0 for line in drawn for values in line.runs.values() for value in values):
            axes.set_yscale("log", nonpositive="mask")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # its own writes TeX, which is text here
            axes.yaxis.set_minor_formatter(lambda value, _: "")
        if places is None or len(levels) <= 12:
            many = places is None and len(levels) > 6
            said = [visible(level) if many else _wrapped(level) for level in levels]
            axes.set_xticks(
                places or range(len(levels)), said, rotation=35 if many else 0, ha="right" if many else "center"
            )
            axes.set_xticks([], minor=True)
        axes.grid(color="#e4e4e4", lw=0.7)
        if named:
            figure.legend(loc="outside upper left", ncols=3, columnspacing=1.2, handlelength=2.2)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        return Drawn(svg_of(figure, f"{across} {up}", _alt(drawn, across, up)), png.getvalue())


def _draw(axes: Axes, line: Line, place: Mapping[str, float], number: int, joined: bool) -> None:
    colour, mark = _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)]
    for level, values in line.runs.items():
        axes.plot([place[level]] * len(values), list(values), mark, color=colour, mfc="none", ms=5, alpha=0.7)
    means = [(place[level], fmean(values) if values else float("nan")) for level, values in line.runs.items()]
    dash = _DASHES[number // len(_COLOURS) % len(_DASHES)] if joined else "none"
    label = visible(line.name) if line.name else None
    axes.plot([x for x, _ in means], [y for _, y in means], mark, ls=dash, color=colour, lw=1.8, ms=6.5, label=label)


def _numbers(levels: Sequence[str]) -> list[float] | None:
    """Read levels as numbers, where all are."""
    try:
        return [float(level) for level in levels]
    except ValueError:
        return None


def _wrapped(level: str) -> str:
    return "\n".join(visible(level).split()) if len(level) > 8 else visible(level)


def _alt(drawn: Sequence[Line], across: str, up: str) -> str:
    said = []
    for line in drawn:
        means = [f"{visible(level)}: {fmean(values):.3g}" for level, values in line.runs.items() if values]
        said.append(f"{visible(line.name) or 'mean'} {', '.join(means) or 'no value'}")
    return f"{visible(up)} against {visible(across)}, means over runs: {'; '.join(said)}."
