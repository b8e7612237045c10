import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lmia.evidence.adjusted import overlap
from lmia.evidence.baselines import Baseline
from lmia.evidence.comparison import STRATA, compare
from lmia.evidence.multiplicity import holm


def world(n, seed=0, shift=0.0):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2 == 0
    return random, labels, random.permutation(n) % 2 == 0, random.normal(shift * labels, 1)


def test_strata_never_cross_the_halves_and_hold_enough():
    _, labels, half, blind = world(1000)
    found = compare([Baseline("files", None, None, blind)], half, torch.from_numpy(labels))
    strata = found.strata.numpy()
    assert set(strata[~half]) == set(range(STRATA))
    assert set(strata[half]) == set(range(STRATA, 2 * STRATA))
    for side in (False, True):  # rising with the blind score
        for one in range(STRATA - 1):
            low, high = (blind[(strata == one + k + STRATA * side)] for k in (0, 1))
            assert low.max() <= high.min()


def test_the_baseline_that_tells_most_apart_is_taken():
    random, labels, half, blind = world(1000, shift=3.0)
    noise = Baseline("captions", None, None, random.normal(size=1000))
    found = compare([noise, Baseline("files", None, None, blind), noise], half, torch.from_numpy(labels))
    assert found.kind == "files"
    assert found.overlap == overlap(found.strata, torch.from_numpy(labels))
    assert found.overlap < 0.3


def test_a_score_that_is_the_shift_falls_to_guessing_and_memory_stays():
    random, labels, half, blind = world(6000, shift=1.0)
    like = compare([Baseline("files", None, None, blind)], half, torch.from_numpy(labels))
    shift, memory = torch.from_numpy(blind), torch.from_numpy(random.normal(labels, 1))
    assert roc_auc_score(labels, blind) > 0.74
    assert like.adjusted(shift).value == pytest.approx(0.5, abs=0.06)
    assert like.adjusted(memory).value == pytest.approx(0.76, abs=0.02)
    assert like.above(memory, shift).low > 0.1
    found = like.tested([memory, torch.from_numpy(random.normal(size=6000))])
    assert found.alone[0] < 0.001 < found.alone[1]
    assert found.method == "labels dealt anew within strata"


def test_clusters_that_cannot_trade_labels_are_tested_by_their_interval():
    random, n = np.random.default_rng(0), 4000
    groups = np.repeat(np.arange(n // 10), 10)
    labels = groups % 2 == 0
    half = groups % 4 < 2
    like = compare(
        [Baseline("files", None, None, random.normal(size=n))], half, torch.from_numpy(labels), torch.from_numpy(groups)
    )
    shoots = torch.from_numpy(random.normal(size=n // 10)[groups] + random.normal(size=n))
    memory = torch.from_numpy(random.normal(0.5 * labels, 1))
    found = like.tested([memory, shoots])
    assert found.method == "clustered interval, Holm"
    assert found.best[0] < 1e-6
    assert found.best[1] > 0.01
    assert found.best.tolist() == holm(found.alone).tolist()


def test_without_a_blind_score_nothing_is_adjusted():
    _, labels, half, score = world(200, shift=0.5)
    found = compare([Baseline("files", None, None, None, "too few")], half, torch.from_numpy(labels))
    assert (found.kind, found.overlap) == ("", None)
    assert found.adjusted(torch.from_numpy(score)).value == pytest.approx(roc_auc_score(labels, score))


def test_small_sides_get_few_strata():
    _, labels, half, blind = world(80)
    found = compare([Baseline("files", None, None, blind)], half, torch.from_numpy(labels))
    assert len(found.strata.unique()) == 8


@pytest.mark.parametrize("n", [40, 80, 200, 340, 2000])
def test_disjoint_sides_have_no_like_pairs(n):
    labels = torch.arange(n) < n // 2
    found = compare([Baseline("files", None, None, np.arange(float(n)))], np.arange(n) % 2 == 0, labels)
    assert found.overlap == 0
    assert found.adjusted(torch.arange(n)) is None
