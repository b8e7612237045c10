"""Texts of a column are a list's, whatever its chunks, and nobody's to change."""

from copy import deepcopy

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmia.texts import Texts, joined, taken

CHUNKS = st.lists(st.lists(st.text(max_size=3), max_size=4), max_size=4)


def texts(chunks):
    return Texts(pa.chunked_array(chunks, pa.string()))


@given(CHUNKS, st.data())
def test_they_are_as_a_list_of_them(chunks, data):
    plain = [text for chunk in chunks for text in chunk]
    found = texts(chunks)
    assert len(found) == len(plain)
    assert list(found) == [found[i] for i in range(len(plain))] == plain
    assert list(reversed(found)) == plain[::-1]
    part = slice(*data.draw(st.tuples(*[st.none() | st.integers(-9, 9)] * 2)))
    assert list(found[part]) == plain[part]
    if plain:
        rows = data.draw(st.lists(st.integers(0, len(plain) - 1), max_size=5))
        assert list(taken(found, rows)) == taken(plain, rows)
        assert found[-1] == plain[-1]
    assert list(joined([found, found[1:]])) == joined([plain, plain[1:]]) == list(joined([found, plain[1:]]))
    assert deepcopy(found) == found == plain


def test_there_is_no_text_behind_the_last():
    with pytest.raises(IndexError):
        texts([["a"]])[1]


def test_more_of_them_than_are_made_at_once():
    assert list(texts([["a", "b"] * 10_000])) == ["a", "b"] * 10_000


def test_two_are_equal_where_their_texts_are():
    assert texts([["a"], ["b"]]) == texts([["a", "b"]]) != ["a"]
    assert texts([["a"]]) != 1
    assert repr(texts([["a"] * 5])) == "Texts(['a', 'a', 'a'] ..., 5)"


def test_they_cannot_be_changed():
    found = texts([["a"]])
    with pytest.raises(TypeError):
        found[0] = "b"
