"""What a study will take, said before it starts: cells, trainings, and minutes, with where the rate comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lmia import specs
from lmia.source import Source, expected, reader_of
from lmia.study.cell import finished, trained, unfinished
from lmia.study.grid import Cell, Training
from lmia.study.plan import Study
from lmia.training import Plan


@dataclass(frozen=True)
class Outlay:
    """What is ahead.

    Args:
        cells: of the study.
        trainings: that they share.
        cells_left: not finished yet.
        trainings_left: likewise.
        minutes: for what is left, in one process; None where nothing is known.
        rate: where the minutes come from.
        budget: what the study's author says all of it takes.
    """

    cells: int
    trainings: int
    cells_left: int
    trainings_left: int
    minutes: float | None
    rate: str
    budget: float | None

    def said(self) -> list[str]:
        """Say it to a person."""
        lines = [
            f"{self.cells} cells of {self.trainings} trainings; "
            f"to do: {self.cells_left} cells, {self.trainings_left} trainings."
        ]
        if self.minutes is None:
            lines.append(f"Time: not known; {self.rate}.")
        else:
            about = (
                f"about {self.minutes:.0f} minutes"
                if self.minutes >= 1.5
                else "a minute or two"
                if self.minutes
                else "none"
            )
            lines.append(f"Time: {about} in one process, {self.rate}.")
        if self.budget is not None:
            lines.append(f"Budget: {self.budget:g} minutes on two slow cores for all of it, as the study says.")
        return lines


def outlay(study: Study, cells: Sequence[Cell], out: Path) -> Outlay:
    """Estimate what is left from what was measured here, else from the study's own rate."""
    trainings = list({cell.training.key: cell.training for cell in cells}.values())
    left = unfinished(cells, out)
    needed = {cell.training.key for cell in left}
    new = [one for one in trainings if one.key in needed and trained(one, out) is None]
    rate, said = _rate(study.rate, cells, trainings, out)
    minutes = None
    if {"shown", "audit"} <= rate.keys():
        minutes = (sum(map(shown, new)) / rate["shown"] + len(left) * rate["audit"]) / 60
    return Outlay(len(cells), len(trainings), len(left), len(new), minutes, said, study.budget)


def _rate(
    given: Mapping[str, float], cells: Sequence[Cell], trainings: Sequence[Training], out: Path
) -> tuple[dict[str, float], str]:
    """Return pairs a second and seconds an audit, and where they come from."""
    fits = [(shown(one), told["seconds"]) for one in trainings if (told := trained(one, out) or {}).get("seconds")]
    ends = [told["seconds"] for cell in cells if (told := finished(cell, out) or {}).get("seconds")]
    if fits and ends:
        rate = {"shown": sum(n for n, _ in fits) / sum(s for _, s in fits), "audit": sum(ends) / len(ends)}
        return rate, f"measured here on {len(fits)} trainings and {len(ends)} audits"
    if {"shown", "audit"} <= given.keys():
        return dict(given), "by the rate in the study's file, which nobody has measured here"
    return {}, "no cell is finished here, and the study's file holds no rate"


def shown(training: Training) -> float:
    """Say about how many pairs a training shows over all its epochs; a source that cannot count is taken for 1,000 pairs."""
    data, plan = training.config["data"], training.config["model"].get("plan", {})
    source = cast("Source", specs.build("source", data["source"]))
    counts = type(reader_of(source)).count is not Source.count
    n = expected(source, sum(map(source.count, source.shards()))) if counts else 1000
    inside = n * data.get("share", 0.5)
    again = min(inside, data.get("repeated", 0)) * (data.get("repeats", 8) - 1)
    again += sum(level - 1 for level in data.get("levels") or []) * data.get("planted", 100)
    return float((inside + again) * plan.get("epochs", Plan().epochs))
