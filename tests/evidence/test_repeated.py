import subprocess
import sys

import pytest

from lmia.evidence.estimate import Estimate
from lmia.evidence.repeated import Positive, Positives


def auc(value, half=0.05):
    return Estimate(value, value - half, value + half, 0.95, "DeLong", 300)


def control(*values, members=50, seen=False):
    attacks = [Positive(f"attack{i}", auc(value), auc(0.5)) for i, value in enumerate(values)]
    return Positives(members, 250, 8.0, attacks, seen)


def test_it_says_who_was_found_and_by_what():
    said = control(0.7, 0.9, seen=True).sentence()
    assert said.startswith("Positive control: 50 members were shown several times (median 8); attack1 ranks them above")
    assert said.endswith("with AUC 0.900 [0.850, 0.950], the other 250 with AUC 0.500 [0.450, 0.550].")
    assert "1 member was shown several times (median 8); attack0 ranks it above" in control(0.5, members=1).sentence()


@pytest.mark.parametrize("by_lot", [True, False])
def test_silence_says_little_where_the_control_was_not_found(by_lot):
    assert (
        control(0.52)
        .silence(by_lot)
        .startswith("attack0 did not find even the 50 members that were shown several times")
    )
    assert (
        control(0.52)
        .silence(by_lot)
        .endswith("(median 8), AUC 0.520 [0.470, 0.570]: that nothing was found says little.")
    )
    assert control(0.5, 0.52).silence(by_lot).startswith("The best of 2 attacks, attack1, did not find even")


def test_silence_says_more_where_it_was():
    said = control(0.8, seen=True).silence(True)
    assert said == (
        "This audit would have seen pairs shown so often: attack0 finds the 50 members that were shown several times "
        "(median 8), AUC 0.800 [0.750, 0.850]."
    )
    assert "as far as these differ from the non-members in nothing else" in control(0.8, seen=True).silence(False)


def test_without_a_control_there_is_nothing_to_say():
    none = Positives(0, 9, None, [Positive("csa", None, auc(0.5))], False)
    assert none.silence(True) == ""
    assert none.best() is None
    assert "there is no positive control" in none.sentence()


def test_it_is_read_without_torch():
    code = "import sys, lmia.evidence.repeated; print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
