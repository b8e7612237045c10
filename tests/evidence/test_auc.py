import time

import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from evidence.cases import binormal, samples
from lmia.errors import LmiaError
from lmia.evidence import auc
from lmia.evidence.auc import auroc, auroc_difference, p_above


@given(samples())
def test_the_value_is_scikit_learns(case):
    scores, labels = case
    found = auroc(scores, labels)
    assert found.value == pytest.approx(roc_auc_score(labels.numpy(), scores.double().numpy()), abs=1e-9)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert found.n == len(scores)


def test_scores_far_outside_the_unit_interval_are_not_taken_for_logits():
    """torchmetrics alone shows 0.5 here: the sigmoid of all of them is 1 in float32."""
    scores, labels = torch.arange(100.0) + 50, torch.arange(100) >= 50
    assert auroc(scores, labels).value == 1.0


def test_the_interval_is_delongs_on_the_logit_scale():
    scores, labels = binormal(torch.Generator().manual_seed(0), 300, 500, 1.0)
    x, y = scores[labels].numpy(), scores[~labels].numpy()
    wins = (x[:, None] > y).astype(float)
    area = wins.mean()
    error = np.sqrt(wins.mean(1).var(ddof=1) / 300 + wins.mean(0).var(ddof=1) / 500)
    ends = np.log(area / (1 - area)) + np.array([-1, 1]) * norm.ppf(0.95) * error / (area * (1 - area))
    found = auroc(scores, labels, confidence=0.9)
    assert found.method == "DeLong, logit scale"
    assert (found.low, found.high) == pytest.approx(tuple(1 / (1 + np.exp(-ends))), abs=1e-9)


def test_with_hardly_an_error_delongs_variance_is_steadied():
    """By numpy, with Hanley and McNeil's variance as they write it: Q1 and Q2."""
    m, n = 150, 250
    scores, labels = binormal(torch.Generator().manual_seed(1), m, n, 3.0)
    x, y = scores[labels].numpy(), scores[~labels].numpy()
    wins = (x[:, None] > y).astype(float)
    area, parts = wins.mean(), np.array([wins.mean(1).var(ddof=1) / m, wins.mean(0).var(ddof=1) / n])
    errors, size = m * (1 - area), (m + n) / 2
    assert 1 <= errors < 5
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    model = (area * (1 - area) + (size - 1) * (q1 + q2 - 2 * area**2)) / (m * n)
    variance = (errors * parts.sum() + model / 3) / (errors + 1 / 3)
    freedom = parts.sum() ** 2 / (parts**2 / [m - 1, n - 1]).sum()
    ends = np.log(area / (1 - area)) + t.ppf([0.025, 0.975], freedom) * np.sqrt(variance) / (area * (1 - area))
    found = auroc(scores, labels)
    assert found.method == "DeLong, logit scale, Student's t, steadied by Hanley and McNeil's variance"
    assert (found.low, found.high) == pytest.approx(tuple(1 / (1 + np.exp(-ends))), abs=1e-9)


@pytest.mark.parametrize("wrong", [1, 5, 100])
def test_with_less_than_one_error_a_models_variance_does_not_reach_down(wrong):
    """So many of 22,500 pairs the wrong way round; steadied on the logit scale the lower end of five was .75."""
    scores, labels = torch.arange(300.0), torch.arange(300) >= 150
    scores[150] -= wrong + 0.5
    found = auroc(scores, labels)
    assert found.value == pytest.approx(1 - wrong / 22_500)
    assert found.low > 0.94


@pytest.mark.parametrize("wide", [1.0, 3.0])
@pytest.mark.parametrize("truth", [0.5, 0.75, 0.95, 0.99])
def test_the_interval_of_60_a_side_covers(truth, wide):
    """Plain DeLong covers 90 % at .95 and 78 % at .99; 400 draws have a standard error of 1.1 % at 95 %."""
    generator = torch.Generator().manual_seed(7)
    shift = float(norm.ppf(truth)) * (1 + wide**2) ** 0.5
    found = [auroc(*binormal(generator, 60, 60, shift, wide)) for _ in range(400)]
    assert np.mean([e.low <= truth <= e.high for e in found]) >= 0.93


