"""Arrangements: the few that there are, and drawn ones on either side of the number from which they are packed."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from lmia.evidence import permuting
from lmia.evidence.permuting import arranged, flipped, rearranged


def test_all_arrangements_are_there_once():
    table = np.random.default_rng(0).normal(size=(6, 2))
    found = np.concatenate(list(rearranged(table, 2, None)))
    expected = [table[list(chosen)].sum(0) for chosen in combinations(range(6), 2)]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("ours", [3, 40, 58])
def test_packed_or_not_arrangements_are_alike(ours, monkeypatch):
    """Sums of the same distribution, in chunks of any length, with the moments of draws without replacement."""
    table = np.random.default_rng(1).exponential(size=(61, 2))
    plain = np.concatenate(list(rearranged(table, ours, 4000, 1)))
    monkeypatch.setattr(permuting, "MANY", 1)
    monkeypatch.setattr(permuting, "_PACKED", 61 * 1111)
    parts = list(rearranged(table, ours, 4000, 2))
    packed = np.concatenate(parts)
    assert len(packed) == 4000
    assert len(parts) == 4
    for column in range(2):
        assert stats.ks_2samp(plain[:, column], packed[:, column]).pvalue > 0.001
        variance = table[:, column].var(ddof=1) * ours * (61 - ours) / 61
        assert packed[:, column].mean() == pytest.approx(
            ours * table[:, column].mean(), abs=4 * (variance / 4000) ** 0.5
        )
        assert packed[:, column].var() == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("many", [1, 10**9])
@pytest.mark.parametrize("sizes", [np.ones(50), np.repeat([1.0, 2.0, 7.0], [30, 15, 5]), np.arange(1.0, 51.0)])
def test_sums_of_clusters_of_any_size(sizes, many, monkeypatch):
    """Every arrangement's five sums belong together: those of one choice of clusters, found by their sums alone."""
    monkeypatch.setattr(permuting, "MANY", many)
    totals = 2.0 ** np.arange(50)  # so that S tells which clusters are in it
    found = np.concatenate(list(arranged(totals, sizes, 13, 300, 5)))
    table = np.stack([totals, sizes, totals**2, totals * sizes, sizes**2], 1)
    for row in found:
        inside = np.array([int(row[0]) >> i & 1 for i in range(50)], bool)
        assert inside.sum() == 13
        np.testing.assert_allclose(row, table[inside].sum(0), rtol=1e-12)
    every = np.concatenate(list(arranged(totals[:6], sizes[:6], 2, None)))
    assert len(every) == len(np.unique(every[:, 0])) == 15


def test_signs_are_flipped_all_ways_or_evenly():
    gaps = np.random.default_rng(2).normal(size=9)
    every = next(flipped(gaps, None))
    assert len(every) == 512
    assert every[0] == pytest.approx(gaps.sum())
    assert every[-1] == pytest.approx(-gaps.sum())
    drawn = np.concatenate(list(flipped(gaps, 20_000, 3)))
    assert stats.ks_2samp(drawn, every).pvalue > 0.001
    assert len(np.unique(drawn.round(9))) == len(np.unique(every.round(9)))
    many = np.concatenate(list(flipped(np.arange(1.0, 3001.0), 2000, 4)))
    assert many.std() == pytest.approx(np.sqrt((np.arange(1.0, 3001.0) ** 2).sum()), rel=0.06)
