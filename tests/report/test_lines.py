"""The figure of many runs."""

import xml.etree.ElementTree as ET

import pytest

from lmia.report.lines import Line, lines

RUNS = {"1": [0.5, 0.6], "10": [0.7, 0.8], "100": []}


@pytest.mark.parametrize("log", ["", "x", "y", "xy"])
def test_it_says_its_means_and_draws_every_run(log):
    drawn = lines([Line("csa", RUNS), Line("wsa", {"1": [0.4], "10": [0.9], "100": [0.9]})], "repeats", "auc", log, 0.5)
    root = ET.fromstring(drawn.svg)
    assert root.get("aria-label").startswith("auc against repeats, means over runs: csa 1: 0.55, 10: 0.75; wsa 1: 0.4")
    assert drawn.png.startswith(b"\x89PNG")
    assert "mathdefault" not in drawn.svg
    assert {"csa", "wsa", "repeats"} <= {text.strip() for text in root.itertext()}


def test_levels_that_are_words_stand_side_by_side_in_their_order():
    drawn = lines([Line("", {"none": [0.5], "<b>dp sgd</b>": [0.6]})], "defence", "auc")
    words = [text.strip() for text in ET.fromstring(drawn.svg).itertext() if text.strip()]
    assert words.index("none") < words.index("<b>dp")
    assert "<b>" not in drawn.svg


def test_nothing_to_draw_and_nothing_above_0_are_figures_too():
    for some in ([], [Line("a", {"1": [-1.0], "2": [0.0]})], [Line("a", {"0": [1.0], "2": [1.0]})]):
        assert ET.fromstring(lines(some, "x", "y", "xy").svg) is not None


def test_the_same_bytes_every_time():
    assert lines([Line("a", RUNS)], "x", "y") == lines([Line("a", RUNS)], "x", "y")
