import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_curve

from evidence.cases import binormal, samples
from lmia.errors import LmiaError
from lmia.evidence.tpr import TPRAtFPR, check_fprs, tpr_at_fpr

RATES = st.sampled_from([0.01, 0.05, 0.1, 0.3, 1 / 3, 0.5, 0.7, 0.9, 0.99])


def _by_hand(scores, labels, fpr):
    """Try every threshold, `score >= t`, and none at all: whole tie blocks, counts compared without rounding."""
    best = 0.0
    for threshold in set(scores.tolist()):
        called = scores >= threshold
        if int(called[~labels].sum()) / int((~labels).sum()) <= fpr:
            best = max(best, int(called[labels].sum()) / int(labels.sum()))
    return best


@given(samples(), RATES)
def test_it_is_the_best_of_all_thresholds(case, fpr):
    scores, labels = case
    metric = TPRAtFPR(fpr)
    metric.update(scores, labels)
    expected = _by_hand(scores.double(), labels, fpr)
    assert float(metric.compute()) == expected
    axis, rates, _ = roc_curve(labels.numpy(), scores.double().numpy(), drop_intermediate=False)
    assert expected == pytest.approx(rates[axis <= fpr].max(), abs=1e-6)


@given(samples(smallest=2), RATES, st.lists(st.integers(0, 80), max_size=6))
def test_every_split_into_batches_gives_the_same(case, fpr, cuts):
    scores, labels = case
    whole, parts = TPRAtFPR(fpr), TPRAtFPR(fpr)
    whole.update(scores, labels)
    edges = [0, *sorted(min(cut, len(scores)) for cut in cuts), len(scores)]
    for start, end in pairwise(edges):
        parts.update(scores[start:end], labels[start:end].long())
    assert torch.equal(whole.compute(), parts.compute())


def test_ties_count_against_the_attacker():
    """10 of 100 nonmembers may be called; the 11 best of them share one score with half of the members."""
    scores = torch.cat([torch.full((50,), 5.0), torch.full((50,), 1.0), torch.full((11,), 5.0), torch.zeros(89)])
    metric = TPRAtFPR(0.1)
    metric.update(scores, torch.arange(200) < 100)
    assert float(metric.compute()) == 0.0


def test_a_rate_that_counts_exactly_is_reached():
    """0.1 of 30 is 3 and 0.07 of 100 is 7, whatever floating point makes of the product."""
    for n, fpr, k in [(30, 0.1, 3), (100, 0.07, 7), (100, 0.29, 29), (1000, 0.001, 1)]:
        nonmembers = torch.arange(n).float()
        metric = TPRAtFPR(fpr)
        metric.update(torch.cat([nonmembers, nonmembers + 0.5]), torch.arange(2 * n) >= n)
        assert float(metric.compute()) == (k + 1) / n


def test_reset_forgets_and_nothing_seen_is_a_sentence():
    metric = TPRAtFPR(0.1)
    metric.update(torch.arange(4.0), torch.tensor([0, 0, 1, 1]))
    assert float(metric.compute()) == 1.0
    metric.reset()
    with pytest.warns(UserWarning, match="before"), pytest.raises(LmiaError, match="among the 0"):
        metric.compute()


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, 5.0, float("nan")])
def test_what_is_no_rate_is_refused(fpr):
    with pytest.raises(LmiaError, match="is not a false positive rate"):
        TPRAtFPR(fpr)


def test_a_batch_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="one vector each"):
        TPRAtFPR(0.1).update(torch.zeros(3), torch.zeros(2))


