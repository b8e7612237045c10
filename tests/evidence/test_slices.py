"""Planted slices are found, quiet ones are not: false alarms over many seeds, in worlds where a plain test would err."""

import json
from dataclasses import asdict, fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evidence.cases import samples
from lmia.errors import LmiaError
from lmia.evidence.adjusted import adjusted_auroc
from lmia.evidence.auc import auroc
from lmia.evidence.sliced import Slice, Slices
from lmia.evidence.slices import auroc_by_slice


def world(seed, n=600, groups=None):
    """Scores that know nothing, half of them members, and three columns that hang together."""
    random = np.random.default_rng(seed)
    labels, length = random.permutation(np.arange(n) % 2 == 0), random.integers(1, 40, n)
    columns = {
        "words": length.tolist(),
        "bytes": (length * 1000 + random.integers(0, 9000, n)).tolist(),
        "host": random.choice(["a.org", "b.org", "c.org", None], n).tolist(),
    }
    return random, random.normal(size=n) + labels, labels, columns


def sliced(scores, labels, columns, groups=None, **settings):
    groups = None if groups is None else torch.tensor(groups)
    return auroc_by_slice(torch.tensor(scores), torch.tensor(labels), columns, groups, **settings)


def alarms(make, seeds, permutations=199):
    """How often anything at all stands out; and how often it would if p were not corrected."""
    found, alone = [], []
    for seed in range(seeds):
        scores, labels, columns, groups = make(np.random.default_rng(seed))
        slices = sliced(scores, labels, columns, groups, permutations=permutations, seed=seed)
        found.append(bool(slices.standing_out()))
        alone.append(min(one.p_alone for one in slices.slices if one.p_alone is not None) <= 0.05)
    return np.mean(found), np.mean(alone)


def bound(seeds, level=0.05):
    """So many false alarms a test of this level gives with a chance of about 0.1 %."""
    return level + 3.1 * np.sqrt(level * (1 - level) / seeds)


def test_a_planted_slice_is_found_and_named_first():
    _, scores, labels, columns = world(0)
    short = np.array(columns["words"]) <= 10
    found = sliced(scores + 1.5 * (labels & short), labels, columns)
    first = found.standing_out()[0]
    assert (first.column, first.name) == ("words", "1 to 10")
    assert first.p < 0.05
    assert first.p_alone <= first.p
    assert first.difference.low > 0
    assert first.auc.low > 0.84 > first.rest.high
    assert "host" not in {one.column for one in found.standing_out()}
    assert found.sentences()[0].startswith("words 1 to 10: more exposed than the others, AUC 0.9")


def test_a_slice_that_is_less_exposed_is_found_too():
    random, scores, labels, columns = world(1)
    columns = {"host": ["hidden" if i % 4 == 0 else "open" for i in range(600)]}
    hidden = np.arange(600) % 4 == 0
    found = sliced(np.where(hidden, random.normal(size=600), scores + labels), labels, columns)
    assert [(one.name, one.difference.value < 0) for one in found.standing_out()] == [("open", False), ("hidden", True)]
    assert "hidden: less exposed" in " ".join(found.sentences())


def test_two_slices_that_are_all_of_a_column_are_one_comparison():
    _, scores, labels, columns = world(2)
    halves = {"half": ["a" if i < 250 else "b" for i in range(600)]}
    found = sliced(scores, labels, halves | {"words": columns["words"]})
    a, b, *others = found.slices
    assert found.tests == 1 + len(others)
    assert a.p_alone == pytest.approx(b.p_alone)
    assert a.p == b.p
    alone = sliced(scores, labels, halves)
    assert alone.tests == 1
    assert alone.slices[0].p == alone.slices[0].p_alone
    assert alone.slices[0].difference.value == pytest.approx(-alone.slices[1].difference.value)
    third = sliced(scores, labels, {"half": ["c" if i < 6 else v for i, v in enumerate(halves["half"])]})
    assert third.tests == 2  # the third is too small, but it is there, and part of what both are compared with


def test_numbers_are_those_of_the_plain_functions():
    _, scores, labels, columns = world(3)
    groups = np.arange(600) // 2 % 280
    found = sliced(scores, labels, columns, groups, confidence=0.9)
    level = 1 - 0.1 / len(found.slices)
    for one in found.slices:
        assert one.auc.confidence == one.rest.confidence == one.difference.confidence == pytest.approx(level)
    codes = np.array([{"a.org": 0, "b.org": 1, "c.org": 2, None: 3}[host] for host in columns["host"]])
    of = {"a.org": 0, "b.org": 1, "c.org": 2, "missing": 3}
    for one in found.slices[-4:]:
        inside = codes == of[one.name]
        assert (one.members, one.nonmembers) == ((inside & labels).sum(), (inside & ~labels).sum())
        assert one.auc.value == pytest.approx(roc_auc_score(labels[inside], scores[inside]))
        x, y, g, c = (torch.tensor(column) for column in (scores, labels, groups, codes))
        rows = torch.tensor(inside)
        assert one.auc == auroc(x[rows], y[rows], g[rows], level)
        assert one.rest == adjusted_auroc(x[~rows], y[~rows], c[~rows], g[~rows], level)
        assert one.difference.value == one.auc.value - one.rest.value
        assert one.difference.low < one.difference.value < one.difference.high


