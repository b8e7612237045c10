import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from lmia.evidence.resampling import resample


def _plainly(members, nonmembers, groups, fpr, bootstraps, rng):
    """Resample groups in full and count: the definition."""
    found = []
    for _ in range(bootstraps):
        sides = []
        for scores, owners in zip((members, nonmembers), groups, strict=True):
            names = np.unique(owners)
            sides.append(np.concatenate([scores[owners == g] for g in rng.choice(names, len(names))]))
        x, y = sides
        best = 0.0
        for threshold in [np.inf, *np.unique(np.concatenate(sides))]:
            if (y >= threshold).sum() / len(y) <= fpr + 1e-12:
                best = max(best, (x >= threshold).mean())
        found.append(best)
    return np.array(found)


@pytest.mark.parametrize("clusters", [(40, 60), (12, 9), (3, 2)])
@pytest.mark.parametrize("ties", [False, True])
def test_groups_are_resampled_as_by_the_plain_loop(clusters, ties):
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(0.7, 1, 40), rng.normal(0, 1, 60)
    if ties:
        members, nonmembers = members.round(), nonmembers.round()
    groups = rng.integers(0, clusters[0], 40), rng.integers(0, clusters[1], 60)
    quick = resample(members, nonmembers, groups, 0.15, 1500, seed=1)
    slow = _plainly(members, nonmembers, groups, 0.15, 1500, rng)
    assert ks_2samp(quick, slow).statistic < 0.06  # 1 in 100 by chance alone


def _by_bayes(members, nonmembers, fpr, draws, rng):
    """Weigh the members, a hit and a miss at random (Rubin's Bayesian bootstrap), under a threshold that is resampled."""
    found, x = [], np.array([*members, np.inf, -np.inf])
    for _ in range(draws):
        y, weights = rng.choice(nonmembers, len(nonmembers)), rng.dirichlet(np.ones(len(x)))
        thresholds = [one for one in [np.inf, *members, *y] if (y >= one).mean() <= fpr + 1e-12]
        found.append(weights[x >= min(thresholds)].sum())
    return np.array(found)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shift", [-2.0, 1.0, 4.0])
def test_the_short_cut_for_independent_samples_is_a_plain_loop_too(ties, shift):
    rng = np.random.default_rng(2)
    members, nonmembers = rng.normal(shift, 1, 30), rng.normal(0, 1, 50)
    if ties:
        members, nonmembers = members.round(), nonmembers.round()
    quick = resample(members, nonmembers, None, 0.1, 1500, seed=3)
    slow = _by_bayes(members, nonmembers, 0.1, 1500, rng)
    assert ks_2samp(quick, slow).statistic < 0.06


def test_the_short_cut_and_the_groups_of_one_agree():
    rng = np.random.default_rng(4)
    members, nonmembers = rng.normal(1, 1, 3000), rng.normal(0, 1, 5000)
    short = resample(members, nonmembers, None, 0.01, 1500, seed=1)
    groups = resample(members, nonmembers, (np.arange(3000), np.arange(5000)), 0.01, 1500, seed=1)
    assert ks_2samp(short, groups).statistic < 0.06


def _weighted(members, nonmembers, groups, fpr, draws, rng):
    """Weigh every sample of both sides by how often its group was drawn."""
    found, orders = [], [np.argsort(-side) for side in (members, nonmembers)]
    x, y = members[orders[0]], nonmembers[orders[1]]
    for _ in range(draws):
        weights = []
        for owners, order in zip(groups, orders, strict=True):
            names, owned = np.unique(owners, return_inverse=True)
            weights.append(np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))[owned][order])
        threshold = y[np.argmax(weights[1].cumsum() > np.floor(weights[1].sum() * fpr + 1e-9))]
        found.append(weights[0][x > threshold].sum() / weights[0].sum())
    return np.array(found)


@pytest.mark.parametrize("fpr", [0.01, 0.3])
def test_what_is_drawn_near_the_threshold_is_as_if_all_were_drawn(fpr):
    """Ten thousand a side, a fifth of them copies: those far above the threshold and below it are drawn by kind."""
    rng = np.random.default_rng(7)
    members, nonmembers = rng.normal(0.3, 1, 10_000), rng.normal(0, 1, 10_000)
    groups = tuple(
        np.where(rng.random(10_000) < 0.2, rng.integers(0, 800, 10_000), np.arange(800, 10_800)) for _ in "ab"
    )
    quick = resample(members, nonmembers, groups, fpr, 1000, seed=1)
    slow = _weighted(members, nonmembers, groups, fpr, 1000, rng)
    assert ks_2samp(quick, slow).statistic < 0.073  # 1 in 100 by chance alone


def test_one_huge_group_moves_the_threshold_as_far_as_it_must():
    """Most nonmembers are one group: a resample holds it 0, 1, 2 ... times, and the threshold jumps."""
    nonmembers = np.concatenate([np.full(900, -5.0), np.arange(100.0)])
    owners = np.concatenate([np.zeros(900, dtype=np.int64), np.arange(1, 101)])
    found = resample(np.array([-1.0, 1000.0]), nonmembers, (np.arange(2), owners), 0.5, 500, seed=0)
    assert set(found) <= {0.0, 0.5, 1.0}
    assert found.std() > 0


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99), st.floats(0.01, 0.99))
@settings(max_examples=50)
def test_tiny_sides_give_shares(m, n, seed, fpr):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, m, m), rng.integers(0, n, n)
    for owners in (None, groups):
        found = resample(rng.integers(0, 3, m) * 1.0, rng.integers(0, 3, n) * 1.0, owners, fpr, 20, seed)
        assert found.shape == (20,)
        assert ((found >= 0) & (found <= 1)).all()
