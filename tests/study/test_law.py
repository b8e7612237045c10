"""The fitted exponent, against numpy's polyfit, a planted law, and scipy's bootstrap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from lmia.study.law import power_law


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=8), st.integers(0, 9))
def test_it_is_polyfit_of_the_means(ys, seed):
    x = np.arange(1, len(ys) + 1)
    y = np.abs(np.random.default_rng(seed).normal(ys, 0.001, (4, len(ys)))) + 1e-6
    law = power_law(x, y, draws=1)
    slope, height = np.polyfit(np.log(x), np.log(y.mean(0)), 1)
    assert law.exponent.value == pytest.approx(slope, abs=1e-9)
    assert law.constant == pytest.approx(np.exp(height), rel=1e-9)
    assert (law.points, law.left_out, law.seeds) == (len(ys), 0, 4)


def test_a_planted_law_lies_in_its_interval_about_as_often_as_said():
    lots, x = np.random.default_rng(0), np.array([250, 500, 1000, 2000, 4000])
    laws = [power_law(x, 8 * x**-0.9 * np.exp(lots.normal(0, 0.2, (10, 5))), draws=300).exponent for _ in range(100)]
    assert np.mean([law.value for law in laws]) == pytest.approx(-0.9, abs=0.02)
    assert (
        84 <= sum(law.low <= -0.9 <= law.high for law in laws) <= 99
    )  # too narrow with few seeds, as its docstring says


def test_the_interval_is_scipys_percentile_bootstrap_over_seeds():
    x, lots = np.array([1.0, 2, 4, 8]), np.random.default_rng(1)
    y = 3 * x**0.5 * np.exp(lots.normal(0, 0.1, (12, 4)))

    def slope(rows):
        return np.polyfit(np.log(x), np.log(y[rows].mean(0)), 1)[0]

    other = bootstrap((np.arange(12),), slope, vectorized=False, method="percentile", n_resamples=2000, rng=2)
    law = power_law(x, y)
    assert law.exponent.low == pytest.approx(other.confidence_interval.low, abs=0.01)
    assert law.exponent.high == pytest.approx(other.confidence_interval.high, abs=0.01)


def test_what_has_no_logarithm_is_left_out_and_counted():
    law = power_law([1, 2, 4, 8], [[-1.0, 2, 4, 8], [0.5, 2, 4, 8]])
    assert law.exponent.value == pytest.approx(1)
    assert (law.points, law.left_out) == (3, 1)


def test_a_missing_cell_is_no_zero():
    law = power_law([1, 2, 4], [[1, np.nan, 4], [1, 2, 4]])
    assert law.exponent.value == pytest.approx(1)
    assert law.points == 3


@pytest.mark.parametrize("y", [[[np.nan, np.nan]], [[1.0, -1.0]], [[-1.0, -1.0]]])
def test_one_point_is_no_law(y):
    assert power_law([1, 2], y).exponent is None


def test_one_seed_says_nothing_of_others():
    law = power_law([1, 10], [[1.0, 10.0]])
    assert (law.exponent.low, law.exponent.high) == (-np.inf, np.inf)


def test_the_same_lots_every_time():
    y = np.random.default_rng(3).uniform(1, 2, (5, 3))
    assert power_law([1, 2, 3], y) == power_law([1, 2, 3], y)


@pytest.mark.parametrize(("x", "y"), [([0, 1], [[1, 1]]), ([1, 2], [1, 2]), ([1, 2, 3], [[1, 2]])])
def test_other_shapes_are_refused(x, y):
    with pytest.raises(ValueError, match="A law needs"):
        power_law(x, y)
