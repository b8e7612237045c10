"""Planted repeats: members that an epoch shows more often, at set levels, drawn by lot, so that a level says nothing of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lmia.errors import LmiaError
from lmia.lots import lot

PLANTING = 1 << 32
"""What is added to a training's seed for the lots of levels: they are not those of who is in."""


def check_levels(levels: Sequence[int], planted: int) -> None:
    """Refuse what are no levels.

    Args:
        levels: how often an epoch is to show the pairs of each.
        planted: pairs of each.

    Raises:
        LmiaError: there is none, one is below 1, they do not increase, or no pair is planted.

    Example:
        >>> check_levels([1, 4, 2], 100)
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The levels of repeats cannot be 1 4 2.
        Give whole numbers from 1, each larger than the one before: 1 2 4 8.
    """
    if not levels or min(levels) < 1 or any(one >= other for one, other in pairwise(levels)):
        said = " ".join(map(str, levels)) or "none"
        problem = f"The levels of repeats cannot be {said}."
        raise LmiaError(problem, "Give whole numbers from 1, each larger than the one before: 1 2 4 8.")
    if planted < 1:
        raise LmiaError(f"No level can hold {planted} planted pairs.", "Give a number from 1.")


def planted_times(keys: Sequence[str], levels: Sequence[int], planted: int, seed: int) -> NDArray[np.int32]:
    """Draw which members are planted, and how often an epoch shows each member.

    Members are put in the order of their lots (`lmia.lots.lot` with the seed plus `PLANTING`), and levels are dealt along
    it in turn until each has `planted` of them. The rest is shown once. So neither what a pair shows nor where it stands in
    the source has a part in its level, and anyone can draw it again.

    Args:
        keys: n keys of the members.
        levels: as of `check_levels`.
        planted: pairs of each level.
        seed: of the training.

    Returns:
        `(n,)`, how often.

    Raises:
        LmiaError: there are too few members.

    Example:
        >>> planted_times([f"scene-{i}" for i in range(6)], [2, 8], 2, 0).tolist()
        [1, 2, 8, 8, 1, 2]
        >>> planted_times(["a", "b"], [2, 8], 2, 0)
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 2 levels of 2 planted pairs each need 4 pairs in the training, and 2 are in.
        Give more pairs, a larger share, fewer levels, or 1 planted pair a level at most.
    """
    need = len(levels) * planted
    if len(keys) < need:
        problem = (
            f"{len(levels)} levels of {planted} planted pairs each need {need:,} pairs in the training, "
            f"and {len(keys):,} are in."
        )
        fits = len(keys) // len(levels)
        fewer = f", or {fits:,} planted {'pair' if fits == 1 else 'pairs'} a level at most" if fits else ""
        raise LmiaError(problem, f"Give more pairs, a larger share, fewer levels{fewer}.")
    order = sorted(range(len(keys)), key=lambda i: lot(keys[i], seed + PLANTING))
    times = np.ones(len(keys), np.int32)
    times[order[:need]] = np.tile(np.array(levels, np.int32), planted)
    return times
