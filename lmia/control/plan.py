"""A control as asked for, and the study of one cell a seed that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from lmia.errors import LmiaError
from lmia.evidence.hashes import RADIUS
from lmia.source import Source, expected, reader_of
from lmia.study.plan import Study, Tree
from lmia.training.levels import check_levels

FACTOR = "planted"
"""The one factor of the study behind a control; it has one level."""


@dataclass(frozen=True)
class Control:
    """How a control is made, apart from its training and its audit.

    Args:
        repeats: levels: how often an epoch shows the planted pairs of each. The pairs of level 1 are all that are shown once.
        planted: pairs of each level; which they are is drawn by lot, of those that are trained on.
        seeds: a training and an audit with each: it draws who is in, which pairs are planted, weights and orders.
        power: the share of the trainings in which a level, and every larger one, must be found.
        alpha: the chance of a false alarm in one training, over all levels and attacks together.
        out: folder of the results. The same command goes on with a control that was broken off.
        jobs: trainings at once; they share the cores.

    Raises:
        LmiaError: a number is out of its range.

    Example:
        >>> Control(repeats=[4, 2])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The levels of repeats cannot be 4 2.
        Give whole numbers from 1, each larger than the one before: 1 2 4 8.
    """

    repeats: list[int] = field(default_factory=lambda: [1, 2, 4, 8, 16, 32])
    planted: int = 100
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    power: float = 0.9
    alpha: float = 0.01
    out: Path = Path("lmia-control")
    jobs: int = 1

    def __post_init__(self) -> None:
        check_levels(self.repeats, self.planted)
        if not 0 < self.power <= 1:
            raise LmiaError(f"The power {self.power} is no share of trainings.", "Give a number above 0, up to 1.")
        if not 0 < self.alpha < 0.5:
            problem = f"A false alarm chance of {self.alpha} cannot be tested at."
            raise LmiaError(problem, "Give a number above 0, below 0.5, such as 0.01.")

    @property
    def needed(self) -> int:
        """How many pairs have to be in each training.

        Example:
            >>> Control(repeats=[1, 8], planted=50).needed
            100
        """
        return len(self.repeats) * self.planted

    def check_pairs(self, source: Source, share: float) -> None:
        """Refuse a source that is too small, where it can count its records without reading them.

        Raises:
            LmiaError: such a share of it does not hold the planted pairs.
        """
        if type(reader_of(source)).count is Source.count:
            return  # the training will say it
        n = expected(source, sum(map(source.count, source.shards())))
        if n * share < self.needed:
            problem = (
                f"{len(self.repeats)} levels of {self.planted} planted pairs each need {self.needed:,} pairs in the "
                f"training, and a share of {share:g} of {n:,} pairs is {int(n * share):,}."
            )
            least = ceil(1.1 * self.needed / share)  # the share is drawn by lot, and some pairs are near copies
            fits = int(n * share / 1.1) // len(self.repeats)
            fewer = f", or --planted {fits}" if fits else ""
            raise LmiaError(problem, f"Give {least:,} pairs or more, fewer --repeats{fewer}.")


def study(control: Control, fit: Tree, audit: Tree) -> Study:
    """Return the study that makes a control: one cell, once with every seed.

    Near copies are left out of the training unless `fit` says otherwise: of two, one would be trained on and the other
    called a non-member, which an audit refuses.

    Args:
        control: as asked for.
        fit: a config of `lmia fit`, without seed and out.
        audit: a config of `lmia audit`, without target, seed, out and the two sides.

    Example:
        >>> made = study(Control(repeats=[1, 8], planted=50), {"model": {"target": "demo,random"}}, {"plugin": ["csa"]})
        >>> made.vary["planted"]
        {'50': {'fit.data.levels': [1, 8], 'fit.data.planted': 50}}
    """
    fit = deepcopy(fit)
    fit["data"] = {"near_copies": RADIUS, **(fit.get("data") or {})}
    for name in ("levels", "planted"):
        if name in fit["data"]:
            raise LmiaError(f"The control's training sets '{name}'.", "Give --repeats and --planted.")
    level: Mapping[str, object] = {"fit.data.levels": list(control.repeats), "fit.data.planted": control.planted}
    return Study(
        name="control",
        title="Control",
        question="From how many repeats on is data found?",
        seeds=list(control.seeds),
        fit=fit,
        audit=deepcopy(audit),
        vary={FACTOR: {str(control.planted): level}},
        measure=["auc"],
        figure={"x": FACTOR, "y": "auc"},
    )
