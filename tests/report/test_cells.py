"""Numbers for people."""

import pytest

from lmia.evidence.estimate import Estimate
from lmia.report import cells

HALF = Estimate(0.5, 0.25, 0.75, 0.95, "m", 4)


@pytest.mark.parametrize("write", [cells.interval, cells.signed, cells.percent])
def test_nothing_is_a_dash_and_never_nan(write):
    assert write(None) == "-"


def test_each_form_keeps_the_interval():
    assert cells.interval(HALF) == "0.500 [0.250, 0.750]"
    assert cells.signed(HALF) == "+0.500 [+0.250, +0.750]"
    assert cells.percent(HALF) == "50.0 % [25.0, 75.0]"


@pytest.mark.parametrize(("share", "text"), [(0.1, "10 %"), (0.07, "7 %"), (0.0001, "0.01 %"), (1.0, "100 %")])
def test_rates(share, text):
    assert cells.rate(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (False, "no"),
        ("", "-"),
        ([], "-"),
        ({}, "-"),
        ({"a": [1, 2.5]}, "a: 1, 2.5"),
        ((), "-"),
        (1e-9, "1e-09"),
    ],
)
def test_scalars(value, text):
    assert cells.scalar(value) == text
