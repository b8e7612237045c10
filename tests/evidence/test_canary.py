"""The exact rank-sum test of canaries, against every outcome written out, against the normal limit, and under the null."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from lmia.evidence.canary import (
    LEAST_P,
    critical_sum,
    published_ranks,
    rank_probabilities,
    rank_sum_null,
    rank_sum_p,
    rank_sum_power,
    smallest_shift,
    wins,
)


@pytest.mark.parametrize(("items", "variants"), [(1, 2), (1, 7), (2, 2), (3, 4), (5, 3), (4, 6), (9, 2)])
def test_p_is_what_counting_every_outcome_gives(items, variants):
    sums = np.array([sum(outcome) for outcome in product(range(variants), repeat=items)])
    for total in range(items * (variants - 1) + 1):
        ranks = np.full(items, total // items) + (np.arange(items) < total % items)
        assert ranks.sum() == total
        assert rank_sum_p(ranks, variants) == pytest.approx(np.mean(sums >= total), rel=1e-12)


def test_far_tails_keep_their_precision():
    """Against whole numbers, which lose nothing: 60 items, where p is about 1e-40."""
    counts = [1]
    for _ in range(60):
        counts = [sum(counts[max(0, s - 4) : s + 1]) for s in range(len(counts) + 4)]
    for total in (200, 230, 239, 240):
        wanted = Fraction(sum(counts[total:]), 5**60)
        ranks = ([4] * (total // 4) + [total % 4] + [0] * 60)[:60]
        assert sum(ranks) == total
        assert rank_sum_p(ranks, 5) == pytest.approx(float(wanted), rel=1e-10)


def test_large_sizes_meet_the_normal_limit():
    items, variants = 2000, 8
    mean, spread = items * 3.5, np.sqrt(items * (variants**2 - 1) / 12)
    null = rank_sum_null(items, variants)
    assert null.sum() == pytest.approx(1, abs=1e-10)
    for z in (-2, 0, 1, 2, 3):
        total = round(mean + z * spread)
        assert null[total:].sum() == pytest.approx(norm.sf((total - 0.5 - mean) / spread), rel=0.01)


def test_p_is_never_zero():
    assert rank_sum_p(np.full(2000, 7), 8) == LEAST_P
    assert rank_sum_p(np.zeros(2000, int), 8) == 1


def test_p_is_uniform_where_nothing_was_learnt():
    """The p of a discrete test: at each of its own values it is exact, here by 20,000 draws of 20 items."""
    draw = np.random.default_rng(0)
    null = rank_sum_null(20, 8)
    tails = np.cumsum(null[::-1])[::-1]
    scores, published = draw.normal(size=(20_000, 20, 8)), draw.integers(0, 8, (20_000, 20))
    own = np.take_along_axis(scores, published[..., None], 2)
    sums = (scores < own).sum((1, 2))
    for alpha in (0.01, 0.05, 0.2, 0.5):
        level = tails[tails <= alpha].max()
        assert np.mean(tails[sums] <= alpha) == pytest.approx(level, abs=4 * np.sqrt(level / 20_000))
    smoothed = tails[sums] - draw.random(20_000) * null[sums]  # uniform, for a discrete statistic
    assert kstest(smoothed, "uniform").pvalue > 0.01
    for i in range(3):
        assert rank_sum_p(published_ranks(scores[i], published[i]), 8) == pytest.approx(tails[sums[i]])


def test_ties_only_make_p_larger():
    draw = np.random.default_rng(1)
    p = [rank_sum_p(published_ranks(draw.integers(0, 3, (10, 4)), draw.integers(0, 4, 10)), 4) for _ in range(2000)]
    for alpha in (0.05, 0.2, 0.5, 0.9):
        assert np.mean(np.array(p) <= alpha) <= alpha
    assert published_ranks(np.ones((5, 3)), np.zeros(5, int)).tolist() == [0] * 5


@given(
    st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0, np.inf]), min_size=3, max_size=3), min_size=1, max_size=9)
)
def test_ranks_are_hand_counted(rows):
    published = [i % 3 for i in range(len(rows))]
    wanted = [sum(value < row[i] for value in row) for row, i in zip(rows, published, strict=True)]
    assert published_ranks(rows, published).tolist() == wanted


def test_power_is_what_simulation_gives():
    items, variants, shift, alpha = 30, 5, 0.6, 0.01
    draw = np.random.default_rng(2)
    scores = draw.normal(size=(4000, items, variants))
    scores[..., 0] += shift
    sums = (scores < scores[..., :1]).sum((1, 2))
    found = np.mean(sums >= critical_sum(items, variants, alpha))
    power = rank_sum_power(items, variants, shift, alpha)
    assert 0.3 < power < 0.95
    assert found == pytest.approx(power, abs=4 * np.sqrt(0.25 / 4000))
    assert np.mean(scores[..., 1:] < scores[..., :1]) == pytest.approx(wins(shift), abs=0.005)


@pytest.mark.parametrize("variants", [2, 3, 8, 32])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.3, 2.0, 15.0])
def test_rank_probabilities_have_the_known_mean(variants, shift):
    chances = rank_probabilities(shift, variants)
    assert chances.sum() == pytest.approx(1, abs=1e-12)
    assert (chances >= 0).all()
    assert chances @ np.arange(variants) == pytest.approx((variants - 1) * wins(shift), abs=1e-9)


def test_the_critical_sum_is_the_first_rare_enough():
    for items, variants, alpha in [(1, 20, 0.05), (7, 4, 0.01), (40, 8, 0.001)]:
        least = critical_sum(items, variants, alpha)
        null = rank_sum_null(items, variants)
        assert null[least:].sum() <= alpha * (1 + 1e-9)
        assert null[least - 1 :].sum() > alpha
    assert critical_sum(1, 2, 0.01) is None
    assert rank_sum_power(1, 2, 10.0, 0.01) == 0
    assert smallest_shift(1, 2, 0.01) is None


def test_power_under_no_memory_is_at_most_alpha():
    for items in (1, 5, 50):
        assert rank_sum_power(items, 8, 0.0, 0.05) <= 0.05 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("scores", "published"),
    [
        ([[0.1, float("nan")]], [0]),
        ([[0.1, 0.2]], [2]),
        ([[0.1, 0.2]], [-1]),
        ([[0.1, 0.2]], [0.0]),
        ([[0.1]], [0]),
        ([[0.1, 0.2]], [0, 1]),
        (np.empty((0, 3)), np.empty(0, int)),
    ],
)
def test_what_is_no_choice_is_refused(scores, published):
    with pytest.raises(ValueError, match=r"score|choice"):
        published_ranks(scores, published)


@pytest.mark.parametrize("ranks", [[4], [-1], [0.5], []])
def test_what_is_no_rank_is_refused(ranks):
    with pytest.raises(ValueError, match="rank"):
        rank_sum_p(np.array(ranks), 4)


@pytest.mark.parametrize("alpha", [0, 1, float("nan")])
def test_what_is_no_alpha_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        critical_sum(3, 3, alpha)
