from math import ceil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control, kstest

from evidence.cases import binormal
from lmia.errors import LmiaError
from lmia.evidence.conformal import benjamini_hochberg, conformal_p, conformal_threshold, deploy
from lmia.evidence.sides import one_each

SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=60)


@given(st.integers(1, 400), st.integers(1, 99))
def test_the_threshold_is_the_order_statistic_of_the_definition(m, percent):
    k = ceil((m + 1) * (100 - percent) / 100 - 1e-9)
    found = conformal_threshold(torch.randperm(m).bfloat16(), percent / 100)
    ordered = torch.arange(m).bfloat16()
    assert found == (float(ordered[k - 1]) if k <= m else None)


@pytest.mark.parametrize(("m", "fpr"), [(99, 0.01), (19, 0.05), (999, 0.001), (99, 0.42)])
def test_it_exists_from_one_over_fpr_minus_one_on(m, fpr):
    assert conformal_threshold(torch.arange(float(m)), fpr) is not None
    assert conformal_threshold(torch.arange(ceil(1 / fpr) - 2.0), fpr) is None
    assert conformal_threshold(torch.zeros(0), fpr) is None


def test_a_threshold_at_42_percent_of_99_is_the_58th():
    """(99 + 1)(1 - 0.42) is 58.00000000000001 in floating point, whose ceiling is 59."""
    assert conformal_threshold(torch.arange(1.0, 100.0), 0.42) == 58.0


@given(SCORES, SCORES)
def test_p_is_counted(scores, calibration):
    expected = [(1 + sum(c >= s for c in calibration)) / (len(calibration) + 1) for s in scores]
    found = conformal_p(torch.tensor(scores).bfloat16(), torch.tensor(calibration))
    assert found.tolist() == expected


def test_without_calibration_every_p_is_one():
    assert conformal_p(torch.tensor([3.0]), torch.zeros(0)).tolist() == [1.0]


@given(SCORES, st.sampled_from([0.05, 0.1, 0.25, 0.5]))
def test_threshold_and_p_agree(calibration, fpr):
    """Called a member if and only if p <= fpr."""
    scores = torch.arange(-5, 6).float()
    tau = conformal_threshold(torch.tensor(calibration), fpr)
    p = conformal_p(scores, torch.tensor(calibration))
    called = scores > tau if tau is not None else torch.zeros(11, dtype=torch.bool)
    assert torch.equal(called, p <= fpr + 1e-12)


@given(st.lists(st.floats(0, 1), max_size=50))
def test_q_is_scipys(p):
    found = benjamini_hochberg(torch.tensor(p, dtype=torch.float64))
    expected = false_discovery_control(p) if p else []
    assert found.tolist() == pytest.approx(list(expected), abs=1e-12)


@pytest.mark.parametrize("p", [[-0.1, 0.5], [0.5, 1.1]])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(ValueError, match=r"p-values must lie in \[0, 1\]"):
        benjamini_hochberg(torch.tensor(p))


@pytest.mark.parametrize("function", [conformal_p, lambda a, b: conformal_threshold(a, 0.1)])
def test_nan_is_counted(function):
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        function(torch.tensor([float("nan"), 0.0]), torch.zeros(3))


def test_an_attack_that_memorises_its_fit_set_still_keeps_its_promise():
    """200 seeds: 10 is added to the scores of whatever the attack was fitted on; calibration is disjoint from it."""
    fpr, achieved, wrongly = 0.05, [], []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        memorised, calibration = torch.randn(200, generator=generator) + 10, torch.randn(100, generator=generator)
        scores, labels = binormal(generator, 50, 400, 1.0)
        found = deploy(scores, labels, calibration, fpr)
        achieved.append(found.achieved_fpr.value)
        wrongly.append(deploy(scores, labels, memorised, fpr).achieved_fpr.value)
    error = np.std(achieved, ddof=1) / 200**0.5
    assert np.mean(achieved) <= fpr + 3 * error
    assert np.mean(achieved) >= 5 / 101 - 3 * error  # and no needless loss: floor(101 x 0.05) of 101
    assert abs(np.mean(wrongly) - fpr) > 10 * error


def test_p_values_are_uniform_under_the_null():
    """One suspect a seed, so that the 200 are independent; m + 1 = 200 p-values are possible."""
    p = []
    for seed in range(200):
        scores = torch.randn(200, generator=torch.Generator().manual_seed(seed))
        p.append(float(conformal_p(scores[:1], scores[1:])[0]))
    assert min(p) >= 1 / 200
    assert kstest(np.array(p) - 1 / 400, "uniform").pvalue > 0.01


