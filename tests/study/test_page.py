"""What a person reads: everything from the study's file is escaped, nothing is left out in silence."""

import json

import pytest

from lmia.study import page
from report.test_html import Page
from study.studies import cells, study
from study.test_table import rows

EVIL = "<script>alert(1)</script> | [x](http://evil) & \x1b[31m"


@pytest.fixture
def written(tmp_path, monkeypatch):
    def write(found, **changes):
        monkeypatch.setattr(page, "rows", lambda *_: found)
        one = study(**changes)
        page.write_study(one, cells(), tmp_path, "lmia study mine.yaml")
        return tmp_path

    return write


def test_the_file_of_a_study_is_data(written):
    out = written(rows(failed=EVIL, status="did not run"), title=EVIL, question=EVIL, claim=EVIL, limits=[EVIL])
    text = (out / "index.html").read_text()
    told = Page(text)
    assert "script" not in told.tags
    assert "a" not in told.tags
    assert told.text.count("alert(1)") >= 4  # shown, as text
    assert "\x1b" not in text
    summary = (out / "summary.md").read_text()
    assert "<script>" not in summary
    assert "[x](http" not in summary


def test_a_page_says_what_was_asked_and_found(written):
    out = written(rows(), claim="Repeats leak.", laws=[{"x": "repeats", "y": "auc", "claim": 1}], limits=["Own limit."])
    told = Page((out / "index.html").read_text()).text
    for words in (
        "How often must a pair be shown?",
        "Repeats leak.",
        "0.65 sd 0.0707 [0.6, 0.7]",
        "evidence 1, none 1",
    ):
        assert words in told
    assert "Own limit." in told
    assert "small and drawn by a program" in told
    assert "lmia study mine.yaml" in told
    assert "Seeds: 1, 2." in told
    assert {path.name for path in out.iterdir()} == set(page.FILES)
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "Power laws" in (out / "summary.md").read_text()


def test_a_cell_without_a_number_is_named_with_its_reason(written):
    bad = {**rows()[0], "attack": "", "status": "failed", "auc": None, "failed": "It ran out of luck."}
    told = Page((written([bad, *rows()[1:]]) / "index.html").read_text()).text
    assert "repeats 2, seed 1: It ran out of luck." in told


@pytest.mark.parametrize(
    ("second", "said"),
    [("It has 3.", "seeds 1, 2: It has 3."), ("It has 4.", "seeds 1, 2 (in the words of seed 1): It has 3.")],
)
def test_seeds_of_several_reasons_are_not_told_as_one(written, second, said):
    bad = {**rows()[0], "attack": "", "status": "failed", "auc": None}
    found = [{**bad, "failed": "It has 3."}, {**bad, "seed": 2, "failed": second}, *rows()[2:]]
    assert f"repeats 2, {said}" in Page((written(found) / "index.html").read_text()).text


def test_a_law_is_fitted_for_each_attack(written):
    found = [
        {**row, "attack": name, "auc": float(row["repeats"]) ** b}
        for name, b in (("csa", 1), ("wsa", 2))
        for row in rows()
    ]
    lines = page.laws(study(laws=[{"x": "repeats", "y": "auc", "claim": 1}]), found)
    assert [(line["attack"], round(line["b"], 9), line["claimed b"]) for line in lines] == [
        ("csa", 1, 1),
        ("wsa", 2, 1),
    ]


def test_a_figure_may_be_of_one_level_alone(written):
    vary = {"repeats": {2: {}, 4: {}}, "form": {"a": {}, "b": {}}}
    found = [
        {**row, "form": form, "auc": row["auc"] / 10 if form == "b" else row["auc"]} for form in "ab" for row in rows()
    ]
    out = written(found, vary=vary, figure={"x": "repeats", "y": "auc", "at": {"form": "b"}})
    assert "mean 2: 0.065, 4: 0.0825" in (out / "figure.svg").read_text()
    assert "auc against repeats, at form b." in (out / "summary.md").read_text()


@pytest.mark.parametrize(
    ("up", "line"),
    [("auc", "The dashed line is guessing."), ("versus cosine", "The dashed line is the plain cosine."), ("gap", "")],
)
def test_the_dashed_line_is_named_for_what_it_is(written, up, line):
    found = [{**row, up: row["auc"] - 0.7} for row in rows()]
    text = (written(found, figure={"x": "repeats", "y": up}, measure=[up]) / "summary.md").read_text()
    assert line in text if line else "dashed" not in text


def test_the_same_rows_are_the_same_bytes(written):
    first = {path.name: path.read_bytes() for path in written(rows()).iterdir()}
    assert first == {path.name: path.read_bytes() for path in written(rows()).iterdir()}
    assert json.dumps(sorted(first)) == json.dumps(sorted(page.FILES))
