"""The share used: the bound by simulation and against scipy's own quantiles, the estimate in a world of known share."""

import numpy as np
import pytest
from scipy import stats

from lmia.evidence.estimate import Estimate
from lmia.evidence.inference import permutation_p
from lmia.evidence.share import share_by_effect, share_lower_bound


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
    assert (
        "of the groups' first pairs"
        in share_lower_bound(
            np.r_[np.zeros(20), np.full(80, 9.0)], np.zeros(100), np.r_[np.arange(20), np.arange(80) // 2 + 20]
        ).sentence()
    )
    assert not share_lower_bound([1.0, 2.0], [1.0], ["a", "b"], ["c"]).grouped
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


def test_the_estimate_covers_a_share_that_is_known():
    generator = np.random.default_rng(8)
    inside = 0
    for i in range(300):
        mine = generator.normal(size=300)
        mine[:90] += 0.8
        difference = permutation_p(mine, generator.normal(size=300), permutations=1, seed=i).difference
        found = share_by_effect(difference, 0.8)
        inside += found.share.low <= 0.3 <= found.share.high
    assert stats.binomtest(inside, 300, 0.95).pvalue > 0.01


def test_the_estimate_is_cut_to_a_share_and_says_what_is_odd():
    found = share_by_effect(Estimate(0.5, 0.4, 0.6, 0.95, "t", 9), 0.25)
    assert (found.share.low, found.share.value, found.share.high) == (1, 1, 1)
    assert found.ratio == 2
    assert "2 times that effect: it has another cause too, or the effect is larger" in found.sentence()
    none = share_by_effect(Estimate(-0.5, -0.6, -0.4, 0.95, "t", 9), 0.25)
    assert none.share.value == 0
    assert "as you measured" in none.sentence()
    for effect in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="no gain above 0"):
            share_by_effect(Estimate(0.5, 0.4, 0.6, 0.95, "t", 9), effect)