def test_false_discoveries_stay_below_the_rate():
    """200 seeds, 10 of 60 suspects are members: the mean share of false discoveries at q <= 0.2."""
    wrong = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        scores, labels = binormal(generator, 10, 50, 4.0)
        found = benjamini_hochberg(conformal_p(scores, torch.randn(300, generator=generator))) <= 0.2
        wrong.append(int(found[~labels].sum()) / max(1, int(found.sum())))
    assert 0 < np.mean(wrong) <= 0.2


def test_the_achieved_rates_are_counted_with_exact_intervals():
    calibration = torch.arange(99.0)  # the threshold is 89
    scores = torch.tensor([89.0, 90.0, 95.0, 10.0, 91.0, 20.0, 30.0])
    found = deploy(scores, torch.tensor([1, 1, 1, 0, 0, 0, 0]), calibration, 0.1)
    assert (found.value, found.calibration, found.fpr, found.note) == (89.0, 99, 0.1, "")
    assert (found.achieved_tpr.value, found.achieved_fpr.value) == (2 / 3, 1 / 4)
    exact = binomtest(1, 4).proportion_ci(0.95, method="exact")
    assert (found.achieved_fpr.low, found.achieved_fpr.high) == pytest.approx((exact.low, exact.high))
    assert found.balanced_accuracy.value == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert found.balanced_accuracy.low < found.balanced_accuracy.value < found.balanced_accuracy.high


def test_too_small_a_calibration_set_is_said():
    found = deploy(torch.zeros(2), torch.tensor([0, 1]), torch.zeros(50), 0.01)
    assert (found.value, found.achieved_fpr, found.balanced_accuracy) == (None, None, None)
    assert found.note == "not possible: needs 99 calibration nonmembers, has 50"


def test_few_calibration_scores_above_the_threshold_carry_their_spread():
    note = deploy(torch.zeros(2), None, torch.arange(199.0), 0.01).note
    assert note == "199 calibration nonmembers keep the FPR on average; with these 199 it may be 0.0012 to 0.028 (95%)"


def test_suspects_and_one_sided_truth_have_no_rates_to_show():
    calibration = torch.arange(99.0)
    assert deploy(torch.zeros(3), None, calibration, 0.1).achieved_fpr is None
    alone = deploy(torch.zeros(3), torch.zeros(3), calibration, 0.1)
    assert alone.achieved_fpr.value == 0.0
    assert (alone.achieved_tpr, alone.balanced_accuracy) == (None, None)


def test_a_rate_out_of_bounds_is_refused():
    with pytest.raises(LmiaError, match="is not a false positive rate"):
        conformal_threshold(torch.zeros(9), 1.0)


def test_the_rates_achieved_on_duplicates_are_no_surer_for_them():
    scores, labels = torch.arange(40.0), torch.arange(40) >= 20
    once = deploy(scores, labels, torch.arange(99.0) / 4, 0.1)
    twice, groups = (part.repeat_interleave(5) for part in (scores, labels)), torch.arange(40).repeat_interleave(5)
    copied = deploy(*twice, torch.arange(99.0) / 4, 0.1, groups)
    assert copied.achieved_tpr.low == pytest.approx(once.achieved_tpr.low)
    assert copied.achieved_fpr.high == pytest.approx(once.achieved_fpr.high)


def test_copies_in_calibration_make_no_p_value_smaller_than_it_may_be():
    """A suspect that was not used, against a hundred pairs each of which is there ten times."""
    random, owner, alone = np.random.default_rng(3), torch.arange(1000) // 10, []
    for _ in range(3000):
        calibration, suspect = torch.from_numpy(random.normal(size=100))[owner], torch.from_numpy(random.normal(size=1))
        alone.append(float(conformal_p(suspect, calibration[one_each(owner, 1000)])))
    assert min(alone) == pytest.approx(1 / 101)
    assert np.mean(np.array(alone) <= 0.05) == pytest.approx(5 / 101, abs=0.012)


def test_whom_the_attack_that_names_the_most_names():
    """A hundred suspects of whom none was used, twelve attacks whose scores correlate by a half: how often somebody is named."""
    random, attacks = np.random.default_rng(7), 12
    named = {1: 0, attacks: 0}
    for _ in range(400):
        common = random.normal(size=4100)
        scores = torch.from_numpy(np.sqrt(0.5) * common + np.sqrt(0.5) * random.normal(size=(attacks, 4100)))
        q = [benjamini_hochberg(conformal_p(one[:100], one[100:])) for one in scores]
        for share in named:
            named[share] += any(bool((one <= 0.05 / share).any()) for one in q)
    print({f"q <= 0.05 / {share}": times / 400 for share, times in named.items()})
    assert named[1] > 4 * 0.05 * 400
    assert binomtest(named[attacks], 400, 0.05, "greater").pvalue > 0.01
