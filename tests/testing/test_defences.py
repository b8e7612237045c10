"""The kit on defences: lawful ones pass, and each law has one that breaks it and is caught by name."""

import random

import numpy as np
import pytest
import torch

import lmia
from lmia.testing import check_defence, check_target, make_towers
from refusal import Eval, refused


class Spoilt(lmia.Defence):
    """A defence to spoil, by the name of a way to do it.

    Args:
        way: what is wrong with it.
    """

    def __init__(self, way: str = "") -> None:
        self.way = way
        self.calls = 0

    def keep(self, keys, captions, phash):
        if self.way == "sorts":
            keys.sort(reverse=True)
        kept = np.ones(len(keys), dtype=bool)
        return {"places": np.flatnonzero(kept), "short": kept[1:]}.get(self.way, kept)

    def captions(self, captions, draw):
        if self.way == "appends":
            captions.append("more")
        if self.way == "chance":
            return [caption + str(random.random()) for caption in captions]
        if self.way == "counts":
            self.calls += 1
            return [f"{caption} {self.calls}" for caption in captions]
        said = [caption if draw.random() < 0.5 else caption.lower() for caption in captions]
        return {"fewer": said[1:], "none": [None for _ in said]}.get(self.way, said)

    def pixels(self, pixels, generator):
        if self.way == "paints":
            return pixels.zero_()
        if self.way == "hidden":
            return pixels * torch.rand(1)
        seen = pixels * torch.rand(len(pixels), 1, 1, 1, generator=generator)
        ways = {"bright": seen + 1, "nan": seen * torch.nan, "small": seen[..., 1:], "double": seen.double()}
        return ways.get(self.way, seen)

    def adapt(self, towers):
        if self.way == "renames":
            towers.extra = torch.nn.Linear(2, 2)
        if self.way == "evaluates":
            towers.image.register_forward_hook(lambda module, given, output: output * 2)

    def gradients(self, towers, generator):
        for parameter in towers.parameters():
            parameter.grad += torch.rand(parameter.shape, generator=generator)
            if self.way == "divides":
                parameter.grad /= 0

    def settle(self, towers):
        with torch.no_grad():
            towers.temperature.clamp_(max=2.0)
            if self.way == "shrinks":
                towers.temperature.mul_(0.9)

    def decay(self):
        return -1.0 if self.way == "grows" else None

    def enough(self, epochs):
        return epochs[-1]["recall"] if self.way == "maybe" else False

    def promise(self, pairs, batch, steps):
        return {"epsilon": float("inf") if self.way == "endless" else 1.0}


class Idle(lmia.Defence):
    """Does nothing."""


def test_a_lawful_defence_of_training_passes():
    check_defence(Spoilt())
    check_defence(Spoilt(), make_towers(3), Eval("0:3"))


@pytest.mark.parametrize(
    ("law", "way"),
    [
        ("inputs are left as they are", "sorts"),
        ("keep says one truth value a pair", "places"),
        ("keep says one truth value a pair", "short"),
        ("inputs are left as they are", "appends"),
        ("no hidden randomness", "chance"),
        ("the same draws give the same", "counts"),
        ("a caption stays a caption", "fewer"),
        ("a caption stays a caption", "none"),
        ("inputs are left as they are", "paints"),
        ("no hidden randomness", "hidden"),
        ("pictures keep their shape, dtype and range", "bright"),
        ("pictures keep their shape, dtype and range", "small"),
        ("pictures keep their shape, dtype and range", "double"),
        ("weights keep their names", "renames"),
        ("evaluation is as without", "evaluates"),
        ("settle settles", "shrinks"),
        ("a decay is a number", "grows"),
        ("enough is yes or no", "maybe"),
        ("promises are JSON", "endless"),
    ],
)
def test_an_unlawful_defence_of_training_is_refused(law, way):
    refused(law, lambda: check_defence(Spoilt(way)))


def test_a_defence_does_something():
    refused("a defence does something", lambda: check_defence(Idle()))


class Behind(Eval):
    """A target with half of another's cosines.

    Args:
        members: as there.
        leak: as there.
        seed: as there.
        way: what is wrong with it.
    """

    def __init__(self, members: str = "0:3", leak: float = 1.0, seed: int = 0, way: str = "") -> None:
        super().__init__(members, leak, seed)
        self.way = way

    @property
    def answers(self):
        return frozenset() if self.way == "deaf" else frozenset({"cosine"})

    def encode_image(self, pixels):
        if self.way in ("deaf", "dumb"):
            raise lmia.LmiaError("No pictures.", "Ask for texts.")
        return super().encode_image(pixels)

    def cosine(self, image, text):
        found = super().cosine(image, text) / 2
        ways = {"doubled": found.double(), "loud": found + 2, "ranks": found - found.mean(), "matrix": found[:, None]}
        return ways.get(self.way, found)

    def facts(self):
        told = super().facts()
        more = {**told.details, "defence": "halved"}
        return told if self.way == "silent" else lmia.TargetFacts("halved", told.logit_scale, details=more)

    def fingerprint(self):
        return super().fingerprint() if self.way == "plain" else super().fingerprint() + "halved"

    def untrained(self, seed):
        return Behind("0:0", seed=seed) if self.way == "twin" else None


class Halved(lmia.Defence):
    """Answers half the cosine.

    Args:
        way: what is wrong with it.
    """

    def __init__(self, way: str = "") -> None:
        self.way = way

    def around(self, target):
        return Eval("0:3") if self.way == "raises" else Behind(way=self.way)


class CosinesOnly(Eval):
    """A target that answers cosines, so that there is something to raise."""

    @property
    def answers(self):
        return frozenset({"cosine"})


def test_a_lawful_defence_of_answers_passes():
    check_defence(Halved(), target=Eval("0:3"))


@pytest.mark.parametrize(
    ("law", "way"),
    [
        ("answers are lowered", "raises"),
        ("a fingerprint covers the defence", "plain"),
        ("facts name the defence", "silent"),
        ("a twin has the same defence", "twin"),
        ("cosines are (b,) float32 in [-1, 1]", "doubled"),
        ("cosines are (b,) float32 in [-1, 1]", "loud"),
        ("cosines are (b,) float32 in [-1, 1]", "matrix"),
        ("rows are independent", "ranks"),
        ("features are (b, d) float32", "dumb"),
    ],
)
def test_an_unlawful_defence_of_answers_is_refused(law, way):
    refused(law, lambda: check_defence(Halved(way), target=CosinesOnly("0:3")))


def test_a_defence_of_answers_needs_a_target():
    refused("a defence can be tried", lambda: check_defence(Halved()))


class Moved(Spoilt):
    """Trains, and returns another target all the same.

    Args:
        way: as there.
    """

    def __init__(self, way: str = "") -> None:
        super().__init__(way)

    def around(self, target):
        return Eval("0:4")

    answers = False


def test_a_defence_of_training_leaves_targets_alone():
    refused("around is for answers", lambda: check_defence(Moved(), target=Eval("0:3")))


def test_one_tower_may_refuse_where_nothing_needs_both():
    check_target(Behind(way="deaf"))
