from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmia.evidence.slicing import cut, slice_columns

NUMBERS = st.lists(st.one_of(st.none(), st.just(float("nan")), st.integers(-3, 3), st.floats(-1e6, 1e6)), max_size=40)
WORDS = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "", "other", "missing", "z"])), max_size=40)


@given(NUMBERS, st.integers(1, 6))
def test_numbers_rise_from_slice_to_slice_and_no_value_is_split(values, bins):
    found = cut("x", values, bins)
    assert found.codes.shape == (len(values),)
    assert sorted(set(found.codes.tolist())) == list(range(len(found.names)))
    there = [
        (value, code) for value, code in zip(values, found.codes, strict=True) if value is not None and value == value
    ]
    for value, code in there:
        for other, place in there:
            assert value < other or place <= code
            assert value != other or place == code
    assert len({code for _, code in there}) <= bins
    missing = len(values) - len(there)
    assert (found.names[-1:] == ("missing",)) == (missing > 0)
    if missing:
        assert (found.codes == len(found.names) - 1).sum() == missing


def test_distinct_numbers_are_cut_into_equal_parts():
    random = np.random.default_rng(0)
    found = cut("x", random.permutation(103).tolist())
    assert sorted(np.bincount(found.codes).tolist()) == [25, 26, 26, 26]
    assert (found.names[0], found.names[-1]) == ("0 to 25", "77 to 102")


def test_names_say_which_values_a_slice_holds():
    assert cut("x", [1_048_576, 640, 640, 640, 0.123456789], 3).names == ("0.123457", "640", "1,048,576")
    assert cut("x", np.array([5, 5, 5])).names == ("5",)
    assert cut("x", [float("-inf"), 0, float("inf")], 3).names == ("-inf", "0", "inf")


@given(WORDS, st.integers(1, 4))
def test_frequent_words_stand_alone_and_the_rest_together(values, words):
    found = cut("x", values, words=words)
    counted = Counter(value for value in values if value is not None)
    assert sorted(set(found.codes.tolist())) == list(range(len(found.names)))
    alone = {}
    for value, code in zip(values, found.codes.tolist(), strict=True):
        alone.setdefault(code, set()).add(value)
    assert all((None in held) == (len(held) == 1 and held == {None}) for held in alone.values())
    if len(counted) <= words + 1:
        assert all(len(held) == 1 for held in alone.values())
    else:
        single = [held for held in alone.values() if len(held) == 1 and held != {None}]
        assert len(single) == words
        kept = {word for held in single for word in held}
        assert min(counted[word] for word in kept) >= max(counted[word] for word in counted if word not in kept)
        assert f"other ({len(counted) - words} different)" in found.names


def test_a_tie_of_words_goes_by_the_alphabet():
    assert cut("x", ["b", "a", "c", "b", "a", "d"], words=1).names == ("a", "other (3 different)")


def test_numpy_columns_are_columns():
    assert cut("x", np.array(["a", "b", "a"])).codes.tolist() == [0, 1, 0]
    assert cut("x", np.array([1.0, np.nan])).names == ("1", "missing")


@pytest.mark.parametrize("values", [[], [None, None]])
def test_nothing_known_is_one_slice_at_most(values):
    assert cut("x", values).names == (("missing",) if values else ())


@pytest.mark.parametrize(
    ("values", "settings", "said"),
    [(["a", 1], {}, "x holds 1 words among 1 numbers"), ([1], {"bins": 0}, "0 bins"), (["a"], {"words": 0}, "0 words")],
)
def test_what_cannot_be_cut_is_refused(values, settings, said):
    with pytest.raises(ValueError, match=said):
        cut("x", values, **settings)


ROW = {"caption": "a  red dot", "width": 4, "height": 3, "bytes": 90, "format": "PNG", "url": "https://A.org:443/1"}


def test_columns_of_facts():
    rows = [
        ROW,
        ROW | {"caption": "one", "url": ""},
        ROW | {"format": "JPEG", "url": "http://[broken", "height": 9_000_000},
        ROW | {"url": "a/b"},
    ]
    found = slice_columns(pa.Table.from_pylist(rows), np.array([7, 2, 7, 7]))
    assert found == {
        "words in the caption": [3, 1, 3, 3],
        "script": ["LATIN"] * 4,
        "pixels": [12, 12, 36_000_000, 12],
        "bytes": [90] * 4,
        "format": ["PNG", "PNG", "JPEG", "PNG"],
        "host": ["a.org", None, "no host", "no host"],
        "copies": [3, 1, 3, 3],
    }


@pytest.mark.parametrize(
    ("caption", "script"),
    [
        ("a café", "LATIN"),
        ("Кот and кошка", "CYRILLIC"),
        ("猫の写真", "CJK"),
        ("ねこ 2", "HIRAGANA"),
        ("قطة", "ARABIC"),
        ("12 :-) 😀", None),
        ("é猫", "LATIN"),
        ("\U000e0001 \ue000", None),
    ],
)
def test_the_script_is_that_of_most_letters(caption, script):
    assert slice_columns(pa.Table.from_pylist([ROW | {"caption": caption}]), np.zeros(1, int))["script"] == [script]


def test_nulls_are_missing_not_guessed():
    table = pa.Table.from_pylist([ROW, dict.fromkeys(ROW)])
    found = slice_columns(table, np.array([0, 1]))
    assert [column[1] for column in found.values()] == [None] * 6 + [1]


def test_a_table_without_its_columns_is_refused():
    with pytest.raises(ValueError, match="no column width, url"):
        slice_columns(pa.table({name: [1] for name in ROW if name not in ("width", "url")}), np.zeros(1, int))
    with pytest.raises(ValueError, match=r"\(2,\) groups for 1 rows"):
        slice_columns(pa.Table.from_pylist([ROW]), np.zeros(2, int))


def test_an_empty_table_has_empty_columns():
    table = pa.Table.from_pylist([ROW])[:0]
    assert set(map(len, slice_columns(table, np.zeros(0, np.int64)).values())) == {0}
