"""The kit on sources: lawful ones pass, and each law has one that breaks it and is caught by name."""

from dataclasses import replace

import numpy as np
import pytest

import lmia
from lmia.testing import (
    check_source,
)
from refusal import refused
from worlds import Noise, picture, png


class Broken(Noise):
    """A source to spoil, by the name of a way to do it.

    Args:
        way: what is wrong with it.
    """

    def __init__(self, way: str = "") -> None:
        super().__init__(0, 6, shard=3)
        self.way = way

    @classmethod
    def claims(cls, spec):
        return None

    def shards(self):
        shards = super().shards()
        ways = {"none": [], "twice": shards * 2, "numbers": [0, 3], "moving": shards[:: -1 if self.reads % 4 else 1]}
        return ways.get(self.way, shards)

    def read(self, shard):
        for record in super().read(shard):
            match self.way:
                case "raises":
                    raise ValueError("no such file")
                case "tuple":
                    yield (record.key, record.caption)
                case "keys":
                    yield replace(record, key="pair")
                case "keyless":
                    yield replace(record, key="")
                case "array":
                    yield replace(record, image=np.zeros(3))
                case "essay":
                    yield lmia.Rejected(record.key, "cannot be read: " + "x" * 100)
                case "counter":
                    yield replace(record, caption=f"reading {self.reads}")
                case "shared":  # the place in the shard is the source's, not the reading's
                    start = int(shard)
                    self.at = start if record.key == f"noise/{start}" else self.at + 1
                    yield replace(record, caption=f"record {self.at}")
                case _:
                    yield record

    def fingerprint(self, shard):
        return {"moved": f"{id(self)}", "empty": ""}.get(self.way, super().fingerprint(shard))

    def count(self, shard):
        return 2 if self.way == "miscounts" else super().count(shard)


class Grabs(Broken):
    """Claims everything.

    Args:
        way: as there.
    """

    @classmethod
    def claims(cls, spec):
        return {"way": ""}


class Raises(Broken):
    """Raises over a spec.

    Args:
        way: as there.
    """

    @classmethod
    def claims(cls, spec):
        raise ValueError(spec)


class Elsewhere(Broken):
    """Claims its spec for another.

    Args:
        way: as there.
    """

    @classmethod
    def claims(cls, spec):
        return {"way": "other"} if spec == "mine" else None


class Numbers(Noise):
    """Noise, documented.

    Args:
        start: as there.
        stop: as there.
        shard: as there.
        broken: as there.
    """

    def __init__(self, start: int, stop: int, shard: int = 64, broken: int = 0) -> None:
        super().__init__(start, stop, shard, broken)

    @classmethod
    def claims(cls, spec):
        return Noise.claims(spec) if spec.count(":") == 2 else None


def test_a_lawful_source_passes():
    check_source(Numbers(0, 7, shard=3, broken=3))
    check_source(Numbers(0, 7), "noise:0:7")


@pytest.mark.parametrize(
    ("law", "way"),
    [
        ("shards are named once, in a fixed order", "none"),
        ("shards are named once, in a fixed order", "twice"),
        ("shards are named once, in a fixed order", "numbers"),
        ("a record is read or rejected", "raises"),
        ("records are Pair or Rejected", "tuple"),
        ("keys are unique", "keys"),
        ("records have a key", "keyless"),
        ("a pair is text and picture", "array"),
        ("reasons are short phrases", "essay"),
        ("readings are equal", "counter"),
        ("readings are equal", "shared"),
        ("readings are equal", "moving"),
        ("fingerprints stay", "moved"),
        ("fingerprints stay", "empty"),
        ("count counts", "miscounts"),
    ],
)
def test_an_unlawful_source_is_refused(law, way):
    check_source(Broken())
    refused(law, lambda: check_source(Broken(way)))


@pytest.mark.parametrize(
    ("law", "source", "spec"),
    [
        ("a spec has one owner", Grabs(), None),
        ("claims never raises", Raises(), None),
        ("a spec has one owner", Broken(), "mine"),
        ("claims returns init arguments", Elsewhere(), "mine"),
    ],
)
def test_an_unlawful_claim_is_refused(law, source, spec):
    refused(law, lambda: check_source(source, spec))


def test_png_and_picture_are_the_same():
    assert lmia.testing.sources.content(lmia.Pair("a", "b", png(picture(1)))) != lmia.testing.sources.content(
        lmia.Pair("a", "b", png(picture(2)))
    )
