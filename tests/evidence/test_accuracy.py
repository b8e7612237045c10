import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.stats import binomtest, kstwobign, norm

from evidence.cases import binormal, samples
from lmia.errors import LmiaError
from lmia.evidence.accuracy import balanced_accuracy, balanced_accuracy_best, rate, share


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 300), (7, 30), (27_000, 27_000)])
def test_a_rate_has_the_clopper_pearson_interval(k, n):
    exact = binomtest(k, n).proportion_ci(0.9, method="exact")
    found = rate(k, n, 0.9)
    assert (found.value, found.n, found.method, found.confidence) == (k / n, n, "Clopper-Pearson", 0.9)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 of 0"):
        rate(0, 0)


def test_balanced_accuracy_at_a_fixed_threshold_covers():
    rng, hits = np.random.default_rng(0), []
    for _ in range(500):
        found = balanced_accuracy(rate(rng.binomial(60, 0.9), 60), rate(rng.binomial(90, 0.05), 90))
        hits.append(found.low <= 0.925 <= found.high)
    assert np.mean(hits) >= 0.94


def test_balanced_accuracy_does_not_collapse_when_nothing_is_wrong():
    found = balanced_accuracy(rate(60, 60), rate(0, 60))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - (1 - 0.025 ** (1 / 60)) / 2**0.5)


@given(samples())
def test_the_best_is_the_best_of_all_thresholds(case):
    scores, labels = case
    values, truth = scores.double().numpy(), labels.numpy()
    called = values >= np.append(values, np.inf)[:, None]
    tried = (called[:, truth].mean(1) + 1 - called[:, ~truth].mean(1)) / 2
    found = balanced_accuracy_best(scores, labels)
    assert found.value == pytest.approx(max(tried), abs=1e-9)
    assert 0.5 <= found.low <= found.value <= found.high <= 1
    assert "optimistic" in found.method


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_the_band_pays_for_picking_the_threshold(shift):
    generator, truth, hits = torch.Generator().manual_seed(0), float(norm.cdf(shift / 2)), []
    for _ in range(200):
        found = balanced_accuracy_best(*binormal(generator, 150, 250, shift))
        hits.append(found.low <= truth <= found.high)
    assert np.mean(hits) >= 0.93


def test_the_band_is_kolmogorovs():
    found = balanced_accuracy_best(*binormal(torch.Generator().manual_seed(0), 1000, 1000, 1.0))
    assert found.high - found.value == pytest.approx(kstwobign.ppf(0.95) * (2 / 1000) ** 0.5 / 2)


def test_one_side_missing_is_a_sentence():
    with pytest.raises(LmiaError, match="no nonmembers among the 4"):
        balanced_accuracy_best(torch.arange(4.0), torch.ones(4))


def test_a_share_of_duplicates_covers_where_one_by_row_does_not():
    rng, by_group, by_row = np.random.default_rng(0), [], []
    groups = torch.arange(60).repeat_interleave(6)
    for _ in range(300):
        called = torch.from_numpy(rng.random(60) < 0.3)[groups]
        for hits, found in ((by_group, share(called, groups)), (by_row, share(called))):
            hits.append(found.low <= 0.3 <= found.high)
    assert np.mean(by_group) >= 0.95
    assert np.mean(by_row) < 0.7


def test_a_share_of_single_pairs_is_clopper_pearsons():
    called = torch.arange(10) < 3
    assert share(called, torch.arange(10)).low == pytest.approx(rate(3, 10).low) == share(called).low


def test_the_band_counts_duplicates_once():
    scores, labels = binormal(torch.Generator().manual_seed(0), 100, 100, 1.0)
    once, groups = balanced_accuracy_best(scores, labels), torch.arange(200).repeat_interleave(4)
    copied = balanced_accuracy_best(scores.repeat_interleave(4), labels.repeat_interleave(4), groups)
    assert (copied.value, copied.low, copied.high) == pytest.approx((once.value, once.low, once.high))
