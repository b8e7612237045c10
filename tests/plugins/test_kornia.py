"""The augmentation sets: what they promise of every view."""

import pickle

import numpy as np
import pytest
import torch

from lmia import LmiaError, View, Views
from lmia.registry import registry
from lmia.testing import check_views
from lmia_kornia import (
    JPEG,
    Blur,
    Captions,
    Colour,
    Composed,
    Crops,
    Flips,
    FourBasic,
    Gentle,
    Rotations,
    lmia_views,
)
from lmia_kornia.chain import CACHED

PICTURES = [Gentle, FourBasic, Rotations, Crops, Blur, Colour, JPEG, Composed]
SEEDED = [Gentle, FourBasic, Crops, Colour, Composed, Captions]


def everything():
    """Two rounds of every picture view of every set, by a readable name."""
    sets = [cls(k=8) for cls in PICTURES] + [Flips(k=3)]
    return {
        f"{type(one).__name__}/{name}": view.image
        for one in sets
        for name, view in one.views().items()
        if view.image is not None
    }


VIEWS = everything()


def batch(b, h=32, w=32, dtype=torch.float32):
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(1)).to(dtype)


def test_the_hook_returns_ten_sets_and_the_registry_finds_them():
    assert len(lmia_views()) == 10
    for cls in lmia_views():
        assert issubclass(cls, Views)
        assert registry().get("views", cls.__name__.lower()) is cls


@pytest.mark.parametrize("cls", lmia_views())
def test_the_identity_comes_first_and_k_views_follow(cls):
    for k in (1, 2, 3):
        views = cls(k=k).views()
        assert next(iter(views)) == "identity"
        assert views["identity"] == View()
        assert len(views) == k + 1
        assert all(view != View() for name, view in views.items() if name != "identity")


@pytest.mark.parametrize("name", VIEWS)
def test_a_row_depends_on_no_other_row(name):
    view, five = VIEWS[name], batch(5)
    together = view(five)
    alone = torch.cat([view(row[None]) for row in five])
    order = torch.tensor([3, 0, 4, 1, 2])
    company = view(torch.cat([1 - five, five]))[5:]
    assert torch.allclose(together, alone, rtol=0, atol=1e-6)
    assert torch.allclose(view(five[order]), together[order], rtol=0, atol=1e-6)
    assert torch.allclose(company, together, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["Composed/composed-1", "FourBasic/affine-1", "JPEG/jpeg-4"])
def test_a_row_depends_on_no_other_row_where_a_batch_is_done_in_parts(name):
    view, many = VIEWS[name], batch(9, 224, 224)
    assert 9 * many[0].numel() > CACHED
    assert torch.allclose(view(many)[[0, 6, 8]], view(many[[0, 6, 8]]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", VIEWS)
def test_the_global_generators_are_neither_read_nor_moved(name):
    view, one = VIEWS[name], batch(2)
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = view(one)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    torch.manual_seed(2)
    assert torch.equal(view(one), first)


@pytest.mark.parametrize("name", VIEWS)
def test_shape_type_range_and_input_are_kept(name):
    view = VIEWS[name]
    for h, w, dtype in [
        (48, 48, torch.float32),
        (33, 50, torch.bfloat16),
        (17, 16, torch.float16),
        (1, 1, torch.float64),
    ]:
        one = batch(2, h, w, dtype)
        kept = one.clone()
        seen = view(one)
        assert seen.shape == one.shape
        assert seen.dtype == dtype
        assert seen.device == one.device
        assert seen.isfinite().all()
        assert seen.min() >= 0
        assert seen.max() <= 1
        assert torch.equal(one, kept)


@pytest.mark.parametrize("name", VIEWS)
def test_an_empty_batch_stays_empty(name):
    assert VIEWS[name](batch(0)).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("cls", lmia_views())
def test_views_are_values_that_can_be_sent_to_another_process(cls):
    views = cls(k=3).views()
    again = pickle.loads(pickle.dumps(views))
    assert views == again == cls(k=3).views()
    assert repr(views) == repr(again)
    assert "0x" not in repr(views), "a repr with an address is no fingerprint"
    for name, view in views.items():
        if view.image is not None:
            assert torch.equal(view.image(batch(2)), again[name].image(batch(2)))


@pytest.mark.parametrize("cls", SEEDED)
def test_more_views_leave_the_first_as_they_were_and_the_seed_changes_them(cls):
    few, many = cls(k=4).views(), cls(k=9).views()
    assert list(many)[:5] == list(few)
    assert all(many[name] == view for name, view in few.items())
    other = cls(k=9, seed=1).views()
    assert list(other) == list(many)
    assert other != many


@pytest.mark.parametrize("cls", [cls for cls in lmia_views() if cls is not Flips])
def test_strength_zero_is_the_identity(cls):
    views = cls(k=5, strength=0.0).views()
    assert len(views) == 6
    assert all(view == View() for view in views.values())


@pytest.mark.parametrize("cls", PICTURES)
def test_strength_scales_the_change(cls):
    y = torch.linspace(0, 3, 48)
    smooth = (y[:, None] * torch.tensor([1.0, 1.7, 2.3])[:, None, None] + y).sin()[None] / 3 + 0.5

    def change(strength):
        views = cls(k=8, strength=strength).views()
        return np.mean([(view.image(smooth) - smooth).abs().mean() for view in views.values() if view.image])

    assert change(0.02) < change(0.3) < change(1.0)
    assert change(0.02) < 0.02


@pytest.mark.parametrize("cls", lmia_views())
@pytest.mark.parametrize("k", [0, -1, True, 2.5])
def test_an_impossible_k_is_refused(cls, k):
    with pytest.raises(LmiaError, match=f"k is {k}"):
        cls(k=k)


@pytest.mark.parametrize("cls", [cls for cls in lmia_views() if cls is not Flips])
@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_impossible_strength_is_refused(cls, strength):
    with pytest.raises(LmiaError, match="strength is"):
        cls(strength=strength)


@pytest.mark.parametrize("cls", lmia_views())
def test_every_set_keeps_the_laws_of_views(cls):
    check_views(cls())
    check_views(cls(k=2))
