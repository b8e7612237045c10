"""Growth, needs and the share used: by simulation, and against scipy's own quantiles."""

import numpy as np
import pytest
from scipy import stats

from lmia.evidence.extent import growth, owner_needs, power_at, share_lower_bound
from lmia.evidence.inference import permutation_p


def test_parts_grow_and_end_with_the_whole():
    generator = np.random.default_rng(0)
    mine, theirs = generator.normal(0.5, 1, 200), generator.normal(size=120)
    label = np.repeat(np.arange(40), 5)
    found = growth(mine, theirs, label, np.arange(120) + 40, permutations=999)
    assert [one.clusters for one in found] == [(5, 15), (10, 30), (20, 60), (40, 120)]
    assert [one.used for one in found] == [(25, 15), (50, 30), (100, 60), (200, 120)]
    whole = permutation_p(mine, theirs, label, np.arange(120) + 40, 999)
    assert found[-1].p == whole.p
    assert found[0].p > found[-1].p
    with pytest.raises(ValueError, match="no shares"):
        growth(mine, theirs, shares=[0.0])


def test_an_owner_with_what_is_needed_finds_it():
    """A pilot's number of pairs gives, run for real, the power it promises."""
    generator = np.random.default_rng(1)
    big = permutation_p(generator.normal(0.5, 1, 20_000), generator.normal(size=20_000), permutations=1)
    needs = owner_needs(big, 0.9, 0.05)
    assert needs.low <= needs.pairs <= needs.high
    assert needs.pairs == pytest.approx(2 * (1.645 + 1.2816) ** 2 / 0.5**2, rel=0.1)
    n = needs.pairs
    found = [
        permutation_p(generator.normal(0.5, 1, n), generator.normal(size=n), permutations=199, seed=i).p <= 0.05
        for i in range(600)
    ]
    assert np.mean(found) == pytest.approx(0.9, abs=0.05)
    assert power_at(0.5, (2 / n) ** 0.5, 0.05) == pytest.approx(0.9, abs=0.01)


def test_where_nothing_was_found_no_number_is_told():
    none = owner_needs(permutation_p([0.0, 1.0, 0.5], [2.0, 3.0, 2.5]))
    assert none.pairs is None
    assert "there is no difference" in none.sentence()
    wide = owner_needs(permutation_p([0.0, 2.0, 1.2], [0.0, 2.0, 1.0]))
    assert wide.high is None
    assert "may be none to find" in wide.sentence()
    with pytest.raises(ValueError, match="power"):
        owner_needs(permutation_p([0.0, 1.0], [0.0, 1.0]), power=0.005)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("shift", [-1.0, 0.7, 50.0])
def test_the_bound_holds_whatever_use_does(share, shift):
    """Fixed members, an effect of any size or sign: the bound lies above the truth in at most 5 % of worlds."""
    generator = np.random.default_rng(int(10 * share))
    above, lows = 0, []
    for _ in range(300):
        mine = generator.normal(size=200)
        mine[: round(share * 200)] += shift
        lows.append(share_lower_bound(mine, generator.normal(size=150)).low)
        above += lows[-1] > share + 1e-12
    assert stats.binomtest(above, 300, 0.05, alternative="greater").pvalue > 0.01
    if share == 0.9 and shift == 50.0:
        assert np.median(lows) > 0.7


def test_the_bound_holds_for_shoots():
    generator = np.random.default_rng(4)
    above = 0
    label = np.repeat(np.arange(40), 25)
    for _ in range(200):
        sides = [generator.normal(size=40)[label] * 0.9 + generator.normal(size=1000) * 0.4 for _ in range(2)]
        found = share_lower_bound(*sides, label, label)
        above += found.low > 0
    assert found.units == (40, 40)
    assert found.grouped
    assert above <= 17  # 99 % of binomial(200, 0.05)
    naive = share_lower_bound(*sides)
    assert naive.units == (1000, 1000)


def test_the_bound_by_hand_and_ties():
    """Two thresholds at most: every held-out score is 0 or 1."""
    heldout, mine = np.repeat([0.0, 1.0], 100), np.repeat([0.0, 1.0], [10, 190])
    found = share_lower_bound(mine, heldout)
    ranks = np.arange(1, 20) * 10
    error = 0.05 / 38
    expected = max(
        1 - (stats.beta.ppf(1 - error, 11, 190) if k <= 100 else 1.0) / stats.beta.ppf(error, k, 201 - k) for k in ranks
    )
    assert found.low == pytest.approx(expected)
    assert "a lower limit, not an estimate" in found.sentence()
    assert share_lower_bound([1.0], [0.0]).low == 0
    assert share_lower_bound([2.0] * 50, [2.0] * 50).low == 0
    with pytest.raises(ValueError, match="confidence"):
        share_lower_bound([1.0], [0.0], confidence=1.0)
