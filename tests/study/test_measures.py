"""What is read off a finished cell."""

import numpy as np
import pytest
from scipy.stats import norm

from lmia.study.measures import Sides, gap


def sides(members, nonmembers, groups=None):
    scores = np.concatenate([members, nonmembers])
    return Sides(scores, np.arange(len(scores)) < len(members), groups)


def test_the_gap_is_welchs():
    lots = np.random.default_rng(0)
    a, b = lots.normal(0.3, 0.1, 400), lots.normal(0.1, 0.3, 700)
    error = np.sqrt(a.var(ddof=1) / 400 + b.var(ddof=1) / 700)
    found = gap(sides(a, b), 0.9)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx(norm.interval(0.9, found.value, error))


def test_its_interval_holds_as_often_as_it_says():
    lots = np.random.default_rng(1)
    held = [gap(sides(lots.normal(1, 1, 100), lots.normal(0, 2, 100)), 0.95) for _ in range(400)]
    assert 0.92 < np.mean([one.low <= 1 <= one.high for one in held]) < 0.98


def test_copies_count_once_in_it():
    lots, copied = np.random.default_rng(2), np.repeat(np.arange(100), 4)
    held = []
    for _ in range(300):
        members, nonmembers = (np.repeat(lots.normal(0, 1, 50), 4) for _ in range(2))
        held.append(gap(sides(members, nonmembers, copied), 0.95))
    assert 0.91 < np.mean([one.low <= 0 <= one.high for one in held]) < 0.98
    once = gap(sides(members[::4], nonmembers[::4]), 0.95)
    assert (held[-1].value, held[-1].low) == pytest.approx((once.value, once.low))
