"""The studies that come with lmia: each of their cells resolves, and all of it fits its budget by its own rate."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lmia.commands.fit import request as fit_request
from lmia.report.visible import visible
from lmia.request import request as audit_request
from lmia.study import grid
from lmia.study.measures import MEASURES
from lmia.study.outlay import outlay
from lmia.study.plan import KEYS, made, read_study, shipped

LONGEST = 90  # minutes on two slow cores

by_name = pytest.mark.parametrize("name", sorted(shipped()))


@by_name
def test_every_cell_resolves_and_the_budget_holds(name, tmp_path):
    study = read_study(name)
    cells = grid(replace(study, seeds=study.seeds[:1]), fit_request, audit_request)
    once = outlay(study, cells, tmp_path)
    assert once.minutes * len(study.seeds) <= study.budget <= LONGEST
    assert len(study.seeds) >= 5


@by_name
def test_it_says_what_it_asks_and_what_it_speaks_to(name):
    study = read_study(name)
    assert study.title.endswith("?") or name == "scaling"
    for text in (study.question, study.claim, study.limits[0]):
        assert len(text) > 40
        assert visible(text) == text
    assert f"# Run: lmia study {name}\n" in shipped()[name].read_text()


def test_the_scaling_study_covers_a_decade_of_both():
    vary = read_study("scaling").vary
    for factor in ("N", "T"):
        levels = [float(level) for level in vary[factor]]
        assert max(levels) / min(levels) >= 10
        assert len(levels) >= 4


def test_lambdas_are_the_seven_that_the_published_code_declares():
    rules = list(read_study("lambda").vary["rule"])
    assert rules == ["csa", "-2.5", "-1.5", "-0.5", "0", "0.5", "1.5", "2.5", "auto"]


def test_repeats_are_powers_of_two():
    assert list(read_study("repeats").vary["repeats"]) == ["1", "2", "4", "8", "16", "32"]


def test_the_study_of_the_manual_is_a_study():
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text()
    told = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.S)[1])
    cells = grid(made("batch", told), fit_request, audit_request)
    assert len(cells) == 12
    assert len({cell.training.key for cell in cells}) == 6


def test_the_manual_names_every_study_measure_and_key():
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text()
    for name in [*shipped(), *MEASURES, *KEYS]:
        assert f"`{name}`" in page or f"\n{name}:" in page, name
