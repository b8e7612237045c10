"""The kit's worlds: every array, by seed alone, and what is planted can be found."""

import pytest
import torch
from torch.nn.functional import normalize

from lmia import evidence
from lmia.testing import (
    make_known,
    make_samples,
    make_world,
)


def test_samples_hold_every_array_and_their_cosines():
    some = make_samples(7, seed=3, width=16, views=4, measured={"loss": 1.0})
    assert some.view_names == ("identity", "view-1", "view-2", "view-3")
    expected = (normalize(some.view_image, dim=-1) * normalize(some.view_text, dim=-1)).sum(-1)
    torch.testing.assert_close(some.cosine, expected)
    torch.testing.assert_close(some.view_image[:, 0], some.image)
    torch.testing.assert_close(some.view_text[:, 0], some.text)
    assert some.measured["loss"].shape == (7,)
    assert some.ids.unique().numel() == 7
    assert some.image.norm(dim=1).std() > 0.1


def test_a_world_is_drawn_by_its_seed_alone():
    torch.manual_seed(1)
    first = make_world(20, seed=5)
    torch.manual_seed(2)
    second = make_world(20, seed=5)
    assert torch.equal(first.samples.image, second.samples.image)
    assert torch.equal(first.labels, second.labels)
    assert not torch.equal(first.samples.image, make_world(20, seed=6).samples.image)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_smallest_worlds_can_be_made(n):
    world = make_world(n)
    assert len(world.samples) == len(world.labels) == len(world.known.nonmembers) == len(world.known.pool) == n
    assert int(world.labels.sum()) == n // 2


@pytest.mark.parametrize(
    ("signal", "falls", "low", "high"), [(1, True, 0.6, 1), (1, False, 0, 0.4), (0, True, 0.4, 0.6)]
)
def test_what_is_planted_can_be_found(signal, falls, low, high):
    world = make_world(400, signal=signal, falls=falls, measured={"loss": -2.0})
    cosine, labels = world.samples.cosine, world.labels
    plain = evidence.auroc(cosine[:, 0], labels).value
    assert plain > 0.95 if signal else 0.4 < plain < 0.6
    fall = evidence.auroc((cosine[:, :1] - cosine[:, 1:]).mean(1), labels).value
    assert low <= fall <= high
    loss = evidence.auroc(-world.samples.measured["loss"], labels).value
    assert loss > 0.85 if signal else 0.4 < loss < 0.6


def test_no_row_is_in_two_roles():
    world = make_world(30)
    every = torch.cat([world.samples.image, world.known.nonmembers.image, world.known.pool.image])
    assert len(every.unique(dim=0)) == 90


def test_known_says_nothing_of_membership_by_order():
    known = make_known(400, seed=1)
    half = known.pool.cosine[:200, 0].mean() - known.pool.cosine[200:, 0].mean()
    assert abs(half) < 0.06  # members first would show 0.27
