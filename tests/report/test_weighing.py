"""From what is there and what is missing to a state."""

import pytest

from lmia.report.weighing import listed, parted, weighed


@pytest.mark.parametrize(
    ("have", "lack", "state", "said"),
    [
        (["a"], [], "done", "Given: a."),
        (["a"], ["b"], "partly", "Given: a. Not: b."),
        ([], ["b", "c"], "not done", "Not: b and c."),
        ([], [], "not done", "There is nothing to judge."),
    ],
)
def test_the_state_follows_from_what_is_missing(have, lack, state, said):
    assert weighed(have, lack, "Given: {}.", "Not: {}.") == (state, said)


def test_braces_in_the_data_are_text():
    assert weighed(["{}", "{0}"], ["{x}"], "Given: {}, of {}.", "Not: {}.") == (
        "partly",
        "Given: {} and {0}, of {}. Not: {x}.",
    )


def test_words_are_joined_and_parted():
    assert [listed(list("abcd"[:n])) for n in range(5)] == ["", "a", "a and b", "a, b and c", "a, b, c and d"]
    assert parted({"a": [0], "b": [], "c": 0.0, "d": "x"}) == (["a", "d"], ["b", "c"])
