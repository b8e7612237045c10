import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmia.errors import LmiaError
from lmia.evidence.sides import as_groups, as_labels, as_truth, distinct, independent, sides


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int64, torch.uint8])
def test_labels_of_any_integer_type_split_the_scores(dtype):
    members, nonmembers = sides(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1, 0, 1]).to(dtype))
    assert (members.tolist(), nonmembers.tolist()) == ([3.0, 2.0], [1.0])


@pytest.mark.parametrize(("label", "missing"), [(1, "no nonmembers among the 3"), (0, "no members among the 3")])
def test_a_missing_side_is_named(label, missing):
    with pytest.raises(LmiaError, match=missing):
        sides(torch.zeros(3), torch.full((3,), label))


def test_nothing_at_all_has_no_members():
    with pytest.raises(LmiaError, match="no members among the 0"):
        sides(torch.zeros(0), torch.zeros(0))


def test_a_label_besides_0_and_1_is_counted():
    with pytest.raises(ValueError, match="1 of 3 labels"):
        as_truth(torch.tensor([0, 1, 2]), 3)


def test_labels_and_scores_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"\(4,\), but have the shape \(3,\)"):
        as_truth(torch.tensor([0, 1, 0]), 4)


def test_one_kind_of_labels_may_be_checked_alone():
    assert as_labels(torch.tensor([1, 1]), 2).tolist() == [True, True]


def test_groups_are_numbered_and_default_to_singles():
    assert as_groups(torch.tensor([9, -2, 9, 4]), 4).tolist() == [2, 0, 2, 1]
    assert as_groups(None, 3).tolist() == [0, 1, 2]


@given(st.lists(st.integers(0, 12) | st.integers(-(2**62), 2**62), max_size=12))
def test_groups_are_numbered_in_order_whatever_their_names(names):
    found = as_groups(torch.tensor(names, dtype=torch.int64), len(names)).tolist()
    assert found == [sorted(set(names)).index(name) for name in names]
    assert distinct(torch.tensor(names, dtype=torch.int64)) == len(set(names))


@pytest.mark.parametrize("groups", [torch.zeros(3), torch.zeros(2, dtype=torch.int64)])
def test_groups_of_another_kind_are_refused(groups):
    with pytest.raises(ValueError, match="groups must be"):
        as_groups(groups, 3)


def test_grouped_samples_are_worth_as_many_as_kish_says():
    assert independent(torch.tensor([3, 3, 3, 8]), 4) == pytest.approx(16 / 10)
    assert independent(torch.arange(5), 5) == independent(None, 5) == 5
