"""Figures: drawn, deterministic, escaped, and without anything from outside."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib
import pytest

from lmia.report import figures
from lmia.report.model import Curve, Histogram
from report import examples

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


def all_figures(report):
    yield figures.forest(report.attacks)
    yield figures.roc(report.attacks, 400)
    yield from (figures.histogram(a.name, a.histogram) for a in report.attacks if a.histogram)


def test_the_same_bytes_each_time_and_no_date():
    once, twice = (list(all_figures(examples.leakage())) for _ in range(2))
    assert once == twice
    assert not [svg for svg in once if "metadata" in svg or "date" in svg.lower() or "matplotlib" in svg.lower()]


def test_forest_has_a_row_for_every_attack_and_the_line_of_guessing():
    shown = texts(figures.forest(examples.leakage().attacks))
    assert {"csa", "aea", "anchor", "wsa", "nothing to learn", "0.939 [0.919, 0.959]"} <= set(shown)
    assert "AUC (0.5 = guessing)" in shown


def test_forest_of_one_that_is_certain_and_of_none():
    sure = examples.attack("csa", 0.99)
    sure = replace(sure, auc=replace(sure.auc, value=1.0, low=0.97, high=1.0))
    assert "1.000 [0.970, 1.000]" in texts(figures.forest([sure]))
    assert ET.fromstring(figures.forest([])).get("role") == "img"


@pytest.mark.parametrize(("n", "lowest"), [(0, "10 %"), (10, "10 %"), (11, "1 %"), (400, "0.1 %"), (10**7, "0.01 %")])
def test_roc_goes_no_lower_than_the_data_can_show(n, lowest):
    shown = texts(figures.roc(examples.leakage().attacks, n))
    ticks = [text for text in shown if text.endswith("%")]
    assert min(ticks, key=lambda text: float(text.split()[0])) == lowest
    assert {"csa", "aea", "anchor"} <= set(shown)


def test_roc_takes_zeros_and_many_attacks():
    flat = [examples.attack(f"a{i}", 0.6, curve=Curve((0.0, 0.0, 1.0), (0.0, 0.5, 1.0))) for i in range(30)]
    assert ET.fromstring(figures.roc(flat, 100)).get("role") == "img"
    assert figures.roc([], 100)


def test_histogram_leaves_empty_groups_out():
    svg = figures.histogram("csa", Histogram((0.0, 1.0, 2.0), {"members": (3, 1), "nonmembers": (0, 0)}))
    assert [text for text in texts(svg) if "members" in text] == ["members (4)"]
    assert "no scores" in figures.histogram("csa", Histogram((0.0, 1.0), {}))


def test_every_figure_speaks_and_asks_for_nothing():
    for svg in all_figures(examples.leakage()):
        root = ET.fromstring(svg)
        assert root.get("aria-label") == root.find(f"{SVG}title").text
        assert len(root.get("aria-label")) > 20
        assert root.get("width") is None
        assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
        assert not list(root.iter(f"{SVG}script"))


def test_ids_are_not_shared_between_figures_and_all_references_hold():
    seen = set()
    for svg in all_figures(examples.leakage()):
        root = ET.fromstring(svg)
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        for element in root.iter():
            for key, value in element.attrib.items():
                if key.endswith("href"):
                    assert value[1:] in ids
                if "url(#" in value:
                    assert value.split("url(#")[1].split(")")[0] in ids
    assert seen


@pytest.mark.parametrize("name", [examples.HOSTILE, "$x_1$", "日本語", "a" * 500, "😀", "$\\frac"])
def test_any_name_is_drawn_as_text(name):
    report = examples.leakage(attacks=(examples.attack(name, 0.7),))
    for svg in all_figures(report):
        ET.fromstring(svg)
        assert "<script" not in svg
        assert "\x1b" not in svg
        assert "\u202e" not in svg
        svg.encode("utf-8")


def test_the_users_matplotlib_settings_are_neither_used_nor_changed():
    plain = figures.forest(examples.leakage().attacks)
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        assert figures.forest(examples.leakage().attacks) == plain
        assert matplotlib.rcParams["font.size"] == 30
