"""The report's figures as inline SVG: no network, no script, no date, the same bytes for the same report."""

from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from lmia.evidence.estimate import Estimate
from lmia.report.cells import count, interval, rate
from lmia.report.model import AttackResult, Histogram, Validity
from lmia.report.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_WIDTH = 6.4  # inches; the page scales it
_COLOURS = ("#0b5fa5", "#c8553d", "#2a7f62", "#6a4c93", "#b8860b", "#444444", "#d1478c", "#1b9aaa")
_GROUPS = {  # colour and line, so that neither colour nor print has to carry the difference alone
    "members": ("#0b5fa5", "-"),
    "suspects": ("#6a4c93", "-"),
    "nonmembers": ("#c8553d", "--"),
    "calibration": ("#555555", ":"),
}
_NAMES = {"nonmembers": "non-members", "calibration": "known non-members"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and copied
    "text.parse_math": False,  # a `$` in a name is a `$`
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 12.0,
    "axes.edgecolor": "#777777",
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
}


def forest(attacks: Sequence[AttackResult], validity: Validity | None = None) -> str:
    """Draw every attack's AUC with its interval, and the line of guessing at 0.5; the first attack on top.

    Under it stand the same attack among like pairs, on the untrained twin and on placebos; under all of them what blind
    baselines see without the model. Attacks without an AUC keep their row, with their status in words.
    """
    rows = _rows(attacks, validity or Validity())
    bounds = [(mark.auc.low, mark.auc.high) for row in rows for mark in row.marks]
    left = max(min([0.4, *(low - 0.03 for low, _ in bounds)]), -0.02)
    right = min(max([0.6, *(high + 0.03 for _, high in bounds)]), 1.02)
    high = sum(row.height for row in rows) or 1.0
    kinds = list(dict.fromkeys(mark.kind for row in rows for mark in row.marks))
    with drawing("forest", 1.1 + 0.42 * high + (0.3 if len(kinds) > 1 else 0)) as (figure, axes):
        top, middles = 0.0, []
        for row in rows:
            middles.append(top + row.height / 2)
            for i, mark in enumerate(row.marks):
                at, style = top + row.height * (i + 0.5) / len(row.marks), _MARKS[mark.kind]
                axes.plot([mark.auc.low, mark.auc.high], [at, at], color=style.colour, lw=2.2, solid_capstyle="butt")
                axes.plot(mark.auc.value, at, style.sign, color=style.colour, mfc=style.fill, ms=6.5)
            if not row.marks:
                words: dict[str, Any] = {"va": "center", "color": "#777777", "style": "italic", "size": 11}
                axes.annotate(row.status, (0.5, middles[-1]), xytext=(8, 0), textcoords="offset points", **words)
            top += row.height
        axes.axvline(0.5, color="#222222", lw=1, ls="--", zorder=0)
        axes.set(xlim=(left, right), ylim=(high + 0.1, -0.1), xlabel="AUC (0.5 = guessing)")
        axes.set_yticks(middles, [_short(row.name) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        values = axes.secondary_yaxis("right")
        values.set_yticks(middles, [interval(row.marks[0].auc) if row.marks else "" for row in rows])
        values.tick_params(axis="y", length=0)
        values.spines["right"].set_visible(False)
        if len(kinds) > 1:
            handles = [
                axes.plot([], [], s.sign, color=s.colour, mfc=s.fill, ms=6.5)[0] for s in map(_MARKS.get, kinds) if s
            ]
            figure.legend(handles, kinds, loc="outside upper left", ncols=2, columnspacing=1.2, handletextpad=0.3)
        drawn = "; ".join(f"{visible(row.name)} {_alt(row)}" for row in rows)
        return svg_of(figure, "forest", f"AUC with interval of every attack, 0.5 being guessing: {drawn}.")


@dataclass(frozen=True)
class _Style:
    sign: str
    colour: str
    fill: str


_MARKS = {
    "all pairs": _Style("o", "#0b5fa5", "#0b5fa5"),
    "pairs that look alike": _Style("D", "#2a7f62", "#2a7f62"),
    "on the untrained twin": _Style("s", "#777777", "#ffffff"),
    "on a placebo": _Style("^", "#777777", "#ffffff"),
    "without the model": _Style("X", "#c8553d", "#c8553d"),
}


@dataclass(frozen=True)
class _Mark:
    kind: str
    auc: Estimate


@dataclass(frozen=True)
class _Row:
    name: str
    status: str
    marks: Sequence[_Mark]

    @property
    def height(self) -> float:
        return 1.0 if len(self.marks) < 2 else 0.4 + 0.42 * len(self.marks)


def _rows(attacks: Sequence[AttackResult], validity: Validity) -> list[_Row]:
    """Collect what is drawn: a row an attack, and one each for the blind baselines."""
    rows = []
    like = {one.attack: one for one in validity.adjusted}
    for attack in attacks:
        one = like.get(attack.name)
        found = [("all pairs", attack.auc or (one.raw if one else None))]
        found += [("pairs that look alike", one.adjusted if one and validity.strata_of else None)]
        for beside in validity.besides:
            kind = "on the untrained twin" if beside.kind == "twin" else "on a placebo"
            found += [(kind, beside.auc)] if beside.attack == attack.name else []
        marks = [_Mark(kind, auc) for kind, auc in found if auc is not None]
        rows.append(_Row(attack.name, "no AUC" if attack.status == "ran" else attack.status, marks))
    blind = [one for one in validity.baselines if one.auc is not None]
    return rows + [_Row(f"blind: {one.kind}", "", [_Mark("without the model", one.auc)]) for one in blind if one.auc]


def _alt(row: _Row) -> str:
    said = [f"{mark.kind} {interval(mark.auc)}" if i else interval(mark.auc) for i, mark in enumerate(row.marks)]
    return ", ".join(said) or row.status


def roc(attacks: Sequence[AttackResult], nonmembers: int) -> str:
    """Draw the ROC curves on logarithmic axes, down to what so many non-members can show (1e-4 at most).

    Args:
        attacks: those with a curve are drawn.
        nonmembers: how many audited non-members there are.
    """
    lowest = next(edge for edge in (0.1, 0.01, 0.001, 0.0001) if edge <= 1 / max(nonmembers, 1) or edge == 0.0001)
    drawn = [attack for attack in attacks if attack.curve is not None]
    lines = cycle([(colour, line) for line in ("-", "--", ":") for colour in _COLOURS])
    with drawing("roc", 4.8) as (figure, axes):
        axes.plot([lowest, 1], [lowest, 1], color="#999999", lw=1, ls="--")
        axes.text(1.4 * lowest**0.5, 0.8 * lowest**0.5, "guessing", color="#777777", size=10)
        for attack, (colour, line) in zip(drawn, lines, strict=False):
            if attack.curve is None:
                continue
            fpr = [max(value, lowest) for value in attack.curve.fpr]
            tpr = [max(value, lowest / 2) for value in attack.curve.tpr]
            axes.step(fpr, tpr, where="post", color=colour, ls=line, lw=1.8, label=_short(attack.name))
        ticks = [edge for edge in (0.0001, 0.001, 0.01, 0.1, 1) if edge >= lowest]
        for scale, set_ticks, set_limits in (
            (axes.set_xscale, axes.set_xticks, axes.set_xlim),
            (axes.set_yscale, axes.set_yticks, axes.set_ylim),
        ):
            scale("log")
            set_ticks(ticks, [rate(tick) for tick in ticks])
            set_ticks([], minor=True)
            set_limits(lowest, 1.02)
        axes.set(xlabel="false positive rate: non-members wrongly named", ylabel="true positive rate: members found")
        axes.grid(color="#e4e4e4", lw=0.7)
        if drawn:
            axes.legend(loc="lower right" if len(drawn) <= 6 else "upper left", ncols=1 if len(drawn) <= 6 else 2)
        names = ", ".join(visible(attack.name) for attack in drawn) or "none"
        return svg_of(figure, "roc", f"ROC curves on logarithmic axes of: {names}.")


def histogram(name: str, data: Histogram) -> str:
    """Draw the scores of each group as shares of that group, in common bins.

    Args:
        name: of the attack.
        data: counts of each group; empty groups are left out.
    """
    groups = {group: counts for group, counts in data.counts.items() if sum(counts)}
    with drawing(f"histogram {name}", 2.8) as (figure, axes):
        for group, counts in groups.items():
            colour, line = _GROUPS.get(group, ("#222222", "-"))
            shares = [100 * value / sum(counts) for value in counts]
            label = f"{_NAMES.get(group, _short(group))} ({count(sum(counts))})"
            axes.stairs(shares, data.edges, color=colour, ls=line, lw=1.7, label=label)
            if line == "-":
                axes.stairs(shares, data.edges, color=colour, fill=True, alpha=0.15)
        axes.set(xlabel="score (higher: more likely a member)", ylabel="% of the group")
        axes.margins(x=0.02)
        if groups:
            figure.legend(loc="outside upper left", ncols=len(groups), columnspacing=1.2, handlelength=1.6)
        said = ", ".join(
            f"{count(sum(counts))} {_NAMES.get(group, visible(group))}" for group, counts in groups.items()
        )
        return svg_of(
            figure, f"histogram {name}", f"Histogram of the scores of {visible(name)}: {said or 'no scores'}."
        )


def _short(name: str) -> str:
    shown = visible(name)
    return shown if len(shown) <= 22 else f"{shown[:21]}…"


@contextmanager
def drawing(salt: str, height: float) -> Iterator[tuple[Figure, Axes]]:
    """Open a figure of the house's width and style, the same whatever the machine's matplotlib is set to.

    Args:
        salt: keeps the ids of several figures on one page apart.
        height: in inches.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # whatever matplotlibrc lies about
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": visible(salt)})
        # the browser draws the text with a font that has the letter; matplotlib only measures it
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def svg_of(figure: Figure, salt: str, alt: str) -> str:
    """Turn a figure into an `<svg>` element for a page: no style, metadata or fixed size, and a text for who cannot see it.

    Args:
        figure: drawn.
        salt: as `drawing` had it.
        alt: what it shows, in words.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
    root = ET.fromstring(drawn.getvalue())  # our own drawing, not a stranger's file
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    _own_ids(root, "-".join(part for part in "".join(c if c.isascii() and c.isalnum() else " " for c in salt).split()))
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", alt)
    title = ET.Element(f"{{{_SVG}}}title")
    title.text = alt
    root.insert(0, title)
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(root, encoding="unicode")


def _own_ids(root: ET.Element, prefix: str) -> None:
    """Keep only ids that something points to, each with the figure's prefix: a page holds many figures."""
    uses = [value for element in root.iter() for value in element.attrib.values() if "#" in value]
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name and any(use == f"#{name}" or f"url(#{name})" in use for use in uses):
            element.set("id", f"{prefix}-{name}")
    for element in root.iter():
        for key, value in element.attrib.items():
            if value.startswith("#") and key.endswith("href"):
                element.set(key, f"#{prefix}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{prefix}-"))
