"""What a control leaves: numbers for programs, a table, a figure with every training, a page that escapes."""

import csv
import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from control.controls import made
from control.test_words import RISING
from lmia.control.figure import figure
from lmia.control.page import FILES, write_control
from lmia.control.summary import summary


@pytest.fixture
def left(tmp_path):
    control, found, trained = made(RISING)
    control = replace(control, out=tmp_path)
    write_control(control, found, replace(trained, source="<b>mine</b>"), "lmia control --source '<b>'")
    return tmp_path, control, found, trained


def test_it_leaves_all_files_and_the_same_bytes_again(left):
    out, control, found, trained = left
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    before = {name: (out / name).read_bytes() for name in FILES}
    write_control(control, found, replace(trained, source="<b>mine</b>"), "lmia control --source '<b>'")
    assert before == {name: (out / name).read_bytes() for name in FILES}


def test_json_holds_the_answer_and_every_number(left):
    told = json.loads((left[0] / "control.json").read_text())
    assert (told["found"], told["found_by"]) == (4, {"csa": 4})
    assert told["trainings_in_which"] == {"1": 0, "4": 3, "16": 3}
    assert told["headline"].endswith("at least 4 times.")
    assert [one["auc"]["value"] for one in told["levels"]] == [auc for row in RISING.values() for auc in row.values()]
    assert told["asked"] == {"repeats": [1, 4, 16], "planted": 40, "seeds": [0, 1, 2], "power": 0.9, "alpha": 0.01}


def test_table_has_a_row_a_level_and_training(left):
    rows = list(csv.DictReader(StringIO((left[0] / "table.csv").read_text())))
    assert len(rows) == 9
    assert rows[1]["found"] == "yes"
    assert float(rows[1]["auc low"]) == pytest.approx(0.55)
    assert float(rows[1]["tpr@0.1"]) == 0.65


def test_page_escapes_and_asks_for_nothing(left):
    page = (left[0] / "index.html").read_text()
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "default-src 'none'" in page
    assert "<svg" in page
    assert "src=" not in page
    assert "What this does not show" in page


def test_figure_draws_every_interval_and_says_it():
    drawn = figure(made(RISING)[1])
    assert drawn.png.startswith(b"\x89PNG")
    assert "csa, seed 2, 16 times: 0.900 [0.800, 1.000]" in drawn.svg
    assert "csa, seed 1" in drawn.svg


def test_a_level_without_a_number_is_drawn_and_told_as_such(tmp_path):
    control, found, trained = made({0: {1: None, 4: 0.9}})
    write_control(replace(control, out=tmp_path), found, trained, "lmia control")
    rows = list(csv.DictReader(StringIO((tmp_path / "table.csv").read_text())))
    assert (rows[0]["auc"], rows[0]["p"], rows[0]["found"]) == ("", "", "no")
    assert "seed 0, 1 times" not in figure(found).svg


def test_terminal_shows_line_table_and_sentence():
    control, found, trained = made(RISING)
    console = Console(file=StringIO(), width=100)
    console.print(summary(found, control, trained))
    said = console.file.getvalue()
    assert said.startswith("This audit would have found data repeated at least 4 times.")
    assert "csa 4 0.5 0.670 0.550 0.600 0.560 3 of 3" in " ".join(said.split())
    assert "Control: demo was trained on 600 pairs" in said
