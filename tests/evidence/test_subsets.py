"""Subsets eight rows to a byte: every one as likely as any other, and sums as a matrix product makes them."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from lmia.evidence.subsets import picked, subsets, sums


def unpacked(packed, rows):
    return np.unpackbits(packed, axis=0)[:rows].T.astype(bool)


@pytest.mark.parametrize(("rows", "size"), [(6, 3), (7, 2), (9, 4), (8, 7)])
def test_every_subset_is_as_likely_as_any_other(rows, size):
    every = {chosen: i for i, chosen in enumerate(combinations(range(rows), size))}
    times = 200 * len(every)
    found = unpacked(subsets(rows, size, times, np.random.default_rng(rows)), rows)
    counts = np.bincount([every[tuple(np.flatnonzero(one))] for one in found], minlength=len(every))
    assert counts.sum() == times
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("size", [0, 1, 30, 1000, 2020, 2053])
def test_subsets_have_their_size_and_treat_rows_alike(size):
    found = unpacked(subsets(2053, size, 400, np.random.default_rng(1)), 2053)
    assert (found.sum(1) == size).all()
    share = size / 2053
    if 0 < share < 1:
        spread = (found.sum(0) - 400 * share) / (400 * share * (1 - share)) ** 0.5
        assert abs(spread.mean()) < 1e-9
        assert spread.std() == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("rate", [1, 77, 128, 192, 255])
def test_rows_are_picked_on_their_own_at_the_rate(rate):
    packed = picked(21, 40_000, rate, np.random.default_rng(rate))
    found = unpacked(packed, 21)
    assert (np.bitwise_count(packed).sum(0) == found.sum(1)).all()  # nothing beyond the last row
    for column in found.T:
        assert stats.binomtest(int(column.sum()), 40_000, rate / 256).pvalue > 1e-4
    correlation = np.corrcoef(found.T) - np.eye(21)
    assert np.abs(correlation).max() < 0.03


@pytest.mark.parametrize("rows", [1, 8, 9, 2053, 5000])
@pytest.mark.parametrize("columns", [1, 5])
def test_sums_are_a_matrix_product(rows, columns):
    generator = np.random.default_rng(rows)
    table = generator.normal(size=(rows, columns))
    table[rows // 3 :, 2:4] = 0  # most of it needs no looking up
    packed = picked(rows, 7, 100, generator)
    np.testing.assert_allclose(sums(packed, table), unpacked(packed, rows) @ table, rtol=1e-12, atol=1e-12)


def test_the_seed_decides():
    one, two, other = (subsets(50, 20, 30, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (one == two).all()
    assert (one != other).any()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: picked(8, 1, 0, np.random.default_rng(0)), "a rate of 0 256ths"),
        (lambda: picked(8, 1, 256, np.random.default_rng(0)), "a rate of 256 256ths"),
        (lambda: subsets(8, 9, 1, np.random.default_rng(0)), "no subset of 9 out of 8"),
        (lambda: subsets(0, 0, 1, np.random.default_rng(0)), "no subset of 0 out of 0"),
        (lambda: sums(np.zeros((2, 1), np.uint8), np.zeros((8, 1))), "2 bytes are not of 8 rows"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