@pytest.mark.parametrize("truth", [0.75, 0.95])
def test_the_clustered_interval_covers_where_the_plain_one_does_not(truth):
    generator = torch.Generator().manual_seed(3)
    groups, hits = torch.arange(220).repeat_interleave(4), []
    for _ in range(300):
        scores, labels = binormal(generator, 110, 110, float(norm.ppf(truth)) * 2**0.5)
        case = scores.repeat_interleave(4), labels.repeat_interleave(4)
        both = auroc(*case, groups), auroc(*case)
        hits.append([e.low <= truth <= e.high for e in both])
    clustered, plain = np.mean(hits, 0)
    assert clustered >= 0.92
    assert plain < 0.80


@pytest.mark.parametrize(("sign", "ends"), [(1, (0.025 ** (1 / 60), 1.0)), (-1, (0.0, 1 - 0.025 ** (1 / 60)))])
def test_perfect_separation_has_an_exact_interval(sign, ends):
    found = auroc(sign * torch.arange(120.0), torch.arange(120) >= 60)
    assert found.value == (1 + sign) / 2
    assert (found.low, found.high) == pytest.approx(ends)
    assert found.method == "exact, from disjoint pairs"


def test_one_error_in_many_is_not_narrower_than_it_may_be():
    """One swapped pair of 60 + 60: plain DeLong would say 0.9956 and more, no error at all allows 0.94."""
    scores = torch.arange(120.0)
    scores[59], scores[60] = 60.0, 59.0
    assert auroc(scores, torch.arange(120) >= 60).low <= auroc(torch.arange(120.0), torch.arange(120) >= 60).low


@pytest.mark.parametrize("n", [1, 5, 500])
def test_a_constant_score_is_one_half_with_room(n):
    found = auroc(torch.zeros(2 * n), torch.arange(2 * n) < n)
    assert found.value == 0.5
    assert found.low < 0.5 < found.high


def test_one_sample_a_side_tells_nothing():
    found = auroc(torch.tensor([2.0, 1.0]), torch.tensor([1, 0]))
    assert (found.value, found.low, found.high) == (1.0, pytest.approx(0.025), 1.0)


def test_one_member_against_many_stays_wide():
    found = auroc(torch.arange(100.0), torch.arange(100) == 70)
    assert found.low < 0.1
    assert found.high > 0.9


@pytest.mark.parametrize("label", [0, 1])
def test_one_side_missing_is_a_sentence(label):
    with pytest.raises(LmiaError, match="members among the 3 scored pairs"):
        auroc(torch.arange(3.0), torch.full((3,), label))


def test_nan_is_counted():
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        auroc(torch.tensor([float("nan"), 1.0]), torch.tensor([0, 1]))


def test_a_disagreement_with_torchmetrics_is_an_error(monkeypatch):
    monkeypatch.setattr(auc, "binary_auroc", lambda *_, **__: torch.tensor(0.7))
    with pytest.raises(ArithmeticError, match=r"0\.5 by counting and 0\.69"):
        auroc(torch.zeros(4), torch.tensor([0, 1, 0, 1]))


@given(samples(smallest=2))
def test_scores_of_the_same_order_differ_by_exactly_nothing(case):
    scores, labels = case
    found = auroc_difference(scores, scores.double() * 4, labels)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_paired_difference_is_delongs():
    generator = torch.Generator().manual_seed(5)
    a, labels = binormal(generator, 200, 300, 1.0)
    b = a + torch.randn(500, generator=generator)
    x, y = ([s[side].numpy() for s in (a, b)] for side in (labels, ~labels))
    over, under = [], []
    for i in (0, 1):
        wins = (x[i][:, None] > y[i]).astype(float)
        over.append(wins.mean(1))
        under.append(wins.mean(0))
    error = np.sqrt((np.cov(over) / 200 + np.cov(under) / 300).ravel() @ [1, -1, -1, 1])
    value = over[0].mean() - over[1].mean()
    found = auroc_difference(a, b, labels)
    assert found.method == "paired DeLong"
    assert (found.value, found.low, found.high) == pytest.approx(
        (value, value - 1.959964 * error, value + 1.959964 * error), abs=1e-7
    )
    back = auroc_difference(b, a, labels)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-12)


