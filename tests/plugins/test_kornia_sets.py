"""The augmentation sets: what each of them is, by its docstring."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia import LmiaError
from lmia_kornia import (
    JPEG,
    Blur,
    Captions,
    Composed,
    Flips,
    FourBasic,
    Gentle,
    Rotations,
)
from lmia_kornia.geometry import Affine, Crop
from lmia_kornia.optics import Jitter


def batch(b, h=32, w=32):
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(1))


def test_there_are_three_flips():
    assert list(Flips(k=3).views()) == ["identity", "flip-horizontal", "flip-vertical", "flip-both"]
    one = batch(2)
    views = Flips(k=3).views()
    assert torch.equal(views["flip-horizontal"].image(one), one.flip(-1))
    assert torch.equal(views["flip-vertical"].image(one), one.flip(-2))
    assert torch.equal(views["flip-both"].image(one), one.flip(-1, -2))
    with pytest.raises(LmiaError, match="k is 4"):
        Flips(k=4)


def test_four_basic_draws_each_of_the_four_equally_often():
    kinds = Counter(name.rpartition("-")[0] for name in FourBasic(k=8).views() if name != "identity")
    assert kinds == {"crop": 2, "rotate": 2, "affine": 2, "colour": 2}


def steps(views, kind):
    return [view.image.steps[0] for name, view in views.items() if name.startswith(kind)]


def test_four_basic_draws_over_the_ranges_it_states():
    views = FourBasic(k=1600).views()
    crops = steps(views, "crop")
    areas, ratios = [c.height * c.width for c in crops], [c.width / c.height for c in crops]
    assert 0.07 < min(areas) < 0.15
    assert 0.9 < max(areas) <= 1
    assert 3 / 4 - 1e-9 <= min(ratios) < 0.78
    assert 1.29 < max(ratios) <= 4 / 3 + 1e-9
    assert all(
        c.top >= 0 and c.left >= 0 and c.top + c.height <= 1 + 1e-9 and c.left + c.width <= 1 + 1e-9 for c in crops
    )
    for values, low, high in [
        ([s.angle for s in steps(views, "rotate")], -45, 45),
        ([s.angle for s in steps(views, "affine")], -30, 30),
        ([s.right for s in steps(views, "affine")], -0.1, 0.1),
        ([s.down for s in steps(views, "affine")], -0.1, 0.1),
        ([s.scale for s in steps(views, "affine")], 0.75, 1.25),
        ([s.brightness for s in steps(views, "colour")], 0.5, 1.5),
        ([s.contrast for s in steps(views, "colour")], 0.5, 1.5),
        ([s.saturation for s in steps(views, "colour")], 0.5, 1.5),
        ([s.hue for s in steps(views, "colour")], -0.5, 0.5),
    ]:
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high
        assert abs(np.mean(values) - (low + high) / 2) < 0.06 * (high - low)
    assert len({s.order for s in steps(views, "colour")}) == 24


@given(st.integers(), st.floats(0.01, 1))
@settings(deadline=None, max_examples=50)
def test_gentle_keeps_places_and_colours_whatever_the_seed(seed, strength):
    for view in list(Gentle(k=8, strength=strength, seed=seed).views().values())[1:]:
        (step,) = view.image.steps
        assert not isinstance(step, Affine)
        if isinstance(step, Crop):
            assert min(step.height, step.width) >= 0.9 - 1e-9
        if isinstance(step, Jitter):
            assert step.hue == 0
            assert all(0.8 <= factor <= 1.2 for factor in (step.brightness, step.contrast, step.saturation))
        assert getattr(step, "quality", 100) >= 60
        assert getattr(step, "sigma", 0) <= 1 / 112


def test_rotations_blurs_and_jpegs_are_evenly_spaced():
    assert [s.angle for s in steps(Rotations(k=4).views(), "rotate")] == [22.5, -22.5, 45, -45]
    assert [s.angle for s in steps(Rotations(k=3, strength=0.5).views(), "rotate")] == [11.25, -11.25, 22.5]
    assert [s.sigma * 56 for s in steps(Blur(k=4).views(), "blur")] == pytest.approx([0.25, 0.5, 0.75, 1])
    assert [s.quality for s in steps(JPEG(k=3).views(), "jpeg")] == [70, 40, 10]


def test_composed_crops_recolours_and_blurs_in_every_view():
    for view in list(Composed(k=3).views().values())[1:]:
        assert [type(step).__name__ for step in view.image.steps] == ["Crop", "Jitter", "Blurring"]


def test_caption_views_leave_the_picture_alone():
    views = Captions(k=6).views()
    assert list(views) == ["identity", "lower", "upper", "truncated", "shuffle-1", "shuffle-2", "shuffle-3"]
    assert all(view.image is None for view in views.values())
    said = "Red candy left of a GREEN Hat"
    assert views["lower"].caption(said) == "red candy left of a green hat"
    assert views["upper"].caption(said) == "RED CANDY LEFT OF A GREEN HAT"
    assert views["truncated"].caption(said) == "Red candy left of"
    assert Captions(strength=0.5).views()["truncated"].caption("1 2 3 4 5 6 7 8") == "1 2 3 4 5 6"


@given(st.text(), st.floats(0.01, 1), st.integers(0, 5))
@settings(deadline=None)
def test_shuffles_keep_all_words_and_move_each_at_full_strength(caption, strength, seed):
    words = caption.split()
    mild = Captions(strength=strength, seed=seed).views()["shuffle-1"].caption(caption).split()
    full = Captions(seed=seed).views()["shuffle-1"].caption(" ".join(map(str, range(len(words))))).split()
    assert Counter(mild) == Counter(words)
    if len(words) > 1:
        assert all(int(word) != place for place, word in enumerate(full))


@given(st.text(), st.floats(0, 1))
@settings(deadline=None)
def test_truncation_keeps_the_beginning_and_one_word_at_least(caption, strength):
    view = Captions(k=3, strength=strength).views()["truncated"].caption
    kept = view(caption).split() if view else caption.split()
    words = caption.split()
    assert kept == words[: len(kept)]
    assert len(kept) == np.ceil(round((1 - strength / 2) * len(words), 6))
