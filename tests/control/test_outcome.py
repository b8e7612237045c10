"""The smallest level found, against a brute-force reading of its definition."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import beta

from control.test_levels import LEVELS, world
from lmia.control.levels import Level, judged
from lmia.control.outcome import Outcome, held, least_share, smallest
from lmia.evidence.estimate import Estimate


def level(seed, repeats, found, attack="csa"):
    low = 0.6 if found else 0.4
    return Level(seed, attack, repeats, 9, 9, Estimate(0.7, low, 0.9, 0.98, "DeLong", 18), 0.001)


def brute(levels, power):
    """Ask of every level by itself whether it and each larger one is found in enough trainings."""
    seeds, tried = {one.seed for one in levels}, sorted({one.repeats for one in levels})
    good = []
    for k in tried:
        shares = []
        for larger in [one for one in tried if one >= k]:
            hits = sum(any(one.found for one in levels if (one.seed, one.repeats) == (s, larger)) for s in seeds)
            shares.append(hits / len(seeds))
        if min(shares) >= power:
            good.append(k)
    return min(good, default=None)


@pytest.mark.parametrize("power", [0.5, 0.6, 1.0])
def test_smallest_is_what_its_definition_says(power):
    for bits in product([False, True], repeat=6):
        levels = [level(seed, k, found) for (seed, k), found in zip(product([4, 9], [1, 2, 8]), bits, strict=True)]
        assert smallest(levels, power) == brute(levels, power)


def test_attacks_find_together_what_none_finds_alone():
    levels = [level(0, 8, True), level(0, 8, False, "wsa"), level(1, 8, False), level(1, 8, True, "wsa")]
    found = Outcome(levels, 1.0)
    assert (found.smallest(), found.smallest("csa"), found.smallest("wsa")) == (8, None, None)
    assert (found.hits(8), found.hits(8, "csa")) == (2, 1)


def test_a_share_that_is_met_exactly_is_met():
    levels = [level(seed, 4, seed < 9) for seed in range(10)]
    assert smallest(levels, 0.9) == 4
    assert smallest(levels, 0.91) is None


def test_on_scores_with_a_planted_effect_it_falls_as_the_effect_grows():
    found = []
    for effect in (0.0, 0.25, 0.5, 2.0):
        levels = [one for seed in range(3) for one in judged(*world(seed, effect), None, LEVELS, 0.01, seed=seed)]
        assert smallest(levels, 0.9) == brute(levels, 0.9)
        found.append(smallest(levels, 0.9))
    assert found[0] is None
    assert found[-1] == 1
    numbers = [k or 99 for k in found]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) > 2


def test_without_memory_no_level_is_found():
    names = [smallest(judged(*world(seed, planted=100, held_out=200), None, LEVELS, 0.05), 1.0) for seed in range(200)]
    assert sum(name is not None for name in names) <= 0.05 * 200


def test_held_counts_trainings_that_find_all_from_a_level_on():
    some = [
        level(0, 1, False),
        level(0, 4, True),
        level(0, 8, True),
        level(1, 1, True),
        level(1, 4, True),
        level(1, 8, False),
    ]
    assert held(some, 4) == (1, 2)
    assert held(some, 8) == (1, 2)
    assert held(some, 1) == (0, 2)
    assert held([], 1) == (0, 0)


@pytest.mark.parametrize(("hits", "n"), [(1, 1), (3, 3), (2, 5), (0, 4)])
def test_the_least_share_is_clopper_and_pearsons(hits, n):
    assert least_share(hits, n) == pytest.approx(beta.ppf(0.05, hits, n - hits + 1) if hits else 0.0)
    assert not np.isnan(least_share(hits, n))
