import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from lmia.evidence.ties import across_ties
from lmia.evidence.tpr import tpr_at_fpr

RATES = st.sampled_from([0.01, 0.05, 0.1, 1 / 3, 0.5, 0.9])
STEPS = st.lists(st.integers(0, 5), min_size=20, max_size=200).map(lambda some: np.array(some, dtype=float))


def _by_hand(members, nonmembers, fpr):
    """Try every threshold on its own: two binomial tests say whether it may be the population's, at 1.25 % each."""
    n, m = len(nonmembers), len(members)
    lows, highs = [], []
    for at in [-np.inf, *np.unique(np.concatenate([members, nonmembers])), np.inf]:
        above, reached = int((nonmembers > at).sum()), int((nonmembers >= at).sum())
        passes = binomtest(above, n, fpr, alternative="greater").pvalue > 0.0125
        next_fails = binomtest(reached, n, fpr, alternative="less").pvalue > 0.0125
        if passes and (next_fails or at == -np.inf):
            hits = int((members > at).sum())
            lows.append(beta.ppf(0.0125, hits, m - hits + 1) if hits else 0.0)
            highs.append(beta.ppf(0.9875, hits + 1, m - hits) if hits < m else 1.0)
    return min(lows), max(highs)


@given(STEPS, STEPS, RATES)
def test_it_goes_over_every_threshold_that_two_binomial_tests_leave(members, nonmembers, fpr):
    found = across_ties(members, nonmembers, fpr, 0.95)
    if found is not None:
        assert found == pytest.approx(_by_hand(members, nonmembers, fpr), abs=1e-9)


def test_scores_without_ties_are_left_to_the_draws():
    scores = np.random.default_rng(0).normal(size=2000)
    assert across_ties(scores[:1000], scores[1000:], 0.01, 0.95) is None
    assert across_ties(scores[:1000], scores[1000:].round(1), 0.01, 0.95) is not None


def test_ties_far_from_the_threshold_do_not_matter():
    scores = np.random.default_rng(0).normal(size=2000)
    assert across_ties(scores[:1000], np.maximum(scores[1000:], 0), 0.01, 0.95) is None


def test_copies_of_one_another_are_no_ties():
    scores = np.random.default_rng(0).normal(size=600).repeat(5)
    owners = np.arange(600).repeat(5)
    groups = owners[:1500], owners[1500:]
    assert across_ties(scores[:1500], scores[1500:], 0.01, 0.95) is not None
    assert across_ties(scores[:1500], scores[1500:], 0.01, 0.95, groups) is None


@given(STEPS, STEPS, RATES, st.integers(2, 4))
def test_copies_count_once(members, nonmembers, fpr, copies):
    groups = np.arange(len(members)).repeat(copies), np.arange(len(nonmembers)).repeat(copies)
    found = across_ties(members.repeat(copies), nonmembers.repeat(copies), fpr, 0.95, groups)
    once = across_ties(members, nonmembers, fpr, 0.95)
    assert (found is None) == (once is None)
    if found is not None:
        assert found == pytest.approx(once, abs=1e-9)


def test_the_estimate_says_that_its_interval_is_over_ties():
    normal = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    scores = (normal + (torch.arange(2000) < 1000)).round(decimals=1)
    labels = torch.arange(2000) < 1000
    found = tpr_at_fpr(scores, labels, 0.05).estimate
    assert found.method == "binomial and Clopper-Pearson, over the thresholds that ties leave open"
    assert found == tpr_at_fpr(scores, labels, 0.05, seed=1).estimate
    grouped = tpr_at_fpr(scores, labels, 0.05, torch.arange(2000)).estimate
    assert grouped.low <= found.low < found.high <= grouped.high


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_ties(dtype):
    """Numbers like cosines: bfloat16 has steps wider than what chance moves the threshold by, float16 has not."""
    generator = torch.Generator().manual_seed(0)
    scores = (0.3 + 0.05 * torch.randn(20000, generator=generator)).to(dtype)
    found = tpr_at_fpr(scores, torch.arange(20000) < 10000, 0.01).estimate
    assert found.method.endswith("ties leave open") == (dtype == torch.bfloat16)
