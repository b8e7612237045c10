"""AUC against repeats, with intervals: one line for every attack and training."""

from __future__ import annotations

import io
from itertools import cycle, islice

from lmia.control.outcome import Outcome
from lmia.report.cells import interval
from lmia.report.figures import drawing, svg_of
from lmia.report.lines import Drawn
from lmia.report.visible import visible

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's: an attack each."""
_MARKS = "osD^vPX*"
"""A training each, so that print and all kinds of sight can tell them apart."""
_APART = 0.1
"""Levels stand one apart; runs of one level so far from each other."""


def figure(outcome: Outcome) -> Drawn:
    """Draw every attack in every training; levels stand side by side, runs of a level next to each other."""
    levels, attacks, seeds = outcome.repeats, outcome.attacks, outcome.seeds
    colours = dict(zip(attacks, islice(cycle(_COLOURS), len(attacks)), strict=True))
    marks = dict(zip(seeds, islice(cycle(_MARKS), len(seeds)), strict=True))
    runs = [(attack, seed) for attack in attacks for seed in seeds]
    apart = min(_APART, 0.7 / max(1, len(runs)))
    with drawing("control", 4.4 + 0.24 * ((len(runs) + 2) // 3)) as (drawn, axes):
        axes.axhline(0.5, color="#777777", lw=1, ls="--", zorder=0)
        for number, (attack, seed) in enumerate(runs):
            mine = [one for one in outcome.levels if one.attack == attack and one.seed == seed and one.auc is not None]
            places = [levels.index(one.repeats) + apart * (number - (len(runs) - 1) / 2) for one in mine]
            colour, mark = colours[attack], marks[seed]
            for place, one in zip(places, mine, strict=True):
                if one.auc is not None:
                    axes.plot([place, place], [one.auc.low, one.auc.high], color=colour, lw=1.4, solid_capstyle="butt")
                    fill = colour if one.found else "none"
                    axes.plot(place, one.auc.value, mark, color=colour, mfc=fill, ms=5.5)
            values = [one.auc.value for one in mine if one.auc is not None]
            axes.plot(places, values, color=colour, lw=0.8, alpha=0.5)
            axes.plot([], [], mark, ls="-", lw=0.8, color=colour, ms=5.5, label=f"{visible(attack)}, seed {seed}")
        axes.set(xlabel="times that an epoch shows a pair", ylabel="AUC (0.5 = guessing)")
        axes.set_xticks(range(len(levels)), [str(level) for level in levels])
        axes.grid(axis="y", color="#e4e4e4", lw=0.7)
        drawn.legend(loc="outside upper left", ncols=3, columnspacing=1.2, handlelength=2.2)
        png = io.BytesIO()
        drawn.savefig(png, format="png", dpi=150, metadata={"Software": None})
        return Drawn(svg_of(drawn, "control", _alt(outcome)), png.getvalue())


def _alt(outcome: Outcome) -> str:
    said = [
        f"{visible(one.attack)}, seed {one.seed}, {one.repeats} times: {interval(one.auc)}"
        for one in outcome.levels
        if one.auc is not None
    ]
    return f"AUC with interval against repeats, 0.5 being guessing. {'; '.join(said)}."
