"""The conformance kit: the laws of each contract as checks, for plugin authors and for the bundled plugins alike.

Put one line for each class into your tests:

    from lmia.testing import check_attack

    def test_conformance():
        check_attack(Margin())

A check returns nothing, or raises `ConformanceError` with one sentence: the law, the value that breaks it, the remedy.
"""

from __future__ import annotations

from lmia.testing.attacks import check_attack
from lmia.testing.defences import check_defence
from lmia.testing.laws import ConformanceError
from lmia.testing.making import check_made
from lmia.testing.measures import check_measure
from lmia.testing.sources import check_source
from lmia.testing.targets import check_target
from lmia.testing.towers import make_towers
from lmia.testing.views import check_views
from lmia.testing.world import World, make_known, make_samples, make_world

__all__ = [
    "ConformanceError",
    "World",
    "check_attack",
    "check_defence",
    "check_made",
    "check_measure",
    "check_source",
    "check_target",
    "check_views",
    "make_known",
    "make_samples",
    "make_towers",
    "make_world",
]
