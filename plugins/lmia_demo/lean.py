"""Scenes that lean to one half of the backgrounds: a shift between two sides that leaves every scene as it is."""

from __future__ import annotations

from random import Random
from typing import Literal

from lmia_demo.scenes import scene

Lean = Literal["none", "warm", "cool"]
HALVES = {"warm": ("white", "yellow", "pink"), "cool": ("grey", "blue", "green")}
"""The two halves of the backgrounds."""


def leans(index: int, lean: Lean, shift: float) -> bool:
    """Say whether a scene stays where scenes lean: those of the half always, of the others (1 - shift) / (1 + shift).

    Both halves are equally common, so (1 + shift) / 2 of those that stay are of the half leaned to: 0.8 at a shift of
    0.6, as if every background were drawn from it with a chance of 0.6 and from all six otherwise. Nothing is drawn
    anew, so that what a model saw of a scene is what it is audited with. The lot is the index's own.

    Args:
        index: of the scene.
        lean: the half leaned to; "none" keeps every scene.
        shift: from 0, where all scenes stay, to 1, where none of the other half does.

    Example:
        >>> stay = [index for index in range(1000) if leans(index, "warm", 0.6)]
        >>> 550 < len(stay) < 700
        True
    """
    if lean == "none" or scene(index).background in HALVES[lean]:
        return True
    return Random(f"lean {index}").random() < (1 - shift) / (1 + shift)
