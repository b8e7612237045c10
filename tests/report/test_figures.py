"""Figures: drawn, deterministic, escaped, and without anything from outside."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib
import pytest

from lmia.report import figures
from lmia.report.model import Adjusted, Baseline, Beside, Curve, Histogram, Validity
from report import examples

SVG, HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
DOUBTED = Validity(
    baselines=(
        Baseline("captions", examples.estimate(0.62, 0.05)),
        Baseline("metadata", None, "no url in any row"),
        Baseline("files", examples.estimate(0.55, 0.05)),
    ),
    besides=(
        Beside("untrained twin", "twin", "csa", "ran", "", examples.estimate(0.512, 0.02)),
        Beside("untrained twin", "twin", "aea", "nothing to learn", "The pool is empty."),
        Beside("an old model", "placebo", "csa", "ran", "", examples.estimate(0.47, 0.02)),
        Beside("another", "placebo", "csa", "ran", "", examples.estimate(0.53, 0.02)),
        Beside("another", "placebo", "aea", "ran", "", examples.estimate(0.58, 0.02)),
    ),
    strata_of="captions",
    adjusted=(
        Adjusted("csa", False, examples.estimate(0.894, 0.02), examples.estimate(0.81, 0.02), 0.0005),
        Adjusted("aea", False, examples.estimate(0.889, 0.02), examples.estimate(0.75, 0.02), 0.0005),
        Adjusted("anchor", True, examples.estimate(0.939, 0.02), None),
    ),
)
DRAWN = {
    "all pairs": [0.889, 0.894, 0.939],
    "pairs that look alike": [0.75, 0.81],
    "on the untrained twin": [0.512],
    "on a placebo": [0.47, 0.53, 0.58],
    "without the model": [0.55, 0.62],
}


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


def marks(svg):
    """What the legend's marks stand for, and at which AUCs each of them is drawn, by the ticks of the axis."""
    signs = [(use.get(HREF), float(use.get("x")), use.get("style")) for use in ET.fromstring(svg).iter(f"{SVG}use")]
    ticks = [x for _, x, style in signs if "fill" not in style]
    numbers = [float(text) for text in texts(svg) if text.replace(".", "", 1).isdigit()]
    unit = (ticks[-1] - ticks[0]) / (numbers[-1] - numbers[0])
    words = [text for text in texts(svg) if text in DRAWN]
    drawn = [(href + style, numbers[0] + (x - ticks[0]) / unit) for href, x, style in signs if "fill" in style]
    legend = {sign: word for word, (sign, _) in zip(words, drawn[-len(words) :], strict=True)}
    found = {word: [] for word in words}
    for sign, value in drawn[: -len(words)]:
        found[legend[sign]].append(round(value, 3))
    return {word: sorted(values) for word, values in found.items()}


def test_forest_draws_what_stands_against_each_attack_and_says_by_which_mark():
    svg = figures.forest(examples.leakage().attacks, DOUBTED)
    assert marks(svg) == DRAWN
    assert {"blind: captions", "blind: files", "0.620 [0.570, 0.670]"} <= set(texts(svg))
    assert "blind: metadata" not in texts(svg)


def test_forest_tells_the_marks_to_who_cannot_see_them():
    said = ET.fromstring(figures.forest(examples.leakage().attacks, DOUBTED)).get("aria-label")
    assert said.partition(": ")[2].rstrip(".").split("; ") == [
        "csa 0.894 [0.874, 0.914], pairs that look alike 0.810 [0.790, 0.830], on the untrained twin 0.512 [0.492, 0.532], "
        "on a placebo 0.470 [0.450, 0.490], on a placebo 0.530 [0.510, 0.550]",
        "aea 0.889 [0.869, 0.909], pairs that look alike 0.750 [0.730, 0.770], on a placebo 0.580 [0.560, 0.600]",
        "anchor 0.939 [0.919, 0.959]",
        "wsa nothing to learn",
        "blind: captions 0.620 [0.570, 0.670]",
        "blind: files 0.550 [0.500, 0.600]",
    ]


def test_forest_without_strata_draws_no_like_pairs():
    svg = figures.forest(examples.leakage().attacks, replace(DOUBTED, strata_of=""))
    assert marks(svg) == {word: values for word, values in DRAWN.items() if word != "pairs that look alike"}
    assert "look alike" not in svg


def test_forest_of_attacks_alone_needs_no_legend():
    assert not set(texts(figures.forest(examples.leakage().attacks, Validity()))) & set(DRAWN)


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
