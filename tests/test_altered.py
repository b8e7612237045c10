import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia.altered import DEEPEST, LONGEST, differences
from lmia.stock import Parts

CONFIG = {
    "seed": 0,
    "fpr": None,
    "model": {"target": "Toy", "views": None},
    "plugin": [{"class_path": "WSA", "init_args": {"lam": 0.5, "words": []}}],
}
ONE = Parts(
    CONFIG,
    {"members": {"records": 2, "shards": ["a", "b"]}, "nonmembers": {"records": 1, "shards": ["c"]}},
    {"target": "t", "placebos": ["p"]},
    {"rule": "1", "ALPHA": 0.01, "text": "x"},
    {"lmia": "0.1.0"},
)


def said(**changes):
    return differences(ONE, dataclasses.replace(ONE, **changes))


def test_nothing_is_said_of_the_same():
    assert said() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 3}, "seed was 0, is 3"),
        ({"seed": False}, "seed was 0, is false"),
        ({"fpr": [0.1, 0.01]}, "fpr was null, is not set, fpr[0] was not set, is 0.1, fpr[1] was not set, is 0.01"),
        ({"model": {"target": "Toy"}}, "model.views was null, is not set"),
        ({"new": "x"}, 'new was not set, is "x"'),
        (
            {"plugin": [{"class_path": "WSA", "init_args": {"lam": 1.5, "words": []}}]},
            "plugin[0].init_args.lam was 0.5, is 1.5",
        ),
        ({"plugin": []}, 'plugin[0].class_path was "WSA", is not set, plugin[0].init_args.lam was 0.5, is not set, '
         "plugin[0].init_args.words was [], is not set, plugin was not set, is []"),
    ],
)  # fmt: skip
def test_settings_are_named_with_both_values(changes, words):
    assert said(config=CONFIG | changes) == [f"config: {words}"]


def test_what_cannot_be_seen_is_written_out():
    assert said(version={"lmia": "0.1.0", "a\nb\u202e": 1}) == ["version: a\\nb\\u202e was not set, is 1"]


def test_long_values_are_cut():
    (text,) = said(config=CONFIG | {"seed": "x" * 1000})
    assert text == f'config: seed was 0, is "{"x" * (LONGEST - 4)}...'


def test_a_value_hundreds_deep_is_shown_as_one():
    deep = 1
    for _ in range(600):
        deep = [deep]
    (text,) = said(config=CONFIG | {"seed": deep})
    assert (
        text == f"config: seed was 0, is not set, seed{'[0]' * (DEEPEST - 1)} was not set, is {'[' * (LONGEST - 3)}..."
    )


@pytest.mark.parametrize(
    ("role", "now", "words"),
    [
        ("members", {"records": 3, "shards": ["a", "b", "d"]}, "members (2 records, now 3)"),
        ("members", {"records": 2, "shards": ["b", "a"]}, "members (as many records, but others)"),
        ("pool", {"records": 3, "shards": ["a"]}, "pool (0 records, now 3)"),
        ("columns", {"file": "x"}, "columns (a file, and none)"),
    ],
)
def test_data_are_named_by_role(role, now, words):
    assert said(data={**ONE.data, role: now}) == [f"data: {words}"]


def test_a_file_of_columns_is_named():
    one, other = (dataclasses.replace(ONE, data={"columns": {"file": name}}) for name in "ab")
    assert differences(one, other) == ["data: columns (another file)"]


def test_a_role_that_is_gone_is_named():
    assert said(data={"members": ONE.data["members"]}) == ["data: nonmembers (1 records, now 0)"]


def test_models_rule_and_versions_are_named():
    assert said(weights={"target": "u", "placebos": []}) == ["weights: target, placebos"]
    assert said(rule={**ONE.rule, "text": "y"}) == ["rule: its text"]
    assert said(rule={**ONE.rule, "ALPHA": 0.05, "text": "y"}) == ["rule: ALPHA was 0.01, is 0.05, its text"]
    assert said(version={"lmia": "0.2.0"}) == ['version: lmia was "0.1.0", is "0.2.0"']


def test_every_part_that_differs_is_named_at_once():
    other = Parts({}, {}, {}, {}, {})
    assert [line.partition(":")[0] for line in differences(ONE, other)] == [
        "config",
        "data",
        "weights",
        "rule",
        "version",
    ]


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TREES = st.dictionaries(st.sampled_from(["a", "text", "records", "members"]), PLAIN, max_size=3)
PARTS = st.builds(Parts, TREES, TREES, TREES, TREES, TREES)


@settings(max_examples=50, deadline=None)
@given(PARTS, PARTS)
def test_something_is_said_just_where_a_digest_differs(one, other):
    names = [name for name in one.digests if one.digests[name] != other.digests[name]]
    assert [line.partition(":")[0] for line in differences(one, other)] == names
    assert differences(one, one) == []
