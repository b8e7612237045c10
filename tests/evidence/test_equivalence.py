"""The four outcomes: by hand at the edges, and by simulation for how often each is wrong."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from sklearn.metrics import roc_auc_score

from lmia.errors import LmiaError
from lmia.evidence.equivalence import equivalence, excess, forgetting, keeping
from lmia.evidence.estimate import Estimate

REPEATS = 400
SLACK = 3 * np.sqrt(0.05 * 0.95 / REPEATS)
"""Three standard errors of a share of 5 % counted in so many repeats."""


def between(low, high):
    return Estimate((low + high) / 2, low, high, 0.9, "given", 100)


def drawn(rng, auc, n=300):
    """Normal scores with this AUC in the population: members first, n a side."""
    scores = rng.normal(size=2 * n)
    scores[:n] += np.sqrt(2) * ndtri(auc)
    return torch.from_numpy(scores), torch.arange(2 * n) < n


def outcomes(auc, n=300, seed=0):
    rng = np.random.default_rng(seed)
    found = [equivalence(excess(*drawn(rng, auc, n))) for _ in range(REPEATS)]
    return {word: found.count(word) / REPEATS for word in set(found)}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.04, 0.04, "indistinguishable"),
        (0.01, 0.04, "indistinguishable"),  # surely above 0, and surely of no matter
        (0.01, 0.06, "still detectable"),
        (0.2, 0.3, "still detectable"),
        (-0.2, -0.06, "over-forgotten"),
        (-0.06, -0.01, "cannot tell"),
        (-0.04, 0.05, "cannot tell"),  # the margin itself is outside
        (-0.05, 0.04, "cannot tell"),
        (0.0, 0.06, "cannot tell"),
        (-0.3, 0.3, "cannot tell"),
    ],
)
def test_the_rule_at_its_edges(low, high, expected):
    assert equivalence(between(low, high)) == expected


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(0.001, 0.499), st.floats(0.001, 0.499))
def test_a_wider_margin_never_takes_equivalence_away(one, other, margin, wider):
    ends = between(min(one, other), max(one, other))
    small, large = sorted((margin, wider))
    if equivalence(ends, small) == "indistinguishable":
        assert equivalence(ends, large) == "indistinguishable"


@pytest.mark.parametrize("margin", [0.0, -0.1, 0.5, float("nan")])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ValueError, match="margin"):
        equivalence(between(-0.1, 0.1), margin)


def test_excess_is_scikit_learns_area_minus_a_half():
    rng = np.random.default_rng(3)
    scores, labels = drawn(rng, 0.7)
    clean, _ = drawn(rng, 0.55)
    area, of_clean = (roc_auc_score(labels.numpy(), s.numpy()) for s in (scores, clean))
    assert excess(scores, labels).value == pytest.approx(area - 0.5, abs=1e-12)
    assert excess(scores, labels, clean).value == pytest.approx(area - of_clean, abs=1e-12)


def test_at_the_margin_indistinguishable_is_said_in_one_of_twenty_at_most():
    assert outcomes(0.55, n=1000).get("indistinguishable", 0) <= 0.05 + SLACK
    assert outcomes(0.45, n=1000).get("indistinguishable", 0) <= 0.05 + SLACK


def test_beside_a_clean_model_it_errs_as_rarely():
    """Both models score the same pairs, correlated; the AUCs are .65 and .60, the margin apart."""
    rng, n = np.random.default_rng(5), 1000
    labels, found = torch.arange(2 * n) < n, []
    for _ in range(REPEATS):
        shared = rng.normal(size=2 * n)
        clean, after = (np.sqrt(0.5) * (shared + rng.normal(size=2 * n)) for _ in range(2))
        clean[:n] += np.sqrt(2) * ndtri(0.60)
        after[:n] += np.sqrt(2) * ndtri(0.65)
        found.append(equivalence(excess(torch.from_numpy(after), labels, torch.from_numpy(clean))))
    assert 0.01 <= found.count("indistinguishable") / REPEATS <= 0.05 + SLACK


def test_the_test_is_sharp_there_not_only_cautious():
    """An interval twice too wide would pass the test above; this one says that about 5 % are reached."""
    assert outcomes(0.55, n=1000)["indistinguishable"] >= 0.01


def test_without_memory_still_detectable_is_said_in_one_of_twenty_at_most():
    found = outcomes(0.5)
    assert found.get("still detectable", 0) <= 0.05 + SLACK
    assert found.get("over-forgotten", 0) <= 0.01


def test_at_minus_the_margin_over_forgotten_is_said_in_one_of_twenty_at_most():
    assert outcomes(0.45).get("over-forgotten", 0) <= 0.05 + SLACK


def test_enough_pairs_find_each_truth():
    assert outcomes(0.5, n=1500)["indistinguishable"] >= 0.9
    assert outcomes(0.62, n=300)["still detectable"] >= 0.95
    assert outcomes(0.35, n=300)["over-forgotten"] >= 0.95


def test_few_pairs_cannot_tell():
    assert outcomes(0.5, n=30)["cannot tell"] >= 0.85


def test_an_attack_that_saw_nothing_before_cannot_call_it_forgotten():
    rng = np.random.default_rng(0)
    nothing, labels = drawn(rng, 0.5, 2000)
    again, _ = drawn(rng, 0.5, 2000)
    memory, _ = drawn(rng, 0.7, 2000)
    blind = forgetting(nothing, again, labels)
    assert blind.outcome == "cannot tell"
    assert "before" in blind.reason
    assert forgetting(memory, again, labels).outcome == "indistinguishable"


def test_a_clean_model_is_the_standard_where_it_is_given():
    """The two sides differ by themselves (AUC .6 without any training): 0.5 is then the wrong mark."""
    rng = np.random.default_rng(1)
    clean, labels = drawn(rng, 0.6, 2000)
    after = clean + torch.from_numpy(rng.normal(size=4000)) * 0.1
    before = after + 0.7 * labels
    assert forgetting(before, after, labels, clean).outcome == "indistinguishable"
    assert forgetting(before, after, labels).outcome == "still detectable"
    assert forgetting(before, after - 1.0 * labels, labels, clean).outcome == "over-forgotten"


def test_duplicates_widen_the_interval():
    rng = np.random.default_rng(2)
    scores, labels = drawn(rng, 0.55, 200)
    five = torch.arange(400).repeat_interleave(5)
    alone = excess(scores[five], labels[five])
    together = excess(scores[five], labels[five], groups=five)
    assert together.value == alone.value
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_what_cannot_be_judged_is_refused():
    scores, labels = torch.arange(4.0), torch.tensor([True, True, False, False])
    with pytest.raises(LmiaError, match="no nonmembers"):
        excess(scores, torch.ones(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="NaN"):
        excess(torch.tensor([1.0, 2.0, 3.0, float("nan")]), labels)
    with pytest.raises(ValueError, match="alpha"):
        forgetting(scores, scores, labels, alpha=0.5)
    with pytest.raises(ValueError, match="labels"):
        forgetting(scores, scores, labels[:3])


def test_scores_of_one_value_or_in_bf16_are_scores():
    labels = torch.arange(400) % 2 == 0
    same = torch.zeros(400)
    assert excess(same, labels).value == 0
    coarse = (torch.arange(400) % 7).to(torch.bfloat16)
    assert excess(coarse, labels).value == pytest.approx(roc_auc_score(labels, coarse.float()) - 0.5, abs=1e-12)


def fates(kept, loss, n=300, repeats=100):
    """How often each fate is said of pairs of this AUC before and so much less after; both scores are correlated."""
    rng, labels, found = np.random.default_rng(7), torch.arange(2 * n) < n, []
    for _ in range(repeats):
        shared = rng.normal(size=2 * n)
        before, after = (np.sqrt(0.5) * (shared + rng.normal(size=2 * n)) for _ in range(2))
        before[:n] += np.sqrt(2) * ndtri(kept)
        after[:n] += np.sqrt(2) * ndtri(kept - loss)
        found.append(keeping(torch.from_numpy(before), torch.from_numpy(after), labels).outcome)
    return {word: found.count(word) / repeats for word in set(found)}


def test_each_fate_is_wrong_in_one_of_twenty_at_most():
    assert 0.01 <= fates(0.7, 0.05, repeats=REPEATS)["kept"] <= 0.05 + SLACK
    assert fates(0.7, 0, repeats=REPEATS).get("lost", 0) <= 0.05 + SLACK


def test_enough_pairs_find_each_fate():
    assert fates(0.7, 0, n=1000)["kept"] >= 0.95
    assert fates(0.8, 0.2)["lost"] >= 0.95
    assert fates(0.7, 0, n=40)["cannot tell"] >= 0.7
    assert fates(0.7, -0.1)["kept"] >= 0.95  # what is seen better was not lost


def test_what_was_never_seen_is_neither_kept_nor_lost():
    nothing, labels = drawn(np.random.default_rng(0), 0.5, 2000)
    assert keeping(nothing, nothing, labels).outcome == "cannot tell"
    below, labels = drawn(np.random.default_rng(0), 0.3, 2000)
    assert keeping(below, nothing, labels).outcome == "cannot tell"


def test_fates_rest_on_the_areas_and_their_paired_difference():
    rng = np.random.default_rng(4)
    before, labels = drawn(rng, 0.7)
    after, _ = drawn(rng, 0.6)
    found = keeping(before, after, labels)
    areas = [roc_auc_score(labels.numpy(), scores) for scores in (before, after)]
    assert (found.before.value, found.after.value) == pytest.approx(tuple(areas), abs=1e-12)
    assert found.change.value == pytest.approx(areas[1] - areas[0], abs=1e-12)
    assert {one.confidence for one in (found.before, found.after, found.change)} == {0.9}
    five = torch.arange(600).repeat_interleave(5)
    alone = keeping(before[five], after[five], labels[five])
    together = keeping(before[five], after[five], labels[five], groups=five)
    assert together.change.high - together.change.low > 1.8 * (alone.change.high - alone.change.low)


@pytest.mark.parametrize("wrong", [{"margin": 0.5}, {"margin": 0.0}, {"alpha": 0.5}, {"alpha": 0.0}])
def test_a_fate_needs_a_margin_and_a_level(wrong):
    with pytest.raises(ValueError, match="must lie between"):
        keeping(torch.arange(4.0), torch.arange(4.0), torch.arange(4) > 1, **wrong)
