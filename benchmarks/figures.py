"""A benchmark's figures: a table's rows for people, and lines of JSON for `python -m benchmarks`, which collects them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

KEPT = "LMIA_BENCHMARKS"
"""The environment variable that names the file to add the lines to."""
HEAD = "| figure | value | rounds | asked | reached |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Figure:
    """What was measured; its value is the median of its rounds.

    Args:
        name: the figure and its denominator.
        rounds: its values, one a round.
        least: what is asked at least.
        most: what is asked at most.
    """

    name: str
    rounds: tuple[float, ...]
    least: float | None = None
    most: float | None = None

    @property
    def value(self) -> float:
        return median(self.rounds)

    @property
    def reached(self) -> bool:
        """Whether it is what is asked, if anything is."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def row(self) -> str:
        """Return its row of the table that `HEAD` begins."""
        spread = f"{min(self.rounds):.3g} to {max(self.rounds):.3g}" if len(self.rounds) > 1 else ""
        limits = {"at least": self.least, "at most": self.most}
        asked = [f"{word} {limit:g}" for word, limit in limits.items() if limit is not None]
        cells = [
            self.name,
            f"{self.value:.4g}",
            spread,
            " and ".join(asked),
            ("yes" if self.reached else "NO") if asked else "",
        ]
        return f"| {' | '.join(cells)} |"


def figure(name: str, *rounds: float, least: float | None = None, most: float | None = None) -> Figure:
    """Make a figure of its rounds."""
    return Figure(name, tuple(map(float, rounds)), least, most)


def tell(figures: Sequence[Figure]) -> int:
    """Print the table, and keep its lines where somebody collects them; return 1 where a figure is not what is asked."""
    print("\n" + HEAD)
    for one in figures:
        print(one.row(), flush=True)
    if path := os.environ.get(KEPT):
        with Path(path).open("a") as kept:
            kept.writelines(json.dumps(asdict(one)) + "\n" for one in figures)
    return int(not all(one.reached for one in figures))


def told(path: Path) -> list[Figure]:
    """Read the figures that others kept."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Figure(**{**one, "rounds": tuple(one["rounds"])}) for one in map(json.loads, lines)]