def chance(random):
    """Eight slices of two columns that hang together, one of which goes with the side; scores know of neither."""
    labels = np.arange(360) % 2 == 0
    length = random.normal(size=360) + 0.5 * labels
    columns = {"length": length.tolist(), "bytes": (length + random.normal(size=360)).tolist()}
    return random.normal(size=360) + labels, labels, columns, None


def test_nothing_is_found_by_chance_more_often_than_promised():
    assert sum(one.p is not None for one in sliced(*chance(np.random.default_rng(0)), permutations=19).slices) == 8
    found, alone = alarms(chance, 70)
    assert found <= bound(70) < alone


@pytest.mark.slow
def test_the_promise_holds_over_a_thousand_worlds():
    found, alone = alarms(chance, 1000, 399)
    assert found <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)
    assert alone > 0.2


def test_slices_that_score_higher_on_both_sides_do_not_stand_out():
    """Score and its spread go with the slice, the AUC does not; a plain comparison with the rest would call it one."""

    def null(random):
        labels, kind = np.arange(300) % 2 == 0, np.arange(300) // 2 % 3
        scores = (random.normal(size=300) + labels) * (1 + 2 * kind) - 40 * kind
        return scores, labels, {"kind": [f"{k}" for k in kind]}, None

    assert alarms(null, 60)[0] <= bound(60)
    gaps = []
    for seed in range(20):  # compared across slices, pairs of the others hide each other's members
        scores, labels, columns, _ = null(np.random.default_rng(seed))
        inside = np.array(columns["kind"]) == "0"
        gaps.append(roc_auc_score(labels[inside], scores[inside]) - roc_auc_score(labels[~inside], scores[~inside]))
    assert np.mean(gaps) > 0.1


def test_duplicates_need_their_groups():
    """40 groups of 6 rows that share score and slice: row by row, every second audit would find something."""

    def null(random, grouped=True):
        group = np.arange(480) // 6
        labels, kind = group % 2 == 0, random.integers(0, 2, 80)[group]
        scores = random.normal(size=80)[group] + 0.3 * random.normal(size=480)
        return scores, labels, {"kind": [f"{k}" for k in kind]}, group if grouped else None

    few = {"least": 10}
    found = {True: [], False: []}
    for seed in range(40):
        for grouped, hits in found.items():
            case = null(np.random.default_rng(seed), grouped)
            hits.append(bool(sliced(*case, permutations=99, seed=seed, **few).standing_out()))
    assert np.mean(found[True]) <= bound(40)
    assert np.mean(found[False]) > 0.25


def shoots(random, gain):
    """400 shoots of 1 to 6 pairs of either side, hardly two of one make-up; what the shoot is of moves every score."""
    sizes = random.integers(1, 7, 400)
    group = np.repeat(np.arange(400), sizes)
    labels, night = (
        random.random(len(group)) < random.random(400)[group],
        random.random(len(group)) < random.random(400)[group],
    )
    scores = random.normal(size=400)[group] + random.normal(size=len(group)) + labels * (0.7 + gain * night)
    return scores, labels, {"light": np.where(night, "night", "day").tolist()}, group


def test_shoots_of_unlike_make_up_are_judged_by_their_number():
    assert sliced(*shoots(np.random.default_rng(0), 1.5)).standing_out()[0].name == "night"
    assert alarms(lambda random: shoots(random, 0.0), 60)[0] <= bound(60)


def copies(random, gain):
    """Of 160 groups a side half are single, the others of 2 to 5 copies, and these are remembered."""
    sizes = np.where(np.arange(320) % 4 < 2, 1, random.integers(2, 6, 320))
    group = np.repeat(np.arange(320), sizes)
    labels, many = group % 2 == 0, (sizes > 1)[group]
    scores = (
        random.normal(size=320)[group] + 0.5 * random.normal(size=len(group)) + gain * (labels & many) + 0.5 * labels
    )
    return scores, labels, {"copies": sizes[group].tolist()}, group


def test_copies_count_although_groups_of_a_size_never_change_places():
    found = sliced(*copies(np.random.default_rng(0), 2.0), permutations=499)
    assert found.standing_out()[0].name != "1"
    assert found.standing_out()[-1].name == "1"
    assert alarms(lambda random: copies(random, 0.0), 50)[0] <= bound(50)


