import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evidence.cases import samples
from lmia.evidence.placements import covariance, place
from lmia.evidence.ranks import dense_ranks


def _by_hand(scores, labels, groups):
    """Return AUC and Obuchowski's three parts by the double loop of the definition."""
    x, y = scores[labels], scores[~labels]
    wins = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    area, m, n = wins.mean(), len(x), len(y)
    over, under = wins.mean(1) - area, wins.mean(0) - area
    gx, gy = groups[labels], groups[~labels]
    every = np.unique(groups)
    sx = np.array([over[gx == g].sum() for g in every])
    sy = np.array([under[gy == g].sum() for g in every])
    i10, i01, both = len(np.unique(gx)), len(np.unique(gy)), len(every)
    if min(i10, i01) < 2:
        return area, np.full(3, np.inf)
    parts = i10 / (i10 - 1) * (sx @ sx) / m**2, i01 / (i01 - 1) * (sy @ sy) / n**2
    return area, np.array([*parts, both / (both - 1) * 2 * (sx @ sy) / (m * n)])


@given(samples(), st.integers(1, 30), st.integers(0, 1000))
def test_area_and_variance_are_those_of_the_definition(case, groups, seed):
    scores, labels = case
    where = np.random.default_rng(seed).integers(0, groups, len(scores))
    placed = place(dense_ranks(scores), labels, torch.from_numpy(where))
    area, parts = _by_hand(scores.double().numpy(), labels.numpy(), where)
    assert placed.area == pytest.approx(area, abs=1e-12)
    assert covariance(placed, placed).numpy() == pytest.approx(parts, abs=1e-12)


def test_without_groups_it_is_delongs_variance():
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(50, generator=generator).round(decimals=1), torch.arange(50) % 3 == 0
    x, y = scores[labels].numpy(), scores[~labels].numpy()
    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    expected = wins.mean(1).var(ddof=1) / len(x) + wins.mean(0).var(ddof=1) / len(y)
    placed = place(dense_ranks(scores), labels)
    assert float(covariance(placed, placed).sum()) == pytest.approx(expected, rel=1e-12)


def test_every_sample_twice_leaves_the_clustered_variance_nearly_alone():
    """Doubling the data as groups of two gives no information: the same variance; taken as independent, half of it."""
    scores, labels = torch.randn(200, generator=torch.Generator().manual_seed(1)), torch.arange(200) % 2 == 0
    once = place(dense_ranks(scores), labels)
    ranks, twice = dense_ranks(scores.repeat(2)), labels.repeat(2)
    grouped = place(ranks, twice, torch.arange(200).repeat(2))
    alone = place(ranks, twice)
    variances = [float(covariance(p, p).sum()) for p in (once, grouped, alone)]
    assert variances[1] == pytest.approx(variances[0], rel=1e-9)
    assert variances[2] == pytest.approx(variances[0] / 2, rel=0.02)


def test_pairs_never_share_a_group():
    ranks, labels = torch.arange(8), torch.tensor([1, 0] * 4)
    assert place(ranks, labels).pairs == 4
    assert place(ranks, labels, torch.arange(8) // 2).pairs == 2  # 4 groups, each with a member and a nonmember
    assert place(ranks, labels, torch.tensor([0, 1, 0, 2, 0, 3, 0, 4])).pairs == 1
