"""A study's file: what it must say, and what is said about a mistake in it."""

import re

import pytest
import yaml

from lmia.errors import LmiaError
from lmia.study.plan import Study, made, read_study, shipped
from study.studies import BASE, study


def test_levels_are_words_and_the_rest_is_as_written():
    found = study(measure=["auc"], against={"factor": "repeats", "level": 2}, budget=5)
    assert list(found.vary["repeats"]) == ["2", "4"]
    assert found.against == {"factor": "repeats", "level": "2"}
    assert (found.name, found.seeds, found.budget, found.compared) == ("mine", [1, 2], 5, ["auc"])


@pytest.mark.parametrize(
    ("changes", "problem", "remedy"),
    [
        ({"titel": "x"}, "no key 'titel'", "Did you mean 'title'"),
        ({"question": None}, "lacks 'question'", "Give question"),
        ({"seeds": [1, 2, 1]}, "seed 1 is given twice", "made once"),
        ({"seeds": []}, "cannot be \\[\\]", "whole numbers"),
        ({"seeds": [True]}, "cannot be \\[True\\]", "whole numbers"),
        ({"seeds": 3}, "no list", "\\[ONE, TWO\\]"),
        ({"measure": ["auk"]}, "no measure 'auk'", "Did you mean 'auc'"),
        ({"measure": ["auc", "auc"]}, "asked for twice", "once"),
        ({"measure": ["tpr@2"]}, "no measure 'tpr@2'", "tpr@0.01"),
        ({"vary": {"seed": {"a": {}}}}, "cannot be called 'seed'", "column"),
        ({"vary": {"repeats": {}}}, "has no level", "one or more"),
        ({"vary": {"repeats": [1, 2]}}, "overrides nothing", "LEVEL"),
        ({"figure": {"x": "repeat", "y": "auc"}}, "no factor 'repeat'", "Did you mean 'repeats'"),
        ({"figure": {"x": "repeats", "y": "verdict"}}, "is a word", "Draw another"),
        ({"figure": {"x": "repeats", "y": "auc", "log": "z"}}, "cannot be 'z'", "xy"),
        ({"figure": {"x": "repeats", "y": "auc", "color": "attack"}}, "no key 'color'", "Did you mean 'colour'"),
        ({"figure": {"x": "repeats", "y": "auc", "at": {"repeats": 3}}}, "no level '3'", "Known: 2, 4"),
        ({"figure": {"x": "repeats", "y": "auc", "at": 3}}, "at holds no keys", "FACTOR"),
        ({"against": {"factor": "repeats", "level": 3}}, "no level '3'", "Known: 2, 4"),
        ({"laws": [{"x": "repeats", "y": "tpr@0.1"}]}, "no measure 'tpr@0.1'", "Known: auc"),
        (
            {"vary": {"repeats": {"many": {}}}, "laws": [{"x": "repeats", "y": "auc"}]},
            "level 'many'",
            "numbers above 0",
        ),
    ],
)
def test_a_mistake_is_two_lines(changes, problem, remedy):
    with pytest.raises(LmiaError, match=problem) as error:
        study(**changes)
    assert re.search(remedy, error.value.remedy)


def test_ones_own_file_is_read_and_a_missing_one_is_said(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(BASE))
    assert read_study(str(path)) == made("mine", BASE)
    assert isinstance(read_study(str(path)), Study)
    with pytest.raises(LmiaError, match="cannot be read"):
        read_study(str(tmp_path / "other.yaml"))
    path.write_text("a: [")
    with pytest.raises(LmiaError, match="is not YAML"):
        read_study(str(path))


def test_those_that_are_shipped_are_found_by_name():
    assert set(shipped()) == {"lambda", "corpora", "known", "views", "knowledge", "defences", "scaling", "repeats"}
    with pytest.raises(LmiaError, match="no study 'lamda'") as error:
        read_study("lamda")
    assert "Did you mean 'lambda'" in error.value.remedy
