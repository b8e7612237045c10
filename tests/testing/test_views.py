"""The kit on augmentation sets: lawful ones pass, and each law has one that breaks it and is caught by name."""

import random

import pytest
import torch

import lmia
from lmia.testing import (
    ConformanceError,
    check_views,
)
from refusal import refused
from worlds import Reflections


def _noisy(pixels):
    return (pixels + torch.rand(pixels.shape)).clamp(0, 1)


def _first(pixels):
    return pixels[:1].expand_as(pixels).clone()


def _mean(pixels):
    return (pixels - pixels.mean()).clamp(0, 1)


def _loud(pixels):
    return pixels * 2


def _small(pixels):
    return pixels[..., 1:]


def _half(pixels):
    return pixels.half()


def _spoil(pixels):
    return pixels.mul_(0.5)


def _own(pixels):
    return pixels * 0.5


def _shuffle(text):
    return "".join(random.sample(text, len(text)))


def _bytes(text):
    return text.encode()


def _word(text):
    return text.split()[0]


class OneView(lmia.Views):
    """A set of one view."""

    image = None
    caption = None

    def views(self):
        return {"identity": lmia.View(), "other": lmia.View(type(self).image, type(self).caption)}


def one_view(image=None, caption=None):
    made = type("OneView", (OneView,), {"__doc__": "A set of one view."})
    made.image, made.caption = (staticmethod(f) if f else None for f in (image, caption))
    made.__module__, made.__qualname__ = __name__, "OneView"
    return made()


class NoIdentity(lmia.Views):
    """A set without the identity."""

    def views(self):
        return {"down": lmia.View(_own)}


class FalseIdentity(lmia.Views):
    """A set whose identity is none."""

    def views(self):
        return {"identity": lmia.View(_own)}


class Unnamed(lmia.Views):
    """A list instead of a dict."""

    def views(self):
        return {"identity": _own}


class _Dim:
    def __init__(self, by):
        self.by = by

    def __call__(self, pixels):
        return pixels * self.by


class Drawn(lmia.Views):
    """A set that draws its parameters anew at every call, from no seed."""

    drawn = 0

    def views(self):
        type(self).drawn += 1
        return {"identity": lmia.View(), "dim": lmia.View(_Dim(1 / self.drawn))}


class Renamed(Drawn):
    """A set that names its views anew at every call."""

    def views(self):
        type(self).drawn += 1
        return {"identity": lmia.View(), f"dim-{self.drawn}": lmia.View(_own)}


@pytest.mark.parametrize(
    ("law", "views"),
    [
        ("no hidden randomness", one_view(_noisy)),
        ("pictures are independent", one_view(_first)),
        ("pictures are independent", one_view(_mean)),
        ("pictures keep their shape, dtype and range", one_view(_loud)),
        ("pictures keep their shape, dtype and range", one_view(_small)),
        ("pictures keep their shape, dtype and range", one_view(_half)),
        ("no hidden randomness", one_view(caption=_shuffle)),
        ("a caption's view is a caption", one_view(caption=_bytes)),
        ("a view works on any caption", one_view(caption=_word)),
        ("the first view is the identity", NoIdentity()),
        ("the first view is the identity", FalseIdentity()),
        ("views are returned by name", Unnamed()),
        ("equal arguments mean equal views", Drawn()),
        ("equal arguments mean equal views", Renamed()),
    ],
)
def test_an_unlawful_set_of_views_is_refused(law, views, monkeypatch):
    monkeypatch.setattr("lmia.testing.views.pickled", lambda thing: thing)  # these are made on the spot
    refused(law, lambda: check_views(views))


def test_a_view_that_spoils_its_input_is_refused(monkeypatch):
    monkeypatch.setattr("lmia.testing.views.pickled", lambda thing: thing)
    with pytest.raises(ConformanceError):
        check_views(one_view(_spoil))


def test_lawful_views_pass():
    check_views(Reflections())


def test_a_set_that_no_worker_can_get_is_refused():
    class Local(Reflections):
        """Nobody finds it."""

    refused("a thing can be sent to a worker process", lambda: check_views(Local()))
