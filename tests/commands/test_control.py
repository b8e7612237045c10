"""`lmia control` as one types it: flags, configs, mistakes, and small controls from end to end."""

import csv
import json
import re
import shlex
from collections import Counter
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
import yaml

from lmia.commands.control import START, guide, main, request
from lmia.control import smallest
from lmia.control.outcome import held
from lmia.control.page import RUNS, outcome
from lmia.errors import LmiaError
from lmia.membership import read
from lmia.registry import registry
from lmia.report.run import read_run
from lmia.study.cell import unfinished

SMALL = ["--model", "demo,random", "--source", "emoji:0:200", "--plugin", "csa", "--batch", "32", "--epochs", "2"]
TINY = [*SMALL, "--repeats", "1", "4", "--planted", "20", "--seeds", "3", "--watched", "20"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("control") / "c"
    with redirect_stderr(StringIO()):
        assert main([*TINY, "--fpr", "0.3", "--out", str(out)]) == 0
    return out


def test_levels_are_planted_and_audited(made):
    told = json.loads((made / "control.json").read_text())
    (training,) = [path for path in (made / RUNS / "trainings").iterdir() if path.is_dir()]
    known = read(training / "membership.parquet")
    times = Counter(known.repeats.tolist())
    assert times[4] == 20
    assert set(times) == {0, 1, 4}
    one, four = told["levels"]
    (cell,) = (made / RUNS / "cells").iterdir()
    rows = read_run(cell).attacks["csa"]
    assert four["members"] == int((rows.repeats == 4).sum()) > 0
    assert one["members"] == int((rows.repeats == 1).sum()) > 0
    assert one["nonmembers"] == int((rows.role == "nonmembers").sum())
    assert told["trained"]["pairs"] == {"3": int(known.inside.sum())}
    table = list(csv.DictReader((made / "table.csv").read_text().splitlines()))
    assert [row["repeats"] for row in table] == ["1", "4"]
    assert table[1]["tpr@0.3"]


def test_the_same_command_makes_nothing_twice_and_its_config_replays(made, capsys):
    before = {path: path.stat().st_mtime_ns for path in (made / RUNS).rglob("*") if path.name != "log.txt"}
    page = (made / "control.json").read_bytes()
    (made / "control.json").unlink()
    assert main(["--config", str(made / "config.yaml")]) == 0
    after = {path: path.stat().st_mtime_ns for path in (made / RUNS).rglob("*") if path.name != "log.txt"}
    assert {path for path in after if after[path] != before.get(path) and path.is_file()} <= {
        made / RUNS / "study.json"
    }
    assert (made / "control.json").read_bytes() == page
    said = capsys.readouterr().out
    assert said.startswith("This audit would ")
    assert said.rstrip().endswith("index.html")


def test_another_seed_goes_beside_the_finished_one(made):
    three, four = request([*TINY, "--fpr", "0.3", "--seeds", "3", "4", "--out", str(made)]).cells
    assert [cell.seed for cell in unfinished([three, four], made / RUNS)] == [4]


def test_flags_go_where_they_belong():
    words = ["--share", "0.4", "--lr", "1e-4", "--audit.confidence", "0.9", "--known-nonmembers", "emoji:5000:5100"]
    asked = request([*TINY, *words, "--plugin", "anchor", "--defence", "dropout"])
    fit, audit = asked.cells[0].training.config, asked.cells[0].audit
    assert (fit["data"]["share"], fit["model"]["plan"]["lr"], fit["seed"]) == (0.4, 1e-4, 3)
    assert fit["data"]["levels"] == [1, 4]
    assert fit["data"]["planted"] == 20
    assert ["dropout" in one["class_path"].lower() for one in fit["model"]["defence"]] == [True]
    assert (audit["confidence"], len(audit["plugin"])) == (0.9, 2)
    assert audit["data"]["known_nonmembers"]["init_args"] == {"indices": "5000:5100"}
    assert asked.control.repeats == [1, 4]


def test_every_seed_has_weights_of_its_own_unless_told():
    def seeds(words):
        return [cell.training.config["model"]["target"]["init_args"]["seed"] for cell in request(words).cells]

    assert seeds([*TINY, "--seeds", "3", "5"]) == [3, 5]
    assert seeds([*TINY, "--seeds", "3", "5", "--model.seed", "9"]) == [9, 9]


def test_a_printed_config_says_the_same(tmp_path, capsys):
    words = [*TINY, "--seeds", "3", "5", "--fpr", "0.1", "--near-copies", "2", "--out", str(tmp_path / "o")]
    assert main([*words, "--print_config"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(text)
    asked, again = request(words), request(["--config", str(tmp_path / "c.yaml")])
    assert [cell.key for cell in asked.cells] == [cell.key for cell in again.cells]
    assert asked.control == again.control
    assert yaml.safe_load(text)["repeats"] == [1, 4]
    assert not (tmp_path / "o").exists()
    fewer = request(["--config", str(tmp_path / "c.yaml"), "--repeats", "8", "--epochs", "3"])
    assert fewer.cells[0].training.config["data"]["levels"] == [8]
    assert fewer.cells[0].training.config["model"]["plan"]["epochs"] == 3


def test_help_teaches_every_option(capsys):
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.rstrip("\n") == guide().rstrip("\n")
    for word in (
        "--repeats",
        "--planted",
        "--seeds",
        "--power",
        "--alpha",
        "--share",
        "--epochs",
        "--near_copies",
        "--jobs",
    ):
        assert word in guide()
    assert "--repeated" not in guide()


@pytest.mark.parametrize(
    ("words", "about"),
    [
        ([], "No target is given"),
        ([*TINY, "--repeats", "4", "2"], "levels of repeats cannot be 4 2"),
        ([*TINY, "--repeats", "0"], "levels of repeats cannot be 0"),
        ([*TINY, "--repeats", "x"], "'repeats' of the control cannot be 'x'"),
        ([*TINY, "--planted", "90"], "need 180 pairs in the training, and a share of 0.5 of 200 pairs is 100"),
        ([*TINY, "--power", "2"], "power 2"),
        ([*TINY, "--alpha", "1"], "false alarm chance of 1"),
        ([*TINY, "--seeds", "1", "1"], "seed 1 is given twice"),
        ([*TINY, "--seed", "1"], "not how a control is seeded"),
        ([*TINY, "--levels", "1"], "not how a control plants repeats"),
        ([*TINY, "--repeated", "5"], "not how a control plants repeats"),
        ([*TINY, "--members", "emoji:0:9"], "says who was in"),
        ([*TINY, "--epohcs", "5"], "no option --epohcs"),
        ([*TINY, "--epochs", "0"], "'epochs' is 0"),
        ([*TINY, "--plugin", "prayer"], "No attack is called 'prayer'"),
        (SMALL[:4], "No attack is asked for"),
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_mistakes_are_said_before_anything_is_made(words, about, tmp_path):
    with pytest.raises(LmiaError) as error:
        main([*words, "--out", str(tmp_path / "o")])
    assert about in error.value.problem
    assert "cell" not in error.value.problem
    assert not (tmp_path / "o").exists()


def test_a_config_with_an_unknown_key_is_said(tmp_path):
    (tmp_path / "c.yaml").write_text("fit: {data: {levels: [2]}, model: {target: 'demo,random'}}\naudit: 3\n")
    with pytest.raises(LmiaError, match="'audit' holds no keys"):
        request(["--config", str(tmp_path / "c.yaml")])
    (tmp_path / "c.yaml").write_text("levels: [2]\n")
    with pytest.raises(LmiaError, match="no key 'levels'"):
        request(["--config", str(tmp_path / "c.yaml")])


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(LmiaError, match="holds no control"):
        main([*TINY, "--out", str(tmp_path)])
    with pytest.raises(LmiaError, match="is no folder"):
        main([*TINY, "--out", str(tmp_path / "thesis.tex")])


def test_a_training_that_cannot_be_made_is_a_mistake(tmp_path, capsys):
    """A share by lot can fall short of what the count promised."""
    tight = [*SMALL, "--repeats", "1", "4", "--planted", "50", "--seeds", "0", "--out", str(tmp_path / "o")]
    with pytest.raises(LmiaError, match="levels of 50 planted pairs each need 100 pairs in the training") as error:
        main(tight)
    assert "log.txt" in error.value.remedy
    assert not (tmp_path / "o" / "index.html").exists()


def test_a_target_that_cannot_be_trained_is_said(tmp_path, monkeypatch):
    cls = registry().get("target", request(TINY).cells[0].training.config["model"]["target"]["class_path"])
    monkeypatch.setattr(cls, "trainable", lambda self: None)
    with pytest.raises(LmiaError, match="cannot be trained"):
        main([*TINY, "--out", str(tmp_path / "o")])


PAGE = (Path(__file__).parents[2] / "docs" / "control.md").read_text()
COMMANDS = [
    line.partition(" ")[2]
    for text in (PAGE, START)
    for line in re.findall(r"^ *(lmia control -.*?)$", text.replace("\\\n", " "), re.M)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_and_of_the_help_parses(line):
    _, *words = shlex.split(line, comments=True)
    if words == ["--config", "lmia-control/config.yaml"]:
        pytest.skip("needs the config of a control; above one is replayed")
    assert request([word for word in words if word != "--print_config"]).cells


def test_there_are_commands_on_the_page():
    assert len(COMMANDS) >= 5


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_level_found_on_some_seeds_is_found_on_others(tmp_path):
    """The level is chosen on two seeds, and counted on three that had no part in choosing it."""
    small = ["--model", "demo,random", "--source", "emoji:0:700", "--plugin", "csa", "--repeats", "1", "12"]
    small += ["--planted", "60", "--epochs", "4", "--batch", "64"]
    chosen, fresh = (_levels([*small, "--seeds", *seeds, "--out", str(tmp_path / seeds[0])]) for seeds in ("01", "789"))
    k = smallest(chosen, 1.0)
    assert k is not None
    hits, trainings = held(fresh, k)
    print(f"level {k}, chosen on 2 trainings, is found in {hits} of {trainings} others")
    assert trainings == 3
    assert hits >= 2


@pytest.mark.slow
def test_a_training_that_learns_nothing_is_found_nowhere(tmp_path):
    """The whole path under the null: levels are planted, shown and audited, at a learning rate of 0."""
    words = ["--model", "demo,random", "--source", "emoji:0:500", "--plugin", "csa", "--repeats", "1", "8"]
    words += ["--planted", "60", "--epochs", "1", "--lr", "0", "--power", "0.5", "--seeds", "0", "1"]
    levels = _levels([*words, "--out", str(tmp_path / "o")])
    assert smallest(levels, 0.5) is None
    assert not any(one.found for one in levels)
    assert all(one.auc for one in levels)


def _levels(words):
    assert main(words) == 0
    asked = request(words)
    return outcome(asked.control, asked.cells).levels