def test_what_is_too_small_is_named_with_its_reason():
    _, scores, labels, _ = world(4)
    kind = np.where(np.arange(600) < 40, "rare", "common").tolist()
    lone = {"kind": kind, "all alike": [1] * 600, "host": [None] * 600}
    rare, common, *alike = sorted(sliced(scores, labels, lone).slices, key=lambda one: one.name != "rare")
    members, others = labels[:40].sum(), (~labels[:40]).sum()
    assert rare.reason == f"too small: {members} independent members and {others} nonmembers, 30 of each are needed"
    assert (rare.auc, rare.p, rare.members) == (None, None, members)
    assert common.reason.startswith(f"too few outside it: {members} independent members")
    assert common.auc is not None
    assert {one.reason for one in alike} == {"there is no other slice to compare it with"}
    assert [(one.column, one.name) for one in alike] == [("all alike", "1"), ("host", "missing")]
    said = sliced(scores, labels, lone).sentences()
    assert said[0] == "No slice could be compared with others."
    assert all(name in said[1] for name in ("kind rare (too small", "kind common (", "all alike 1 (", "host missing ("))


def test_copies_do_not_make_a_slice_large():
    _, scores, labels, _ = world(5)
    group, kind = np.arange(600) // 20 * 2 + labels, ["a" if i < 200 else "b" for i in range(600)]
    group[200:] = np.arange(1000, 1400)
    slice_a = next(one for one in sliced(scores, labels, {"kind": kind}, group).slices if one.name == "a")
    sizes = [np.unique(group[:200][side], return_counts=True)[1] for side in (labels[:200], ~labels[:200])]
    members, others = (int(each.sum() ** 2 / (each**2).sum()) for each in sizes)
    assert f"{members} independent members and {others} nonmembers" in slice_a.reason
    assert 8 <= min(members, others) <= max(members, others) <= 10


def test_a_slice_of_one_side_is_no_rest():
    _, scores, labels, _ = world(6)
    found = sliced(scores, labels, {"side": ["in" if x else "out" for x in labels]})
    assert all(one.auc is None and one.reason.startswith("too small") for one in found.slices)
    assert found.tests == 0


@settings(max_examples=40)
@given(samples(), st.data())
def test_every_row_is_in_one_slice_of_each_column_whatever_the_data(case, data):
    scores, labels = case
    n = len(scores)
    numbers = data.draw(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=n, max_size=n))
    found = auroc_by_slice(scores, labels, {"x": numbers, "y": ["w"] * n}, least=3, permutations=19)
    for column in ("x", "y"):
        some = [one for one in found.slices if one.column == column]
        assert sum(one.members for one in some) == int(labels.sum())
        assert sum(one.nonmembers for one in some) == int((~labels).sum())
        assert all(bool(one.reason) == (one.p is None) == (one.difference is None) for one in some)
        assert all(0 < one.p_alone <= one.p <= 1 for one in some if one.p is not None)
    assert found.tests <= len(found.slices)
    json.dumps(asdict(found), allow_nan=False)


def test_the_seed_decides_and_nothing_else():
    _, scores, labels, columns = world(7)
    first, again, other = (sliced(scores, labels, columns, permutations=99, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert [one.auc for one in first.slices] == [one.auc for one in other.slices]
    assert first != other


def test_no_column_has_no_slices():
    _, scores, labels, _ = world(8)
    assert sliced(scores, labels, {}) == Slices((), 0, 0.95, 1999)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"columns": {"x": [1, 2]}}, "one entry a score, 4, but have: x 2"),
        ({"columns": {"x": [1, "a", 2, 3]}}, "x holds 1 words among 3 numbers"),
        ({"least": 1}, "at least 2 pairs a side"),
        ({"permutations": 0}, "1 permutation"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"scores": torch.tensor([0, 1, float("nan"), 2])}, "1 of 4 scores are NaN"),
        ({"groups": torch.zeros(3, dtype=torch.int64)}, r"groups must be \(4,\)"),
    ],
)
def test_what_cannot_be_sliced_is_refused(settings, said):
    given = {"scores": torch.arange(4.0), "labels": torch.tensor([0, 1, 0, 1]), "columns": {}} | settings
    with pytest.raises(ValueError, match=said):
        auroc_by_slice(given.pop("scores"), given.pop("labels"), given.pop("columns"), **given)


def test_one_side_missing_is_a_sentence():
    with pytest.raises(LmiaError, match="no members among the 3"):
        auroc_by_slice(torch.zeros(3), torch.zeros(3), {})


def test_results_are_frozen():
    with pytest.raises(AttributeError):
        Slice("a", "b", 1, 1).p = 0.5
    assert [one.name for one in fields(Slices)] == ["slices", "tests", "confidence", "permutations"]
