"""CSV for people: nothing in it is a formula, whatever the data says, and numbers stay numbers."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hostile
from control.controls import made
from control.test_words import RISING
from lmia.control.outcome import Outcome
from lmia.control.page import rows as control_rows
from lmia.overlap.check import Copy, Found
from lmia.overlap.clean import copies_table
from lmia.overlap.pictures import Pictures
from lmia.report.spreadsheet import as_csv, text_cell
from lmia.study.table import as_csv as study_csv


def read(data):
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))


def test_the_detector_sees_what_a_plain_writer_leaves():
    """The tests below prove nothing if this fails."""
    assert hostile.formulas([hostile.SPREADSHEET]) == list(hostile.SPREADSHEET)
    assert hostile.formulas([["-0.5", "+3", "a=b", "", "1e-5"]]) == []


@pytest.mark.parametrize("text", hostile.PAYLOADS)
def test_no_text_is_a_formula_a_second_line_or_a_control(text):
    cells = read(as_csv([["head"], [text, "behind"]]))
    assert len(cells) == 2
    assert len(cells[1]) == 2
    assert hostile.formulas(cells) == []
    assert hostile.unseen("".join(cells[1])) == []


@given(st.text(st.characters()))
def test_any_text_is_one_cell_and_keeps_what_can_be_seen(text):
    ((cell,),) = read(as_csv([[text or "x"]]))
    assert hostile.formulas([[cell]]) == []
    if text.isprintable() and text and not text.lstrip().startswith(tuple("=+-@＝＋－＠")):  # noqa: RUF001
        assert cell == text


@pytest.mark.parametrize("text", ["-0.087", "+3", "1e-5", "-inf", "nan", "a=b", "a-b", "Grüße", "日本"])
def test_numbers_and_plain_text_stay_as_they_are(text):
    assert text_cell(text) == text


def test_the_table_of_a_study_holds_no_formula():
    row = {"repeats": "-2+3", hostile.SPREADSHEET[0]: "a", "attack": hostile.SPREADSHEET[1], "failed": hostile.ALL}
    cells = read(study_csv([{**row, "auc": -0.25}]))
    assert len(cells) == 2
    assert hostile.formulas(cells) == []
    assert cells[1][-1] == "-0.25"


def test_the_table_of_a_control_holds_no_formula():
    _, found, trained = made(RISING)
    odd = Outcome([replace(one, attack=hostile.SPREADSHEET[0]) for one in found.levels], found.power)
    cells = read(study_csv(control_rows(odd, trained)))
    assert len(cells) == 1 + len(found.levels)
    assert hostile.formulas(cells) == []


def test_the_list_of_copies_holds_no_formula():
    keys = hostile.PAYLOADS
    roles = {"members": Pictures(range(len(keys)), keys, keys, [], {})}
    copies = [Copy(i, "repeated", "sha256", 0, "") for i in range(1, len(keys))]
    found = Found(np.zeros(len(keys)), np.zeros(len(keys)), {}, {}, 0, None, {}, copies)
    cells = read(copies_table(roles, found))
    assert len(cells) == len(keys)
    assert hostile.formulas(cells) == []
