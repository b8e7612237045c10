import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.stats import rankdata

from evidence.cases import samples
from lmia.evidence.ranks import as_finite, as_ranks, dense_ranks


@given(samples())
def test_ranks_are_scipys_dense_ranks_in_the_unit_interval(case):
    scores, _ = case
    expected = rankdata(scores.double().numpy(), method="dense") - 1
    assert dense_ranks(scores).tolist() == expected.tolist()
    assert np.allclose(as_ranks(scores).numpy(), expected / max(expected.max(), 1), atol=0, rtol=1e-15)
    assert as_ranks(scores).dtype == torch.float64


def test_twenty_million_distinct_scores_stay_distinct_but_not_in_float32():
    k = 20_000_000
    ranks = torch.arange(k - 1000, k).double() / (k - 1)
    assert bool((ranks[1:] > ranks[:-1]).all())
    assert not bool((ranks.float()[1:] > ranks.float()[:-1]).all())


def test_float64_scores_that_float32_would_tie_stay_apart():
    assert as_ranks(torch.tensor([1.0, 1.0 + 1e-12], dtype=torch.float64)).tolist() == [0.0, 1.0]


def test_zero_and_minus_zero_are_one_value():
    assert as_ranks(torch.tensor([0.0, -0.0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("scores", [[], [5.0], [5.0, 5.0, 5.0]])
def test_nothing_one_and_all_equal_rank_zero(scores):
    assert as_ranks(torch.tensor(scores)).tolist() == [0.0] * len(scores)


@pytest.mark.parametrize("function", [as_finite, dense_ranks, as_ranks])
def test_what_is_not_finite_is_counted_in_the_error(function):
    with pytest.raises(ValueError, match="2 of 4 scores are NaN and 1 are infinite"):
        function(torch.tensor([1.0, float("nan"), float("inf"), float("nan")]))


def test_a_matrix_is_refused_with_its_shape():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        as_ranks(torch.zeros(2, 3))


def test_scores_that_need_gradients_are_taken():
    assert as_ranks(torch.tensor([2.0, 1.0], requires_grad=True)).tolist() == [1.0, 0.0]
