"""`lmia study`: what it lists, what it says beforehand, and a mistake in two lines."""

import pytest
import yaml

from lmia.commands.study import main
from lmia.errors import LmiaError
from lmia.study.plan import shipped
from study.studies import BASE


def test_without_a_name_it_lists_what_is_shipped(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == sorted(shipped())


def test_a_dry_run_says_what_it_takes_and_makes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**BASE, "budget": 3}))
    assert main(["mine.yaml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "4 cells of 4 trainings; to do: 4 cells, 4 trainings." in said
    assert "Budget: 3 minutes" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_study_that_fails_whole_is_a_mistake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = {**BASE["fit"], "data": {"source": "emoji:0:200", "share": 0.0001}}  # hardly a pair is drawn
    wrong = {**BASE, "seeds": [1], "fit": bad, "vary": {"x": {"a": {}}}, "figure": {"x": "x", "y": "auc"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(wrong))
    with pytest.raises(LmiaError, match="No cell could be made; 'x a, seed 1': 0 of the 200 pairs are in") as error:
        main(["mine.yaml"])
    assert "log.txt" in error.value.remedy
