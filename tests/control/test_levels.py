"""Levels against a reference: sklearn's AUC, a brute-force count of batches, and worlds without memory."""

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from lmia.control.levels import Level, judged, shown
from lmia.evidence import auroc, holm
from lmia.membership import Membership
from lmia.training.data import Drawn, Epochs, Order
from training.test_data import KEYS, PAIRS, TOKENS

LEVELS = [1, 2, 4, 8]


def world(seed, effect=0.0, planted=60, held_out=300, levels=LEVELS):
    """Scores of planted and held-out pairs; a level's lie higher by `effect` times the logarithm of one more than it."""
    random = np.random.default_rng(seed)
    repeats = np.repeat([0, *levels], [held_out, *[planted] * len(levels)])
    return torch.from_numpy(random.normal(size=len(repeats)) + effect * np.log(repeats + 1)), torch.from_numpy(repeats)


def test_each_level_stands_against_the_held_out_alone():
    scores, repeats = world(0, 0.4)
    for one in judged(scores, repeats, None, LEVELS, 0.01):
        keep = ((repeats == one.repeats) | (repeats == 0)).numpy()
        assert one.auc.value == pytest.approx(roc_auc_score(repeats.numpy()[keep] > 0, scores.numpy()[keep]))
        assert (one.members, one.nonmembers) == (60, 300)


@pytest.mark.parametrize("tests", [0, 12])
def test_lower_ends_and_p_values_agree_and_are_bonferronis(tests):
    seen = set()
    for seed in range(40):
        scores, repeats = world(seed, 0.15)
        found = judged(scores, repeats, None, LEVELS, 0.05, tests)
        for one in found:
            assert one.found == (one.p < 0.05), one
            assert one.auc.confidence == pytest.approx(1 - 0.1 / (tests or 4))
            seen.add(one.found)
        raw = torch.tensor([one.p / (tests or 4) for one in found if one.p < 1])
        if len(raw) == 4 and not tests:
            assert (holm(raw) <= torch.tensor([one.p for one in found]) + 1e-12).all()
    assert seen == {True, False}


def test_groups_widen_the_interval():
    scores, repeats = world(1, 0.3)
    scores[0::2] = scores[1::2]
    groups = torch.arange(len(scores)) // 2
    alone, grouped = (judged(scores, repeats, some, LEVELS, 0.01)[-1].auc for some in (None, groups))
    assert grouped.low < alone.low < alone.value == grouped.value
    assert "duplicate group" in grouped.method


def test_without_memory_hardly_a_training_finds_anything():
    """At an alpha of 0.2, so that a wrong level would show in so few worlds."""
    alarms = 0
    for seed in range(300):
        scores, repeats = world(seed, planted=100, held_out=200)
        alarms += any(one.found for one in judged(scores, repeats, None, LEVELS, 0.2))
    assert alarms <= binom.ppf(0.9999, 300, 0.2)
    assert alarms > 0  # or the test would pass where nothing is ever found


def test_a_level_without_a_pair_has_no_number():
    scores, repeats = world(0)
    empty, there = judged(scores, repeats, None, [3, 8], 0.01)
    assert (empty.auc, empty.p, empty.found, empty.members) == (None, None, False, 0)
    assert there.auc is not None
    assert judged(scores[repeats > 0], repeats[repeats > 0], None, [8], 0.01)[0].auc is None


def test_one_pair_and_ties():
    repeats = torch.tensor([0] * 50 + [4])
    assert not judged(torch.zeros(51), repeats, None, [4], 0.01)[0].found
    flawless = judged((repeats > 0).double(), repeats, None, [4], 0.01)[0]
    assert flawless.auc.value == 1.0
    assert not flawless.found  # one pair shows nothing
    many = torch.tensor([0] * 50 + [4] * 50)
    assert judged((many > 0).double(), many, None, [4], 0.01)[0].found


def test_a_score_that_is_not_finite_is_no_score():
    scores, repeats = world(0)
    scores[3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        judged(scores, repeats, None, [8], 0.01)


def test_true_positive_rates_are_those_of_the_level():
    scores, repeats = world(0, 1.0)
    low, high = (one.tprs[0].estimate.value for one in judged(scores, repeats, None, [1, 8], 0.01, fprs=[0.1]))
    cut = np.sort(scores[repeats == 0].numpy())[-31]
    assert (low, high) == tuple((scores[repeats == level].numpy() > cut).mean() for level in (1, 8))


def test_interval_is_that_of_the_evidence():
    scores, repeats = world(2, 0.3)
    keep = (repeats == 8) | (repeats == 0)
    assert judged(scores, repeats, None, [8], 0.01)[0].auc == auroc(scores[keep], repeats[keep] > 0, confidence=0.98)


@pytest.mark.parametrize("batch", [16, 50])
def test_shown_is_what_epochs_show(batch):
    times = np.tile([1, 8, 0, 2], 50).astype(np.int32)
    drawn, number = Drawn(PAIRS, Membership(KEYS, times > 0, times), TOKENS), iter(range(10_000))
    epochs = Epochs(drawn, Order(batch, 0), (), lambda words: TOKENS, lambda: next(number))
    rows = np.concatenate([tokens.flatten().numpy() for _ in range(100) for _, tokens in epochs])
    counted = np.bincount(rows, minlength=200)
    for level in (1, 2, 8):
        mean = counted[times == level].mean() / 100
        assert mean == pytest.approx(shown(level, int(times.sum()), batch), rel=0.02)


def test_a_level_without_an_interval_is_not_found():
    assert not Level(0, "csa", 8).found
