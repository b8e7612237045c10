"""What a study will take, before it starts."""

import json

import pytest

from lmia.study.cell import CELLS, TRAININGS
from lmia.study.outlay import outlay, shown
from study.studies import cells, study


def test_pairs_shown_are_the_members_repeats_and_epochs():
    assert shown(cells()[0].training) == (100 + 10 * (2 - 1)) * 2
    assert shown(cells()[2].training) == (100 + 10 * (4 - 1)) * 2


def test_without_a_rate_the_time_is_not_known(tmp_path):
    found = outlay(study(), cells(), tmp_path)
    assert (found.cells, found.trainings, found.cells_left, found.trainings_left) == (4, 4, 4, 4)
    assert found.minutes is None
    assert "not known" in found.said()[1]


def test_the_files_own_rate_and_budget_are_said_as_what_they_are(tmp_path):
    found = outlay(study(rate={"shown": 10, "audit": 30}, budget=7), cells(), tmp_path)
    assert found.minutes == pytest.approx((2 * (220 + 260) / 10 + 4 * 30) / 60)
    assert "which nobody has measured here" in found.said()[1]
    assert "7 minutes on two slow cores" in found.said()[2]


def test_what_was_measured_here_counts_more_and_what_is_done_not_at_all(tmp_path):
    first = cells()[0]
    place = tmp_path / TRAININGS / first.training.key
    place.mkdir(parents=True)
    (place / "training.json").write_text(json.dumps({"finished": True}))
    place.with_suffix(".json").write_text(json.dumps({"seconds": 11}))
    folder = tmp_path / CELLS / first.folder
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(json.dumps({"of": first.key, "seconds": 6}))
    found = outlay(study(rate={"shown": 1, "audit": 1}), cells(), tmp_path)
    assert (found.cells_left, found.trainings_left) == (3, 3)
    assert found.minutes == pytest.approx(((220 + 2 * 260) / 20 + 3 * 6) / 60)
    assert "measured here on 1 trainings and 1 audits" in found.said()[1]
