"""The sentences claim no more than the numbers carry."""

from dataclasses import replace
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia.evidence.estimate import Estimate
from lmia.evidence.word import Verdict
from lmia.report import sentences
from lmia.report.model import RoleCount, Threshold
from report import examples
from report.examples import attack, leakage, none_ran, suspects


def only(*aucs, **bounds):
    """A leakage report of attacks with these AUCs, each with the same interval bounds where given."""
    attacks = [attack(f"a{i}", auc) for i, auc in enumerate(aucs)]
    if bounds:
        attacks = [replace(a, auc=replace(a.auc, **bounds)) for a in attacks]
    return leakage(attacks=tuple(attacks))


def test_question_of_leakage_and_of_use():
    assert sentences.question(leakage()) == "Does demo-clip give away which of these pairs it was trained on?"
    assert sentences.question(suspects()) == "Were these 500 pairs used to train demo-clip?"
    one = suspects(roles=(RoleCount("suspects", "x", 1, {}, {"audited": 1}),), target={})
    assert sentences.question(one) == "Was this 1 pair used to train the model?"


def test_yes_names_the_strongest_and_what_is_left_open():
    said = sentences.answer(leakage())
    assert said.startswith(
        "Yes, the two sides can be told apart: the strongest of 3 attacks (anchor) does so with AUC 0.939 ["
    )
    assert (
        "Whether that is memory or another difference between the two collections, this number alone does not say: "
        "that is what the verdict weighs." in said
    )
    assert "48.0 % [36.0, 60.0]" in said
    assert "more than what the plain cosine" in said


def test_a_void_audit_never_says_yes():
    """The page's title asks whether the model gives its pairs away; sides that cannot be compared do not answer that."""
    for word, start in (("void", "No answer: "), ("evidence", "Yes, "), ("none", "Yes, ")):
        verdict = Verdict(word, "leakage", "post hoc", (), "", (), None, 0.51)
        assert sentences.answer(leakage(verdict=verdict)).startswith(start)


def test_one_attack_is_not_the_strongest_of_one():
    assert "the attack a0 does so with AUC" in sentences.answer(only(0.9))


def test_an_interval_over_half_is_not_shown():
    said = sentences.answer(only(0.51))
    assert said.startswith("Not shown")
    assert "0.530 fits these data too" in said


def test_the_best_of_many_needs_more_than_one_alone():
    bounds = {"low": 0.502, "high": 0.538}
    assert sentences.answer(only(0.52, **bounds)).startswith("Yes")
    said = sentences.answer(only(0.52, 0.51, 0.505, 0.51, **bounds))
    assert said.startswith("Not settled: the strongest of 4 attacks (a0)")
    assert "begins at 0.497" in said


def test_below_half_is_not_an_answer_but_a_hint():
    said = sentences.answer(only(0.44, 0.4))
    assert said.startswith("Not shown: no attack ranks members above non-members.")
    assert "The strongest of 2 attacks (a0)" in said
    assert "below 0.5" in sentences.notes(only(0.44).attacks[0])[0]


@settings(deadline=None)
@given(st.floats(0.01, 0.99), st.floats(0.001, 0.3), st.integers(1, 9))
def test_yes_is_said_only_of_a_corrected_interval_above_half(value, half, k):
    said = sentences.answer(only(*[value] * k, low=max(0.0, value - half), high=min(1.0, value + half)))
    alpha = 0.05
    z = NormalDist().inv_cdf
    low = value - z(1 - alpha / 2 / k) / z(1 - alpha / 2) * (value - max(0.0, value - half))
    assert said.startswith("Yes") == (low > 0.5)
    assert said.startswith(("Yes", "Not"))


def test_correction_leaves_one_attack_alone_and_widens_with_each():
    auc = Estimate(0.6, 0.55, 0.65, 0.9, "m", 10)
    lows = [sentences.corrected_low(auc, k) for k in (1, 2, 5, 50)]
    assert lows[0] == pytest.approx(0.55)
    assert lows == sorted(lows, reverse=True)


def test_no_attack_ran():
    said = sentences.answer(none_ran())
    assert said == "No answer: none of the 2 attacks gave a result (1 did not run, 1 found nothing to learn)."
    assert sentences.answer(leakage(attacks=())) == "No answer: no attack was asked for."
    assert sentences.strongest(none_ran().attacks) is None


def test_an_attack_that_did_not_run_is_never_the_strongest():
    failed = attack("broken", 0.99, status="did not run")
    assert "0.99" not in sentences.answer(leakage(attacks=(failed, attack("csa", 0.6))))


def test_suspects_that_stand_out():
    said = sentences.answer(suspects())
    assert said.startswith("For 35 of the 500 pairs it looks so: by csa, which names the most of 2 attacks")
    assert "(q <= 0.025: " in said  # .05 for one attack: the best of several is picked
    assert "By the others: wsa 10." in said
    assert "the report's checks may refute that" in said
    assert "probab" not in said


def test_suspects_that_stand_out_of_what_cannot_be_compared():
    said = sentences.answer(suspects(verdict=replace(leakage().verdict, word="void", question="use")))
    assert said.startswith("No answer: 35 of the 500 pairs rank far above the known non-members")
    assert "looks so" not in said


def test_suspects_that_only_the_picked_attack_names():
    said = sentences.answer(suspects(found=(2, 1)))
    assert said.startswith("Not settled: csa names 2 of the 500 pairs (q <= 0.05)")
    assert "(q <= 0.025), none stands out" in said


def test_suspects_that_do_not():
    said = sentences.answer(suspects(found=(0, 0)))
    assert said.startswith("Not shown: none of the 500 pairs stands out by any of 2 attacks")
    assert "no proof that they were not used" in said
    assert "0.00746" in said


def test_every_status_is_a_sentence():
    said = [sentences.status(a) for a in (*none_ran().attacks, attack("csa", 0.9))]
    assert said[0] == "aea did not run: It needs views."
    assert said[1].startswith("wsa found nothing to learn: The pool looks like")
    assert said[2] == "csa ran."


def test_sides_count_everything():
    members, _, known, pool = sentences.sides(leakage())
    assert members == "Members: 400 pairs of 412 records from emoji:?split=members; 12 rejected."
    assert "(267 fit, 133 calibration)" in known
    assert "100 left out. A sample of 2,900, seed 0." in pool


def test_thresholds():
    csa = leakage().attacks[0]
    first, second = (sentences.threshold(csa, item) for item in csa.thresholds)
    assert "above 0.71. Set on 133 known non-members to let at most 1 % of non-members through on average." in first
    assert "let through 0.8 % [0.0, 1.5] of the non-members and found 44.0 % [39.0, 49.0] of the members" in first
    assert (
        second
        == "csa: no threshold for a false positive rate of 0.1 %. It needs 999 known non-members to calibrate on, and has 133."
    )
    assert "On the audited pairs" not in sentences.threshold(csa, Threshold(0.01, 0.5, 10))


def test_limits_are_never_empty():
    assert sentences.limits(leakage(limits=())) == sentences.standard_limits("leakage")
    assert sentences.limits(leakage(limits=("mine",))) == ("mine",)
    assert any("not the probability" in limit for limit in sentences.standard_limits("use"))


def test_hostile_names_break_no_sentence():
    assert examples.HOSTILE in sentences.answer(examples.hostile())
