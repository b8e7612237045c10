"""The kit on targets: lawful ones pass, and each law has one that breaks it and is caught by name."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from lmia.testing import (
    check_target,
)
from refusal import Eval, refused
from worlds import SIDE, picture


class Spoilt(Eval):
    """A target to spoil, by the name of a way to do it.

    Args:
        way: what is wrong with it.
    """

    def __init__(self, way: str = "") -> None:
        super().__init__("0:3")
        self.way = way
        self.train(way == "training")

    def preprocess(self, image):
        pixels = super().preprocess(image)
        if self.way == "paints":
            image.putpixel((0, 0), (1, 2, 3))
        made = {"floats": pixels.float() / 255, "grey": pixels[:1], "sizes": pixels[:, : SIDE - image.size[0] % 2]}
        return made.get(self.way, pixels)

    def tokenize(self, captions):
        tokens = super().tokenize(captions)
        return {"flat": tokens[:, 0], "short": tokens.int()}.get(self.way, tokens)

    def encode_image(self, pixels):
        features = super().encode_image(pixels)
        match self.way:
            case "unit":
                return normalize(features, dim=-1)
            case "nan":
                return features.log()
            case "double":
                return features.double()
            case "centred":
                return features - features.mean(0)
            case "dropout":
                return torch.nn.functional.dropout(features, 0.5, training=True)
            case "detached":
                return features.detach()
            case "wide":
                return torch.cat([features, features], dim=1)
            case "spoils":
                pixels.zero_()
        return features

    def facts(self):
        facts = super().facts()
        ways = {
            "nameless": replace(facts, name=" "),
            "bare": replace(facts, details={}),
            "zero": replace(facts, logit_scale=0.0),
            "tensor": replace(facts, details={"weights": torch.zeros(1)}),
            "infinite": replace(facts, details={"pairs": float("inf")}),
        }
        return ways.get(self.way, facts)

    def fingerprint(self):
        return {"deaf": "one", "moody": f"{id(self)}"}.get(self.way, super().fingerprint())

    @property
    def answers(self):
        return frozenset({"cosines"}) if self.way == "misspelt" else super().answers


def test_a_lawful_target_passes():
    check_target(Eval("0:3"), captions=("pair 1", "pair 2", "pair 77"))
    check_target(Spoilt(), images=[picture(3), picture(4)])


@pytest.mark.parametrize(
    ("law", "way"),
    [
        ("a target stays in eval mode", "training"),
        ("inputs are left as they are", "paints"),
        ("inputs are left as they are", "spoils"),
        ("pictures become (3, h, w) uint8 of one size", "floats"),
        ("pictures become (3, h, w) uint8 of one size", "grey"),
        ("pictures become (3, h, w) uint8 of one size", "sizes"),
        ("captions become (b, l) int64", "flat"),
        ("captions become (b, l) int64", "short"),
        ("features are raw", "unit"),
        ("features are finite", "nan"),
        ("features are (b, d) float32", "double"),
        ("both towers have one width", "wide"),
        ("rows are independent", "centred"),
        ("no hidden randomness", "dropout"),
        ("gradients flow where answers says so", "detached"),
        ("facts are complete", "nameless"),
        ("facts are complete", "bare"),
        ("facts are complete", "zero"),
        ("facts are JSON", "tensor"),
        ("facts are JSON", "infinite"),
        ("a fingerprint changes with a weight", "deaf"),
        ("fingerprints stay", "moody"),
        ("answers holds known words", "misspelt"),
    ],
)
def test_an_unlawful_target_is_refused(law, way):
    refused(law, lambda: check_target(Spoilt(way)))


class Twin(Eval):
    """A target whose untrained twin is odd in some way.

    Args:
        way: which.
    """

    def __init__(self, way: str = "") -> None:
        super().__init__("0:3")
        self.way = way

    def untrained(self, seed):
        if self.way == "moves":
            self.image.weight.data += 1
        moody = torch.seed() % 1000 if self.way == "moody" else 0
        return self if self.way == "self" else (Tall if self.way == "tall" else Eval)("0:0", seed=seed + moody)


class Tall(Eval):
    """Crops pictures otherwise."""

    def preprocess(self, image):
        return super().preprocess(image).flip(-1)


def test_a_lawful_twin_passes():
    check_target(Twin())


@pytest.mark.parametrize(
    ("law", "way"),
    [
        ("an untrained twin is drawn by its seed", "self"),
        ("an untrained twin is drawn by its seed", "moody"),
        ("an untrained twin is drawn by its seed", "moves"),
        ("a twin prepares pairs as its target does", "tall"),
    ],
)
def test_an_unlawful_twin_is_refused(law, way):
    refused(law, lambda: check_target(Twin(way)))


class Padded(Eval):
    """A target whose captions are seen with their padding.

    Args:
        members: as there.
        leak: as there.
        seed: as there.
    """

    def tokenize(self, captions):
        longest = max(map(len, captions), default=0)
        return torch.tensor([[len(c) + longest] for c in captions])


def test_a_target_that_sees_padding_is_refused():
    refused("rows are independent", lambda: check_target(Padded()))
