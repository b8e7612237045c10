"""What counts once in a test, and what belongs together: photos of several pairs, shoots, copies of one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmia.collection.asked import Asked
from lmia.collection.columns import Columns, words
from lmia.collection.pairs import Side
from lmia.errors import LmiaError
from lmia.evidence.duplicates import groups
from lmia.evidence.inference import per_unit


@dataclass(frozen=True)
class Units:
    """What counts once on one side: u units of n pairs.

    Args:
        of: `(n,)` the unit of each pair, numbered from 0 in the order in which units first occur.
        labels: `(u,)` the cluster, or the shoot, that each unit belongs to.
    """

    of: NDArray[np.int64]
    labels: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def reduced(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return one score a unit, the mean of its pairs', `(u,)`.

        Example:
            >>> Units(np.array([0, 1, 0]), np.array(["a", "b"])).reduced(np.array([1.0, 5.0, 3.0])).tolist()
            [2.0, 5.0]
        """
        return scores if len(self) == len(scores) else per_unit(scores, self.of)[0]


def units(sides: tuple[Side, Side], columns: Columns, asked: Asked) -> tuple[Units, Units]:
    """Say for both sides what counts once and what it belongs to: named clusters, joined where duplicates link them.

    Raises:
        LmiaError: a pair has no value in a column, a key is on both sides, or a unit lies in several clusters.
    """
    if asked.columns and (both := set(sides[0].keys) & set(sides[1].keys)):
        raise LmiaError(
            f"{len(both)} keys name pairs on both sides, such as '{min(both)}'.",
            "--columns goes by key: give the files of the two collections different names.",
        )
    mine, heldout = (_units(side, columns, asked) for side in sides)
    return mine, heldout


def counted(sides: tuple[Side, Side], found: tuple[Units, Units], asked: Asked) -> str:
    """Say in a sentence what is compared.

    Example:
        >>> side, whole = Side("mine", ["a", "b"], np.zeros(2), np.arange(2)), Units(np.arange(2), np.array(["s", "s"]))
        >>> counted((side, side), (whole, whole), Asked(cluster_by="shoot"))
        "Compared: 2 pairs of mine in 1 groups with 2 pairs of mine in 1 groups (by 'shoot')."
    """
    parts = []
    for side, one in zip(sides, found, strict=True):
        photos = f" as {len(one):,} of '{asked.unit}'" if asked.unit else ""
        parts.append(f"{len(side.scores):,} pairs of {side.name}{photos} in {len(np.unique(one.labels)):,} groups")
    by = asked.pair_by or asked.cluster_by
    return f"Compared: {' with '.join(parts)} ({f'by {by!r}' if by else 'copies of one picture together'})."


def _units(side: Side, columns: Columns, asked: Asked) -> Units:
    count = len(side.keys)
    named, photos = asked.pair_by or asked.cluster_by, None
    of = rows = np.arange(count)
    if asked.unit:
        photos = words(side.keys, side.name, columns, asked.unit)
        _, first, place = np.unique(photos, return_index=True, return_inverse=True)
        rows, of = np.sort(first), np.argsort(np.argsort(first))[place]
    if not named:
        links = [_links(side.groups)] + ([_links(photos)] if photos is not None else [])
        return Units(of, np.array([f"{side.name} {name}" for name in groups(count, links)[rows]]))
    shoots = words(side.keys, side.name, columns, named)
    if photos is not None:
        _check_whole(photos, shoots, rows[of], asked.unit or "", named)
    if asked.pair_by:
        return Units(of, shoots[rows])
    joined = groups(count, [_links(shoots), _links(side.groups)])
    head = dict(zip(joined[::-1], shoots[::-1], strict=True))  # a joined cluster goes by its first row's name
    return Units(of, np.array([head[one] for one in joined[rows]]))


def _check_whole(
    photos: NDArray[np.str_], shoots: NDArray[np.str_], first: NDArray[np.int64], unit: str, named: str
) -> None:
    """Refuse a photo that lies in several shoots; `first` is the first row of each row's photo."""
    if not (split := np.flatnonzero(shoots != shoots[first])).size:
        return
    row = int(split[0])
    raise LmiaError(
        f"The {unit} '{photos[row]}' lies in the {named} '{shoots[first[row]]}' and in '{shoots[row]}'.",
        "Mend --columns: what counts once belongs to one.",
    )


def _links(names: NDArray[np.str_] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Link every row to the first row of its name."""
    _, first, place = np.unique(names, return_index=True, return_inverse=True)
    return first[place].astype(np.int64), np.arange(len(names), dtype=np.int64)