@pytest.mark.parametrize(("first", "second", "noise"), [(0.75, 0.7, 0.3), (0.95, 0.9, 0.3), (0.99, 0.95, 0.1)])
def test_the_paired_interval_of_60_a_side_covers(first, second, noise):
    """The plain paired DeLong interval covers 88 % in the last case."""
    generator, hits = torch.Generator().manual_seed(11), []
    for _ in range(300):
        common = torch.randn(120, generator=generator) * (1 - noise) ** 0.5
        labels, scores = torch.arange(120) < 60, []
        for truth in (first, second):
            shift = float(norm.ppf(truth)) * 2**0.5
            scores.append(common + noise**0.5 * torch.randn(120, generator=generator) + shift * labels)
        found = auroc_difference(*scores, labels)
        hits.append(found.low <= first - second <= found.high)
    assert np.mean(hits) >= 0.92


def test_two_perfect_scores_may_still_differ():
    labels = torch.arange(200) >= 100
    a = torch.arange(200.0)
    found = auroc_difference(a, a.view(2, 100).flip(1).ravel(), labels)
    assert found.value == 0.0
    assert -0.06 < found.low < -0.01
    assert 0.01 < found.high < 0.06


def test_one_sample_a_side_allows_any_difference():
    found = auroc_difference(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 2.0]), torch.tensor([1, 0]))
    assert (found.value, found.low, found.high) == (1.0, -1.0, 1.0)


def test_groups_widen_the_difference():
    generator = torch.Generator().manual_seed(2)
    a, labels = binormal(generator, 150, 150, 1.0)
    b = a + torch.randn(300, generator=generator)
    case = [t.repeat_interleave(4) for t in (a, b, labels)]
    plain, clustered = auroc_difference(*case), auroc_difference(*case, torch.arange(300).repeat_interleave(4))
    assert clustered.high - clustered.low == pytest.approx(2 * (plain.high - plain.low), rel=0.02)
    assert clustered.method.endswith("clustered by duplicate group")


def test_27000_a_side_take_a_fraction_of_a_second():
    scores, labels = binormal(torch.Generator().manual_seed(0), 27_000, 27_000, 0.3)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        auroc(scores, labels)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


def test_the_p_value_of_an_interval_is_the_level_at_which_it_meets_one_half():
    random = np.random.default_rng(0)
    for shift in (-0.2, 0.05, 0.1, 0.3):
        scores, labels = (
            torch.from_numpy(np.r_[random.normal(shift, 1, 400), random.normal(0, 1, 500)]),
            torch.arange(900) < 400,
        )
        p = p_above(auroc(scores, labels))
        meets = auroc(scores, labels, confidence=abs(1 - 2 * p))
        assert (meets.low if p < 0.5 else meets.high) == pytest.approx(0.5, abs=1e-6)
        assert p_above(auroc(scores, labels), two_sided=True) == pytest.approx(2 * min(p, 1 - p))


def test_the_p_value_of_a_flawless_score_is_no_smaller_than_its_interval_allows():
    scores, labels = torch.arange(200.0), torch.arange(200) >= 100
    assert p_above(auroc(scores, labels)) == pytest.approx(0.025)
    assert p_above(auroc(-scores, labels)) == pytest.approx(0.975)
    assert p_above(auroc(torch.arange(4.0), torch.arange(4) >= 2)) == pytest.approx(0.5)
