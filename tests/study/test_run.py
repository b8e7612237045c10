"""A study from end to end: two audits of one training; broken off and gone on with; and what is no study's folder."""

import json
import subprocess
import sys

import pytest

from lmia.errors import LmiaError
from lmia.study import run, run_study
from lmia.study.cell import CELLS, finished
from lmia.study.page import FILES, write_study
from study.studies import cells, study

TABLES = ("table.csv", "table.parquet", "summary.csv", "laws.csv", "summary.md", "figure.svg", "figure.png")
WORLD = {
    "seeds": [1],
    "audit": {"plugin": ["csa"], "fpr": [0.2]},
    "vary": {"epoch": {1: {"kept": 1}, 2: {}}},
    "figure": {"x": "epoch", "y": "auc"},
    "measure": [
        *("auc", "gap", "auc repeated", "tpr@0.2", "tpr@0.2 repeated", "achieved fpr@0.2"),
        *("blind", "twin", "verdict", "recall", "epochs"),
    ],
}


def made(out):
    found = run_study(cells(**WORLD), out)
    write_study(study(**WORLD), cells(**WORLD), out, "lmia study mine")
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "whole"
    assert made(out).failed == {}
    return out


def row(out, number):
    head, *lines = (out / "table.csv").read_text().splitlines()
    return dict(zip(head.split(","), lines[number].split(","), strict=True))


def test_every_cell_has_its_report_and_its_row(whole):
    assert set(FILES) <= {path.name for path in whole.iterdir()}
    assert len(list((whole / "trainings").glob("*.json"))) == 1  # one training serves both
    for number, cell in enumerate(cells(**WORLD)):
        report = json.loads((whole / CELLS / cell.folder / "report.json").read_text())
        found = row(whole, number)
        assert float(found["auc"]) == pytest.approx(report["attacks"][0]["auc"]["value"], abs=1e-5)
        assert float(found["tpr@0.2"]) == pytest.approx(report["attacks"][0]["tprs"][0]["estimate"]["value"], abs=1e-5)
        achieved = report["attacks"][0]["thresholds"][0]["achieved_fpr"]["value"]
        assert float(found["achieved fpr@0.2"]) == pytest.approx(achieved, abs=1e-5)
        assert found["verdict"] == report["verdict"]["word"]
        assert (found["attack"], found["status"], found["epochs"]) == ("csa", "ran", str(number + 1))
        assert report["target"]["epochs"] == number + 1
        assert report["config"]["model"]["cache"] == str(whole / "cache")
        assert (
            0 <= float(found["auc repeated low"]) <= float(found["auc repeated"]) <= float(found["auc repeated high"])
        )
        assert float(found["gap low"]) < float(found["gap"]) < float(found["gap high"])


def test_the_repeated_are_the_members_shown_most_often(whole):
    import pyarrow.parquet as pq
    from sklearn.metrics import roc_auc_score

    from lmia.membership import read

    cell = cells(**WORLD)[1]
    known = read(whole / "trainings" / cell.training.key / "membership.parquet")
    often = dict(zip(known.keys, (known.repeats == 8).tolist(), strict=True))
    scores = pq.read_table(whole / CELLS / cell.folder / "scores.parquet").to_pylist()
    mine = [one for one in scores if one["model"] == "target" and one["attack"] == "csa"]
    kept = [one for one in mine if one["role"] == "nonmembers" or (one["role"] == "members" and often[one["key"]])]
    expected = roc_auc_score([one["role"] == "members" for one in kept], [one["score"] for one in kept])
    assert float(row(whole, 1)["auc repeated"]) == pytest.approx(expected, abs=1e-5)


def test_a_study_that_was_killed_goes_on_and_its_table_is_the_same(whole, tmp_path, monkeypatch):
    out, audited, train = tmp_path / "killed", [], run.train

    def killed(cell, folder):
        if len(audited) == 1:
            (folder / CELLS / cell.folder).mkdir(parents=True)
            (folder / CELLS / cell.folder / "cell.json").write_text('{"of": "to')
            raise KeyboardInterrupt
        audited.append(cell.name)
        original(cell, folder)

    original = run.audit
    monkeypatch.setattr(run, "audit", killed)
    with pytest.raises(KeyboardInterrupt):
        run_study(cells(**WORLD), out)
    assert [finished(cell, out) is not None for cell in cells(**WORLD)] == [True, False]
    monkeypatch.setattr(run, "audit", original)
    monkeypatch.setattr(run, "train", lambda *args: audited.append("trained") or train(*args))
    before = (out / CELLS / cells(**WORLD)[0].folder / "cell.json").stat().st_mtime_ns
    assert made(out).failed == {}
    assert (out / CELLS / cells(**WORLD)[0].folder / "cell.json").stat().st_mtime_ns == before
    for name in TABLES:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_processes_end_with_a_study_that_is_killed():
    """The pipe of their output ends when the last of them has: they would sleep for an hour."""
    words = "from time import sleep; from concurrent.futures import ProcessPoolExecutor as Pool; "
    words += "from multiprocessing import get_context; from lmia.study.run import _begin\n"
    words += "if __name__ == '__main__':\n pool = Pool(2, get_context('spawn'), initializer=_begin, initargs=(2,))\n"
    words += " pool.submit(print, 'here', flush=True).result(); [pool.submit(sleep, 3600) for _ in '12']; sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, text=True) as study:
        assert study.stdout.readline() == "here\n"
        study.kill()
        assert study.communicate(timeout=60)[0] == ""


def test_what_is_finished_is_not_made_again(whole, monkeypatch):
    monkeypatch.setattr(run, "train", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(run, "audit", lambda *_: pytest.fail("audited again"))
    assert made(whole).failed == {}


def test_a_mistake_is_a_cells_result_and_the_others_go_on(tmp_path, monkeypatch):
    def audit(cell, out):
        raise AssertionError("no cell can be audited without its training")

    def train(training, out):
        raise LmiaError("No luck.", "Try again.")

    monkeypatch.setattr(run, "audit", audit)
    monkeypatch.setattr(run, "train", train)
    found = run_study(cells(**WORLD), tmp_path / "out")
    assert found.failed == dict.fromkeys(["epoch 1, seed 1", "epoch 2, seed 1"], "No luck. Try again.")
    write_study(study(**WORLD), cells(**WORLD), tmp_path / "out", "lmia study mine")
    assert row(tmp_path / "out", 0) | {"seed": "1"} == row(tmp_path / "out", 0)
    assert row(tmp_path / "out", 0)["status"] == "failed"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(LmiaError, match="holds no study"):
        run_study(cells(**WORLD), tmp_path)
    with pytest.raises(LmiaError, match="is no folder"):
        run_study(cells(**WORLD), tmp_path / "thesis.doc")
    with pytest.raises(LmiaError, match="in 0 processes"):
        run_study(cells(**WORLD), tmp_path / "new", jobs=0)


@pytest.mark.slow
def test_two_processes_find_the_same(whole, tmp_path):
    run_study(cells(**WORLD), tmp_path / "two", jobs=2)
    write_study(study(**WORLD), cells(**WORLD), tmp_path / "two", "lmia study mine")
    assert (tmp_path / "two" / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()
