import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmia.evidence.bins import histogram

VALUES = st.lists(st.floats(-1e6, 1e6, width=32), max_size=30)


@given(VALUES, VALUES, st.integers(1, 70))
def test_no_score_is_lost_and_all_groups_share_the_bins(members, nonmembers, bins):
    if not members + nonmembers:
        return
    found = histogram({"members": torch.tensor(members), "nonmembers": torch.tensor(nonmembers)}, bins)
    assert [sum(counts) for counts in found.counts.values()] == [len(members), len(nonmembers)]
    assert len(found.edges) == bins + 1
    assert all(len(counts) == bins for counts in found.counts.values())
    assert list(found.edges) == sorted(found.edges)


def test_counts_are_numpys():
    scores = torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = histogram({"suspects": scores})
    counts, edges = np.histogram(scores.numpy(), 60)
    assert found.counts["suspects"] == tuple(counts)
    assert found.edges == pytest.approx(edges)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e12, 1e-30])
def test_equal_scores_fall_into_one_bin(value):
    found = histogram({"members": torch.full((4,), value, dtype=torch.float64)}, bins=5)
    assert sorted(found.counts["members"]) == [0, 0, 0, 0, 4]
    assert found.edges[0] < value < found.edges[-1]


def test_bfloat16_is_taken():
    assert histogram({"a": torch.tensor([1.0, 2.0]).bfloat16()}, bins=2).counts == {"a": (1, 1)}


@pytest.mark.parametrize(("groups", "bins"), [({}, 60), ({"a": torch.zeros(0)}, 60), ({"a": torch.zeros(1)}, 0)])
def test_nothing_to_draw_is_refused(groups, bins):
    with pytest.raises(ValueError, match="cannot draw"):
        histogram(groups, bins)


def test_nan_is_counted():
    with pytest.raises(ValueError, match="1 of 1 scores are NaN"):
        histogram({"a": torch.tensor([float("nan")])})
