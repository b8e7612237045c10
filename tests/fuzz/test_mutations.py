"""Mutations: the same dice give the same input, and what is given stays as it is."""

import copy
import json
from random import Random

import pytest

from fuzz.mutations import EDITS, VALUES, long_text, mutated, mutated_tree, raw, text

DATA = bytes(range(256)) * 3
TREE = {"a": [1, {"b": None}], "c": "x", "d": {"e": {}}}


def test_the_same_dice_give_the_same_input():
    assert mutated(DATA, Random(3), [b"other"]) == mutated(DATA, Random(3), [b"other"])
    one, two = (json.dumps(mutated_tree(TREE, Random(5))) for _ in range(2))
    assert one == two


def test_other_dice_give_other_inputs():
    assert len({mutated(DATA, Random(i)) for i in range(200)}) > 190
    assert len({json.dumps(mutated_tree(TREE, Random(i))) for i in range(200)}) > 60


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_bytes_and_takes_none_to_change(edit):
    assert any(edit(DATA, Random(i)) != DATA for i in range(5))
    assert all(isinstance(edit(b"", Random(i)), bytes) for i in range(20))


def test_what_is_given_stays_as_it_is():
    tree, values = copy.deepcopy(TREE), copy.deepcopy(VALUES)
    for i in range(300):
        mutated_tree(mutated_tree(TREE, Random(i)), Random(-i))
    assert tree == TREE
    assert values == VALUES


def test_texts_hold_what_breaks_readers():
    drawn = "".join(text(Random(i)) for i in range(2000))
    assert all(sign in drawn for sign in "\0\x1b\ud800\udcff\u202e\ufeff\n")
    assert b"\xed\xa0\x80" in raw(drawn)
    assert {len(long_text(Random(i), 5000)) for i in range(20)} == {5000}
