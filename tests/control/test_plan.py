"""A control as asked for: what it refuses, and the study that makes it."""

import pytest

from lmia.control import Control, study
from lmia.errors import LmiaError
from lmia.source import Sample, Source
from lmia.specs import source


@pytest.mark.parametrize(
    "options",
    [
        *({"repeats": some} for some in ([], [0, 1], [2, 2], [4, 2])),
        *({"power": value} for value in (0, 1.1, float("nan"))),
        *({"alpha": value} for value in (0, 0.5, float("nan"))),
        {"planted": 0},
    ],
)
def test_what_is_out_of_range_is_said(options):
    with pytest.raises(LmiaError):
        Control(**options)


def test_too_few_pairs_are_told_with_how_many_are_needed():
    control = Control(repeats=[1, 8], planted=60)
    with pytest.raises(
        LmiaError, match=r"need 120 pairs in the training, and a share of 0.5 of 200 pairs is 100"
    ) as error:
        control.check_pairs(source("emoji:0:200"), 0.5)
    assert error.value.remedy == "Give 264 pairs or more, fewer --repeats, or --planted 45."
    control.check_pairs(source("emoji:0:240"), 0.5)
    control.check_pairs(source("emoji:0:200"), 0.6)
    with pytest.raises(LmiaError, match="of 50 pairs"):
        control.check_pairs(Sample(source("emoji:0:2000"), 50), 0.5)


def test_a_source_that_would_have_to_be_read_is_left_to_the_training():
    class Unread(Source):
        def shards(self):
            return ["one"]

        def read(self, shard):
            raise AssertionError("it is read")

        def fingerprint(self, shard):
            return ""

    Control().check_pairs(Unread(), 0.5)


def test_near_copies_are_left_out_unless_told():
    base = {"model": {"target": "demo,random"}}
    assert study(Control(), base, {}).fit["data"]["near_copies"] == 6
    assert study(Control(), {**base, "data": {"near_copies": None}}, {}).fit["data"]["near_copies"] is None
    assert "data" not in base


@pytest.mark.parametrize("name", ["levels", "planted"])
def test_levels_have_one_place(name):
    with pytest.raises(LmiaError, match=name):
        study(Control(), {"data": {name: 3}}, {})
