"""Defences of the pairs that are shown: words left out, views, copies; and when it is enough."""

import math
from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lmia
from lmia import LmiaError
from lmia.registry import registry
from lmia_defences import Augment, Dedup, EarlyStop, MaskCaptions


def test_captions_are_masked_by_the_share_and_keep_their_order():
    caption = " ".join(f"w{i}" for i in range(1000))
    said = MaskCaptions(0.3).captions([caption], Random(0))[0].split()
    assert len(said) == pytest.approx(700, abs=60)  # four standard deviations of a binomial
    places = [int(word[1:]) for word in said]
    assert places == sorted(set(places))


def test_at_least_one_word_is_kept_and_any_one():
    said = Counter(MaskCaptions(0.99).captions(["one two three"] * 600, Random(0)))
    assert "" not in said
    assert all(said[word] > 100 for word in ("one", "two", "three"))


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_what_has_no_words_to_lose_stays(share):
    given = ["", "  ", "one", "\n alone "]
    said = MaskCaptions(share).captions(given, Random(0))
    assert [one.split() for one in said] == [one.split() for one in given]
    assert MaskCaptions(0.0).captions([" two  words "], Random(0)) == [" two  words "]


def test_masks_differ_from_showing_to_showing_and_not_from_run_to_run():
    draw, again = Random(3), Random(3)
    caption = ["a red bus in front of a large house"]
    shown = [MaskCaptions().captions(caption, draw) for _ in range(9)]
    assert shown == [MaskCaptions().captions(caption, again) for _ in range(9)]
    assert len({one[0] for one in shown}) > 3


PICTURES = torch.rand(60, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_each_picture_is_shown_in_one_of_the_views_and_each_view_is_shown():
    seen = Augment().pixels(PICTURES, torch.Generator().manual_seed(1))
    views = registry().get("views", "gentle")().views()
    made = torch.stack([PICTURES if one.image is None else one.image(PICTURES) for one in views.values()])
    near = (made - seen).flatten(2).abs().amax(2)
    assert near.amin(0).max() < 1e-5
    assert set(near.argmin(0).tolist()) == set(range(len(views)))


def test_a_batch_can_be_shown_in_one_view():
    views = registry().get("views", "gentle")().views()
    found = set()
    for seed in range(12):
        seen = Augment(per="batch").pixels(PICTURES[:3], torch.Generator().manual_seed(seed))
        made = [PICTURES[:3] if one.image is None else one.image(PICTURES[:3]) for one in views.values()]
        found.add(next(i for i, one in enumerate(made) if torch.allclose(one, seen, atol=1e-6)))
    assert len(found) > 2


def test_a_set_makes_as_many_views_as_it_is_told():
    assert len(Augment(k=9).views) == 10
    with pytest.raises(LmiaError, match="'identity' have a number of their own, and cannot be 2"):
        Augment("identity", k=2)


def test_captions_are_shown_in_views_of_captions_and_pictures_are_left_alone():
    defence = Augment("captions")
    said = defence.captions(["A dog, on a beach."] * 40, Random(0))
    views = registry().get("views", "captions")().views().values()
    assert set(said) == {one.caption("A dog, on a beach.") if one.caption else "A dog, on a beach." for one in views}
    assert torch.equal(defence.pixels(PICTURES, torch.Generator()), PICTURES)


def test_no_set_no_defence():
    with pytest.raises(LmiaError, match=r"No set of views is called 'gentel'\.\nDid you mean 'gentle'"):
        Augment("gentel")


def brute(captions, phash, bits, by_caption):
    """One pair after the other against every one that was kept."""
    kept = []
    for i, (said, look) in enumerate(zip(captions, phash, strict=True)):
        copies = (
            (by_caption and said.casefold().split() == captions[j].casefold().split())
            or bin(int(look, 16) ^ int(phash[j], 16)).count("1") <= bits
            for j in kept
        )
        if not any(copies):
            kept.append(i)
    return np.isin(np.arange(len(captions)), kept)


@pytest.mark.parametrize("bits", [0, 1, 6, 15])
@pytest.mark.parametrize("by_caption", [True, False])
def test_copies_are_those_of_a_brute_force(bits, by_caption):
    random = np.random.default_rng(bits)
    centres = random.integers(0, 2**63, 12, dtype=np.uint64)
    flips = [np.bitwise_or.reduce(np.uint64(1) << random.choice(64, n).astype(np.uint64)) for n in range(1, 13)]
    phash = [f"{int(random.choice(centres) ^ random.choice(flips)):016x}" for _ in range(300)]
    captions = [f"{'A' if n % 2 else 'a'} caption  {n}" for n in random.integers(0, 200, 300)]
    found = Dedup(bits, by_caption).keep([f"{i}" for i in range(300)], captions, phash)
    expected = brute(captions, phash, bits, by_caption)
    assert found.tolist() == expected.tolist()
    assert 1 < expected.sum() < 300


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abAB "), st.integers(0, 7)), max_size=12), st.integers(0, 3))
def test_copies_are_those_of_a_brute_force_at_the_edges(pairs, bits):
    captions, phash = [said for said, _ in pairs], [f"{look:016x}" for _, look in pairs]
    found = Dedup(bits).keep([str(i) for i in range(len(pairs))], captions, phash)
    assert found.tolist() == brute(captions, phash, bits, True).tolist()


def test_a_chain_of_near_copies_goes_by_what_was_kept():
    """The second is near the first and goes; the third is near the second alone, which was not kept: it stays."""
    phash = ["0" * 16, "0" * 14 + "3f", "0" * 12 + "0fff"]
    assert Dedup(6).keep(["a", "b", "c"], ["x", "y", "z"], phash).tolist() == [True, False, True]


def test_many_pairs_are_no_matter():
    random = np.random.default_rng(0)
    phash = [f"{int(one):016x}" for one in random.integers(0, 2**63, 50_000, dtype=np.uint64)]
    keys = [str(i) for i in range(50_000)]
    assert Dedup().keep(keys, keys, phash).mean() > 0.99


def told(*recalls):
    return [{"loss": 1.0, "recall": one, "auc": 0.5} for one in recalls]


@pytest.mark.parametrize(
    ("recalls", "patience", "stops"),
    [
        ([], 1, False),
        ([0.2], 1, False),
        ([0.2, 0.2], 1, True),
        ([0.2, 0.1, 0.3], 2, False),
        ([0.2, 0.1, 0.2], 2, True),
        ([0.2, 0.3, 0.2, 0.1], 3, False),
        ([0.0, 0.0, 0.0, 0.0], 3, True),
    ],
)
def test_it_is_enough_when_recall_stands_still(recalls, patience, stops):
    assert EarlyStop(patience).enough(told(*recalls)) is stops


@pytest.mark.parametrize("epochs", [told(0.1, math.nan), [{"loss": 1.0}]])
def test_without_held_out_recall_nothing_can_stop(epochs):
    with pytest.raises(LmiaError, match="held-out recall, which is nan"):
        EarlyStop().enough(epochs)


def test_a_defence_has_its_name_on_the_command_line():
    assert {"dpsgd", "maskcaptions", "rounding"} <= set(registry().names("defence"))
    assert issubclass(registry().get("defence", "DPSGD"), lmia.Defence)
