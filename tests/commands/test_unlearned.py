"""`lmia unlearned`, as typed: retrained without the forget set, untouched, pushed past it, and too few to tell."""

import pytest

from lmia.commands.unlearned import LIMITS, main
from lmia.errors import LmiaError
from lmia_csa import CSA
from test_audit import audit
from worlds import Matrices, Noise

N = 800


def roles(n=N):
    return {"members": Noise(0, n), "nonmembers": Noise(2000, 2000 + n), "known_nonmembers": Noise(4000, 4100),
            "pool": Noise(5000, 5030)}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The forget set is the pairs 0 to 800: in the training data, not in it, or pushed away by as much."""
    folder = tmp_path_factory.mktemp("runs")
    for out, target in {
        "before": Matrices(f"0:{N}", leak=0.7),
        "retrained": Matrices("0:0"),
        "pushed": Matrices(f"0:{N}", leak=-0.7),
        "other": Matrices("0:0", seed=1),
    }.items():
        audit(folder, [CSA()], roles=roles(), target=target, out=out)
    audit(folder, [CSA()], roles=roles(), target=Matrices("0:20", leak=3.0), out="twenty", fpr=[0.02])
    audit(folder, [CSA()], roles=roles(60), target=Matrices(f"0:{N}", leak=0.7), out="few-before")
    audit(folder, [CSA()], roles=roles(60), target=Matrices("0:0"), out="few-after")
    return folder


def answer(capsys, runs, before, after, *more):
    assert main(["--before", str(runs / before), "--after", str(runs / after), *more]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ("before", "retrained", "indistinguishable: to the attack 'csa'"),
        ("before", "before", "still detectable: to the attack 'csa'"),
        ("before", "pushed", "over-forgotten: to the attack 'csa'"),
        ("few-before", "few-after", "cannot tell: to the attack 'csa'"),
        ("other", "retrained", "cannot tell: to the attack 'csa'"),
    ],
)
def test_each_truth_gets_its_answer(capsys, runs, before, after, outcome):
    shown = answer(capsys, runs, before, after)
    assert shown.startswith(outcome)
    assert LIMITS in shown
    assert "TPR@1 %" in shown or "few" in before
    assert ("are of the same model" in shown) == (before == after)


def test_an_attack_that_saw_nothing_before_is_said_to_show_nothing(capsys, runs):
    assert "its silence shows nothing" in answer(capsys, runs, "other", "retrained")


def test_a_few_pairs_that_an_auc_hides_are_told(capsys, runs):
    """Twenty of 800 are remembered well: the AUC is within the margin, the TPR at a low FPR is not chance."""
    shown = answer(capsys, runs, "before", "twenty")
    assert shown.startswith("indistinguishable")
    assert "Yet at an FPR of 2 % the attack finds" in shown
    assert "more than chance: some of its pairs may still be remembered" in shown
    assert "Yet at" not in answer(capsys, runs, "before", "retrained")


def test_a_clean_model_can_be_the_standard(capsys, runs):
    shown = answer(capsys, runs, "before", "retrained", "--clean", str(runs / "other"))
    assert shown.startswith(("indistinguishable", "cannot tell"))
    assert "AUC - clean" in shown
    assert "(90 % interval)" in shown
    assert answer(capsys, runs, "before", "retrained", "--clean", str(runs / "retrained")).startswith("indisting")
    assert answer(capsys, runs, "before", "before", "--clean", str(runs / "other")).startswith("still detectable")


def test_a_margin_too_narrow_for_the_data_cannot_tell(capsys, runs):
    assert answer(capsys, runs, "before", "retrained", "--margin", "0.001").startswith("cannot tell")


@pytest.mark.parametrize("margin", ["0", "-0.1", "0.5", "nan", "inf"])
def test_a_margin_that_is_none_is_refused(runs, margin):
    with pytest.raises(LmiaError, match="is no margin"):
        main(["--before", str(runs / "before"), "--after", str(runs / "before"), f"--margin={margin}"])


def test_runs_of_other_rows_are_refused(runs):
    with pytest.raises(LmiaError, match="different rows"):
        main(["--before", str(runs / "before"), "--after", str(runs / "few-after")])


def test_an_attack_that_did_not_run_is_refused(runs):
    with pytest.raises(LmiaError, match="no attack 'wsa'"):
        main(["--before", str(runs / "before"), "--after", str(runs / "before"), "--attack", "wsa"])


@pytest.mark.parametrize("given", [[], ["--before", "x"], ["--before", "x", "--after", "y", "--margin", "wide"]])
def test_wrong_words_are_told(given):
    with pytest.raises(LmiaError, match="lmia unlearned"):
        main(given)
