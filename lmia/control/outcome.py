"""From how many repeats on an audit finds data: the smallest level that is found, as every larger one is, in enough trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmia.control.levels import Level
from lmia.evidence.bounds import clopper_pearson


@dataclass(frozen=True)
class Outcome:
    """What all trainings of a control say together.

    Args:
        levels: of every training and attack.
        power: share of the trainings in which a level must be found.
    """

    levels: Sequence[Level]
    power: float

    @property
    def attacks(self) -> list[str]:
        """Names of the attacks, in order."""
        return list(dict.fromkeys(one.attack for one in self.levels))

    @property
    def repeats(self) -> list[int]:
        """The levels that were tried, ascending."""
        return sorted({one.repeats for one in self.levels})

    @property
    def seeds(self) -> list[int]:
        """Seeds of the trainings, in order."""
        return list(dict.fromkeys(one.seed for one in self.levels))

    def smallest(self, attack: str | None = None) -> int | None:
        """Return the smallest level that an attack finds, or, where none is named, the audit with any of them."""
        return smallest([one for one in self.levels if attack in (None, one.attack)], self.power)

    def hits(self, repeats: int, attack: str | None = None) -> int:
        """Count the trainings in which a level is found."""
        return len({one.seed for one in self.levels if one.found and _is(one, repeats, attack)})

    def at(self, repeats: int, attack: str | None = None) -> list[Level]:
        """List a level's results, seed by seed."""
        return [one for one in self.levels if _is(one, repeats, attack)]


def _is(one: Level, repeats: int, attack: str | None) -> bool:
    return one.repeats == repeats and attack in (None, one.attack)


def smallest(levels: Sequence[Level], power: float) -> int | None:
    """Return the smallest level from which on every one is found in at least a share of the trainings; None where none is.

    A training finds a level where any of its attacks does; that there are several is corrected for in `Level.found`. Levels are
    walked downwards, and the first that is not found ends the walk: by itself that is a fixed sequence, which needs no
    correction over levels (Maurer, Hothorn and Lehmacher, 1995). They are corrected all the same, so that each can be
    read alone.

    Args:
        levels: of any trainings and attacks.
        power: the share, above 0, up to 1.

    Example:
        >>> from lmia.evidence.estimate import Estimate
        >>> high, low = Estimate(0.8, 0.7, 0.9, 0.98, "DeLong", 99), Estimate(0.6, 0.4, 0.8, 0.98, "DeLong", 99)
        >>> smallest([Level(0, "csa", 1, auc=high), Level(0, "csa", 4, auc=low), Level(0, "csa", 8, auc=high)], 1.0)
        8
    """
    seeds = {one.seed for one in levels}
    found = None
    for repeats in sorted({one.repeats for one in levels}, reverse=True):
        hits = {one.seed for one in levels if one.repeats == repeats and one.found}
        if len(hits) < power * len(seeds) - 1e-9:
            break
        found = repeats
    return found


def held(levels: Sequence[Level], repeats: int) -> tuple[int, int]:
    """Count in how many trainings a level and every larger one are found, and of how many: a check of it on fresh seeds.

    A level that was chosen as the smallest one found is found there by construction. Whether it holds is asked of
    trainings that had no part in choosing it.

    Example:
        >>> held([Level(7, "csa", 8), Level(9, "csa", 8)], 8)
        (0, 2)
    """
    seeds = {one.seed for one in levels}
    upwards = {one.repeats for one in levels if one.repeats >= repeats}
    good = [seed for seed in seeds if upwards <= {one.repeats for one in levels if one.seed == seed and one.found}]
    return len(good), len(seeds)


def least_share(hits: int, trainings: int) -> float:
    """Return the share of such trainings that so many hits show at least, with 95 % confidence (Clopper and Pearson).

    Example:
        >>> round(least_share(3, 3), 3), least_share(0, 3)
        (0.368, 0.0)
    """
    return clopper_pearson(hits, trainings, 0.90)[0]
