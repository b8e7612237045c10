"""The kit on measurements: lawful ones pass, and each law has one that breaks it and is caught by name."""

import pytest
import torch
from torch.nn.functional import normalize

from lmia.testing import (
    check_measure,
)
from refusal import Eval, refused
from worlds import Loss


class Whitebox(Loss):
    """A white-box attack to spoil."""


class Mixed(Loss):
    """Takes the gradient of the mean: a row's number depends on how many there are."""

    def measure(self, target, batch, anchors):
        pixels = batch.pixels.detach().requires_grad_()
        image, text = target.encode_image(pixels), target.encode_text(batch.tokens)
        (gradient,) = torch.autograd.grad((normalize(image) * normalize(text)).sum(1).mean(), pixels)
        return {"norm": gradient.flatten(1).norm(dim=1)}


class Backward(Loss):
    """Leaves gradients behind."""

    def measure(self, target, batch, anchors):
        image = normalize(target.encode_image(batch.pixels))
        image.sum().backward()
        return {"norm": image.detach().norm(dim=1)}


class Trains(Loss):
    """Moves a weight."""

    def measure(self, target, batch, anchors):
        with torch.no_grad():
            target.image.weight[0, 0] += 1
        return {"norm": batch.pixels.flatten(1).norm(dim=1)}


class Awake(Loss):
    """Leaves the mode changed."""

    def measure(self, target, batch, anchors):
        target.train(not target.training)
        return {"norm": batch.pixels.flatten(1).norm(dim=1)}


class Dice(Loss):
    """Draws."""

    def measure(self, target, batch, anchors):
        return {"norm": torch.rand(len(batch.rows))}


class Single(Loss):
    """One number for all."""

    def measure(self, target, batch, anchors):
        return {"norm": torch.zeros(1)}


class Secret(Loss):
    """Does not say that it measures."""

    needs = frozenset({"cosine"})


def test_a_lawful_measurement_passes_and_is_returned():
    measured = check_measure(Loss(), Eval("0:9"), captions=("pair 1", "pair 2", "pair 3"))
    assert measured["norm"].shape == (3,)
    assert not measured["norm"].requires_grad


@pytest.mark.parametrize(
    ("law", "attack"),
    [
        ("rows are independent", Mixed()),
        ("the target is left as it was", Backward()),
        ("the target is left as it was", Trains()),
        ("the target is left as it was", Awake()),
        ("no hidden randomness", Dice()),
        ("one row a pair", Single()),
        ("measuring is declared", Secret()),
    ],
)
def test_an_unlawful_measurement_is_refused(law, attack):
    refused(law, lambda: check_measure(attack, Eval("0:9"), captions=("pair 1", "pair 2", "pair 3")))
