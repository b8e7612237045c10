"""The adjusted AUC against counting pairs by hand, and what it is for: a shift falls to 0.5, memory stays."""

import numpy as np
import pytest
import torch

from lmia.evidence.adjusted import adjusted_auroc, adjusted_difference, overlap, strata
from lmia.evidence.auc import auroc


def by_hand(scores, labels, where):
    won = pairs = 0.0
    for i in np.flatnonzero(labels):
        for j in np.flatnonzero(~labels & (where == where[i])):
            won += (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
            pairs += 1
    return won / pairs


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_counting_pairs_within_strata_gives(seed):
    random = np.random.default_rng(seed)
    labels, where = random.random(80) < 0.4, random.integers(0, 4, 80)
    scores = random.integers(0, 9, 80).astype(float)
    found = adjusted_auroc(torch.from_numpy(scores), torch.from_numpy(labels), torch.from_numpy(where))
    assert found.value == pytest.approx(by_hand(scores, labels, where), abs=1e-12)
    assert found.low <= found.value <= found.high


def test_one_stratum_is_the_plain_auc():
    random = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(500, generator=random), torch.arange(500) % 2 == 0
    one = adjusted_auroc(scores, labels, torch.zeros(500, dtype=torch.int64))
    plain = auroc(scores, labels)
    assert (one.value, one.low, one.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_a_shift_falls_to_one_half_and_memory_stays():
    random = np.random.default_rng(0)
    labels = np.arange(4000) % 2 == 0
    blind = random.normal(labels * 0.8)
    noise = random.normal(size=4000)
    where = strata(torch.from_numpy(blind), torch.from_numpy(labels))
    truth = torch.from_numpy(labels)
    shift = torch.from_numpy(blind + 0.3 * noise)
    memory = torch.from_numpy(labels * 0.8 + noise)
    assert auroc(shift, truth).low > 0.65
    assert abs(adjusted_auroc(shift, truth, where).value - 0.5) < 0.04
    assert adjusted_auroc(memory, truth, where).low > 0.65
    assert adjusted_difference(memory, shift, truth, where).low > 0.1
    same = adjusted_difference(shift, shift, truth, where)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_coverage_under_the_null_with_strata_of_unlike_size():
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        where = random.choice(5, 300, p=[0.4, 0.3, 0.15, 0.1, 0.05])
        labels = random.random(300) < np.array([0.2, 0.4, 0.5, 0.6, 0.8])[where]
        scores = random.normal(size=300) + where
        found = adjusted_auroc(*map(torch.from_numpy, (scores, labels, where)))
        hits += found.low <= 0.5 <= found.high
    assert 0.92 <= hits / 400 <= 0.985


def test_overlap_and_no_stratum_with_both_sides():
    labels = torch.tensor([True, True, False, False])
    apart, alike = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert (overlap(apart, labels), overlap(alike, labels)) == (0, 1)
    assert adjusted_auroc(torch.arange(4.0), labels, apart) is None


def test_ties_are_never_split():
    blind = torch.tensor([0.0] * 50 + [1.0] * 50)
    where = strata(blind, torch.arange(100) % 2 == 0)
    assert where.unique().tolist() == [0, 1]
    assert (where == blind.long()).all()
