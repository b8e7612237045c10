"""No input breaks a reader: a hundred of each in every run of the tests, ten thousand as a proof (`make fuzz`)."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.contract import Outcome, fuzz, judge
from fuzz.readers import READERS

LIGHT = ("tar", "table", "images", "membership", "key")


def said(found):
    return "\n\n".join(f"input {number}: {what[-1500:]}" for number, what in list(found.broken.items())[:5])


@pytest.mark.parametrize("name", READERS)
def test_no_input_breaks_a_reader(name, tmp_path):
    reader = READERS[name]
    found = fuzz(name, reader.feed, tmp_path / "input", range(reader.few))
    assert not found.broken, said(found)
    assert found.inputs == reader.few
    assert found.refused + found.rejected.total() > 0, "no input was bad enough to be told so"
    assert found.refused < found.inputs, "no input was good enough to be read"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", READERS)
def test_ten_thousand_inputs_do_not_break_a_reader(name, tmp_path):
    found = fuzz(name, READERS[name].feed, tmp_path / "input", range(READERS[name].many), seed=1)
    assert not found.broken, said(found)


@pytest.mark.parametrize("name", LIGHT)
@given(dice=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_input_that_hypothesis_draws_breaks_a_reader(name, dice):
    with tempfile.TemporaryDirectory() as folder:
        judge(READERS[name].feed(Path(folder), dice), Outcome())
