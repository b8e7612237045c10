"""Which rows can have been changed: against brute force over all subsets, and by planting one change."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia.evidence.order import out_of_order, surplus
from lmia.report.scores import ranks


def consistent(scores, rank):
    return all(
        (rank[i] < rank[j]) == (scores[i] > scores[j]) and (rank[i] == rank[j]) == (scores[i] == scores[j])
        for i, j in combinations(range(len(scores)), 2)
    )


def brute(scores, rank):
    """The rows that are not in every largest consistent subset."""
    n = len(scores)
    for size in range(n, -1, -1):
        found = [set(rows) for rows in combinations(range(n), size) if consistent(scores[list(rows)], rank[list(rows)])]
        if found:
            return np.array([i not in set.intersection(*found) for i in range(n)], bool)
    raise AssertionError


@settings(max_examples=150, deadline=None)
@given(st.permutations(range(8)))
def test_without_ties_it_is_what_all_subsets_say(order):
    scores, rank = np.arange(8.0), np.array(order, float) + 1
    np.testing.assert_array_equal(out_of_order(scores, rank), brute(scores, rank))


@given(st.lists(st.integers(-3, 3), max_size=30))
def test_ranks_as_they_are_made_are_in_order(values):
    scores = np.array(values, float)
    assert not out_of_order(scores, ranks(scores, scores).astype(float)).any()


@given(st.integers(0, 49), st.integers(0, 49))
def test_one_moved_score_is_named_alone_or_with_its_neighbour(row, to):
    scores = np.arange(50.0)
    rank = ranks(scores, scores).astype(float)
    scores[row] = to + (0.5 if to > row else -0.5 if to < row else 0)
    named = np.flatnonzero(out_of_order(scores, rank))
    if abs(to - row) > 1:
        assert named.tolist() == [row]
    else:
        assert set(named) <= {row, to}


def test_a_tied_score_that_was_changed_is_told_from_its_equals():
    scores = np.array([3.0, 2.0, 2.0, 2.0, 1.0])
    rank = ranks(scores, scores).astype(float)
    scores[2] = 0.5
    assert np.flatnonzero(out_of_order(scores, rank)).tolist() == [2]


def test_a_rank_that_is_missing_is_out_of_order():
    assert out_of_order(np.array([2.0, 3.0, 1.0]), np.array([2.0, np.nan, 3.0])).tolist() == [False, True, False]


def test_one_row_and_none():
    assert out_of_order(np.array([1.0]), np.array([1.0])).tolist() == [False]
    assert out_of_order(np.zeros(0), np.zeros(0)).tolist() == []


def p_of(scores, calibration):
    return np.array([(1 + (calibration >= s).sum()) / (len(calibration) + 1) for s in scores])


@pytest.mark.parametrize("seed", range(5))
def test_a_moved_calibration_score_is_among_few(seed):
    rng = np.random.default_rng(seed)
    scores, calibration = rng.normal(size=300), rng.normal(size=99)
    p = p_of(scores, calibration)
    assert not surplus(scores, p, calibration).any()
    row = int(rng.integers(99))
    calibration[row] += 2
    found = surplus(scores, p, calibration)
    assert found[row]
    assert found.sum() <= 20  # the top gap holds all that lie above the highest audited score


def test_nothing_to_hold_against_each_other():
    assert surplus(np.zeros(0), np.zeros(0), np.array([1.0])).tolist() == [False]
    assert surplus(np.array([1.0]), np.array([1.0]), np.zeros(0)).tolist() == []