def test_nan_is_counted():
    metric = TPRAtFPR(0.1)
    metric.update(torch.tensor([float("nan"), 0.0]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        metric.compute()


WORKER = """
import sys, torch
from lmia.evidence import TPRAtFPR
rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
scores = torch.randn(301, generator=torch.Generator().manual_seed(0))
labels = torch.arange(301) % 3 == 0
part = slice(0, 100) if rank == 0 else slice(100, 301)
metric = TPRAtFPR(0.2)
metric.update(scores[part], labels[part])
print(float(metric.compute()))
torch.distributed.destroy_process_group()
"""


def test_two_processes_see_what_one_sees(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", WORKER]
    workers = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    printed = [worker.communicate(timeout=240)[0] for worker in workers]
    metric = TPRAtFPR(0.2)
    metric.update(torch.randn(301, generator=torch.Generator().manual_seed(0)), torch.arange(301) % 3 == 0)
    assert [float(line) for line in printed] == [float(metric.compute())] * 2


def test_the_estimate_is_the_metrics_with_its_population_rate():
    scores, labels = binormal(torch.Generator().manual_seed(0), 800, 2000, 1.5)
    found = tpr_at_fpr(scores, labels, 0.05)
    metric = TPRAtFPR(0.05)
    metric.update(scores, labels)
    assert found.estimate is not None
    assert found.estimate.value == float(metric.compute())
    assert found.estimate.low < found.estimate.value < found.estimate.high
    assert found.population_fpr == 101 / 2001
    assert found.note == ""


def test_the_population_rate_counts_false_positives_not_the_allowed_ones():
    """Of 40 allowed, the block of 30 tied nonmembers below the 20 best does not fit in."""
    nonmembers = torch.cat([torch.arange(20.0) + 10, torch.full((30,), 5.0), torch.arange(350.0) / 350])
    scores, labels = torch.cat([nonmembers, torch.full((10,), 7.0)]), torch.arange(410) >= 400
    found = tpr_at_fpr(scores, labels, 0.1)
    assert found.population_fpr == 21 / 401
    assert found.estimate is not None
    assert found.estimate.value == 1.0


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    case = binormal(torch.Generator().manual_seed(0), 500, 500, 1.0)
    assert tpr_at_fpr(*case, 0.1) == tpr_at_fpr(*case, 0.1)
    assert tpr_at_fpr(*case, 0.1) != tpr_at_fpr(*case, 0.1, seed=1)


@pytest.mark.parametrize(("n", "fpr", "shift"), [(1000, 0.01, 1.0), (500, 0.05, 3.0), (200, 0.1, 0.0)])
def test_the_interval_covers_the_populations(n, fpr, shift):
    truth, generator, hits = float(norm.sf(norm.isf(fpr) - shift)), torch.Generator().manual_seed(5), []
    for seed in range(200):
        found = tpr_at_fpr(*binormal(generator, n, n, shift), fpr, bootstraps=300, seed=seed).estimate
        hits.append(found.low <= truth <= found.high)
    assert np.mean(hits) >= 0.91


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_does_not_collapse_at_0_or_1(sign):
    found = tpr_at_fpr(sign * torch.arange(400.0), torch.arange(400) >= 200, 0.1).estimate
    assert found.value == (1 + sign) / 2
    assert found.high - found.low == pytest.approx(1 - 0.025 ** (1 / 200), abs=1e-6)


def test_too_few_nonmembers_are_a_note_or_where_asked_for_an_error():
    case = binormal(torch.Generator().manual_seed(0), 50, 500, 1.0)
    found = tpr_at_fpr(*case, 0.001)
    assert (found.estimate, found.population_fpr) == (None, None)
    assert found.note == "not estimable: needs 10000 nonmembers, has 500"
    with pytest.raises(LmiaError, match=r"FPR of 0\.001 .* needs 10000 nonmembers, has 500") as caught:
        tpr_at_fpr(*case, 0.001, asked=True)
    assert caught.value.remedy == "Give more nonmembers, or ask for an FPR of 0.02 or more."
    assert "fewer than 100" in tpr_at_fpr(*case, 0.02, asked=True).note


@pytest.mark.parametrize(("n", "fpr"), [(1000, 0.01), (10_000, 0.001), (100, 0.1), (3334, 0.003), (143, 0.07)])
def test_the_guard_stands_at_ten_false_positives(n, fpr):
    check_fprs([fpr], n, asked=True)
    with pytest.raises(LmiaError, match=f"needs {n} nonmembers, has {n - 1}"):
        check_fprs([0.5, fpr], n - 1, asked=True)
    check_fprs([fpr], n - 1, asked=False)


@pytest.mark.parametrize("asked", [True, False])
def test_no_rate_at_all_is_refused_before_the_model_pass(asked):
    with pytest.raises(LmiaError, match="10 is not a false positive rate"):
        check_fprs([10], 10**6, asked=asked)


@pytest.mark.parametrize("n", [0, 10, 11, 16, 30, 997])
def test_the_rate_that_the_error_offers_is_accepted(n):
    with pytest.raises(LmiaError) as caught:
        check_fprs([1e-6], n, asked=True)
    if n > 10:
        offered = float(caught.value.remedy.rpartition(" FPR of ")[2].split()[0])
        check_fprs([offered], n, asked=True)
    else:
        assert caught.value.remedy == "Give more nonmembers."


def test_nonmembers_in_groups_are_worth_the_groups():
    random = np.random.default_rng(0)
    scores, owner = torch.from_numpy(random.normal(size=1500)), torch.arange(1500)
    labels = torch.arange(1500) < 500
    owner[500:] = 500 + torch.arange(1000) // 10  # a hundred groups: the threshold would rest on one of them
    found = tpr_at_fpr(scores, labels, 0.01, owner)
    assert (found.estimate, found.population_fpr) == (None, None)
    assert found.note == "not estimable: needs 500 independent nonmembers, has 100 (1000 in groups)"
    owner[500:] = 500 + torch.arange(1000) // 2
    pairs = tpr_at_fpr(scores, labels, 0.01, owner)
    assert pairs.note.startswith("rests on 5 false positives at most")
    assert pairs.population_fpr == pytest.approx((5 + 1) / (500 + 1))


def test_a_rate_next_to_one_has_a_threshold():
    assert float(TPRAtFPR(1 - 1e-16)(torch.tensor([1.0, 2.0]), torch.tensor([1, 0]))) == 0.0
