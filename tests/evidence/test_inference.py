"""Data-set inference: p-values against enumeration by hand, false alarms and power by simulation."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lmia.evidence.inference import heldout_control, paired_p, per_unit, permutation_p
from lmia.evidence.inferred import FOUND


def shoots(generator, count, size, correlation=0.3):
    """Scores of variance 1 with this correlation within a shoot, and their shoots."""
    sizes = np.full(count, size) if np.isscalar(size) else np.asarray(size)
    label = np.repeat(np.arange(count), sizes)
    common = generator.normal(size=count) * correlation**0.5
    return common[label] + generator.normal(size=len(label)) * (1 - correlation) ** 0.5, label


def by_hand(clusters, ours):
    """The studentised difference, straight from its definition."""
    gap, variance = 0.0, 0.0
    for chosen, sign in ((ours, 1), ([i for i in range(len(clusters)) if i not in ours], -1)):
        side = [np.asarray(clusters[i]) for i in chosen]
        total = sum(map(len, side))
        mean = sum(part.sum() for part in side) / total
        gap += sign * mean
        variance += len(side) / (len(side) - 1) * sum((part - mean).sum() ** 2 for part in side) / total**2
    return gap / variance**0.5


def test_tiny_clusters_of_unequal_size_are_enumerated():
    clusters = [[3.0, 2.5], [1.0], [4.0, 0.5, 2.0], [0.1, 0.7], [1.5], [0.9, 2.2, 0.3, 1.1]]
    mine, theirs = clusters[:3], clusters[3:]
    every = [by_hand(clusters, chosen) for chosen in combinations(range(6), 3)]
    expected = np.mean([value >= every[0] - 1e-12 for value in every])
    names = [np.repeat(range(3), list(map(len, side))) for side in (mine, theirs)]
    found = permutation_p(np.concatenate(mine), np.concatenate(theirs), names[0], names[1] + 10)
    assert found.exact
    assert found.permutations == 20
    assert found.p == pytest.approx(expected)
    assert found.opposite == pytest.approx(np.mean([value <= every[0] + 1e-12 for value in every]))
    assert found.two_sided == min(1, 2 * min(found.p, found.opposite))
    assert found.difference.value == pytest.approx(np.concatenate(mine).mean() - np.concatenate(theirs).mean())
    assert found.difference.value / found.error == pytest.approx(every[0])
    drawn = permutation_p(np.concatenate(mine), np.concatenate(theirs), names[0], names[1] + 10, permutations=19)
    assert not drawn.exact
    assert (drawn.p * 20) == pytest.approx(round(drawn.p * 20))
    assert drawn.p >= 1 / 20


def test_single_rows_give_welchs_interval():
    generator = np.random.default_rng(3)
    mine, theirs = generator.normal(0.4, 2, 40), generator.normal(0, 1, 25)
    found = permutation_p(mine, theirs, permutations=99)
    outside = stats.ttest_ind(mine, theirs, equal_var=False)
    interval = outside.confidence_interval(0.95)
    assert found.difference.value / found.error == pytest.approx(outside.statistic)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))


def test_false_alarms_are_as_many_as_promised():
    generator = np.random.default_rng(0)
    p = [permutation_p(*generator.normal(size=(2, 60)), permutations=199, seed=i).p for i in range(1000)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_false_alarms_of_many_clusters_and_of_unequal_sides():
    """Above a thousand clusters arrangements are drawn eight to a byte."""
    generator = np.random.default_rng(10)
    p = [
        permutation_p(generator.normal(size=1500), generator.normal(size=300), permutations=99, seed=i)
        for i in range(400)
    ]
    for found in ([one.p for one in p], [one.opposite for one in p]):
        uniform = np.array(found) - generator.random(400) / 100  # p is one of 100 values
        assert stats.kstest(uniform, "uniform").pvalue > 0.01


def test_many_clusters_agree_with_welch():
    generator = np.random.default_rng(11)
    mine, theirs = generator.normal(0.05, 1.5, 3000), generator.normal(size=1200)
    found = permutation_p(mine, theirs, permutations=20_000)
    outside = stats.ttest_ind(mine, theirs, equal_var=False, alternative="greater")
    assert found.p == pytest.approx(outside.pvalue, abs=4 * (outside.pvalue / 20_000) ** 0.5 + 0.002)
    assert found.p + found.opposite == pytest.approx(1, abs=1e-3)


def test_false_alarms_of_shoots_where_a_t_test_errs():
    generator = np.random.default_rng(1)
    p, plain = [], []
    for i in range(1000):
        (mine, a), (theirs, b) = shoots(generator, 20, 25), shoots(generator, 20, 25)
        p.append(permutation_p(mine, theirs, a, b + 20, permutations=499, seed=i).p)
        plain.append(stats.ttest_ind(mine, theirs, alternative="greater").pvalue)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(plain) <= 0.05) > 0.2
    assert np.mean(np.array(p) <= 0.05) < 0.07


def test_sides_of_other_cluster_sizes_do_not_raise_false_alarms():
    """30 shoots of 5 to 40 against 300 single pairs: the plain difference of means, permuted, errs; studentised not."""
    generator = np.random.default_rng(2)
    p, plain = [], []
    for i in range(500):
        mine, a = shoots(generator, 30, generator.integers(5, 41, 30))
        theirs = generator.normal(size=300)
        p.append(permutation_p(mine, theirs, a, np.arange(300) + 30, permutations=199, seed=i).p)
        label = np.r_[a, np.arange(300) + 30]
        sums, sizes = np.bincount(label, np.r_[mine, theirs]), np.bincount(label)
        gaps = []
        for order in [np.arange(330), *(generator.permutation(330) for _ in range(99))]:
            one, two = order[:30], order[30:]
            gaps.append(sums[one].sum() / sizes[one].sum() - sums[two].sum() / sizes[two].sum())
        plain.append(np.mean(np.array(gaps) >= gaps[0]))
    alarms, naive = np.mean(np.array(p) <= 0.05), np.mean(np.array(plain) <= 0.05)
    assert alarms < 0.08
    assert abs(naive - 0.05) > abs(alarms - 0.05)


@pytest.mark.parametrize(("n", "effect"), [(30, 0.5), (60, 0.5), (120, 0.3)])
def test_power_is_what_theory_says(n, effect):
    generator = np.random.default_rng(n)
    found = [
        permutation_p(generator.normal(effect, 1, n), generator.normal(size=n), permutations=199, seed=i).p <= 0.05
        for i in range(1000)
    ]
    freedom = 2 * n - 2
    theory = stats.nct.sf(stats.t.ppf(0.95, freedom), freedom, effect * (n / 2) ** 0.5)
    assert np.mean(found) == pytest.approx(theory, abs=0.05)


def test_pairs_are_enumerated_by_hand():
    mine, theirs = np.array([2.0, 3.0, 5.0, 1.0, 9.0]), np.array([1.0, 4.0, 1.0, 0.0, 7.0])
    found = paired_p(mine, theirs, ["a", "b", "c", "c", "x"], ["a", "b", "c", "y", "y"])
    gaps = np.array([1.0, -1.0, 2.0])
    every = [np.dot(signs, gaps) for signs in product((1, -1), repeat=3)]
    assert found.p == np.mean(np.array(every) >= gaps.sum())
    assert found.opposite == np.mean(np.array(every) <= gaps.sum())
    assert found.exact
    assert found.unused == (1, 2)
    assert found.used == (4, 3)
    assert found.difference.value == pytest.approx(2 / 3)
    outside = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((outside.low, outside.high))
    assert any("Left out for want of a counterpart: 1 of mine, 2 held out." in said for said in found.sentences())


def test_pairs_keep_their_false_alarms_and_see_through_shoots():
    """Shoots differ widely, frames within one little: pairing finds what clusters cannot."""
    generator = np.random.default_rng(5)
    null, seen, unpaired = [], [], []
    label = np.repeat(np.arange(20), 10)
    for i in range(500):
        common = generator.normal(size=20) * 2
        mine, theirs = common[label] + generator.normal(size=(2, 200))
        null.append(paired_p(mine, theirs, label, label, permutations=199, seed=i).p)
        seen.append(paired_p(mine + 0.4, theirs, label, label, permutations=199, seed=i).p <= 0.05)
        unpaired.append(permutation_p(mine + 0.4, theirs, label, label + 20, permutations=199, seed=i).p <= 0.05)
    assert stats.kstest(null, "uniform").pvalue > 0.01
    assert np.mean(seen) > 0.9
    assert np.mean(unpaired) < 0.2


def test_the_control_is_labelled_and_keeps_clusters_whole():
    generator = np.random.default_rng(6)
    p = []
    for i in range(300):
        scores, label = shoots(generator, 20, 10)
        p.append(heldout_control(scores, label, permutations=199, seed=i).p)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    found = heldout_control(scores, label, permutations=199)
    assert found.control
    assert found.clusters == (10, 10)
    assert "checks the arithmetic, not the data" in found.sentences()[1]
    assert FOUND not in " ".join(found.sentences()).lower()


def test_units_count_once():
    means, first = per_unit([1.0, 2.0, 3.0, 7.0], ["z", "a", "z", "b"])
    assert means.tolist() == [2.0, 2.0, 7.0]
    assert first.tolist() == [0, 1, 3]


def test_the_words_stay_below_what_was_shown():
    generator = np.random.default_rng(7)
    mine, theirs = generator.normal(2, 1, 50), generator.normal(size=50)
    found = permutation_p(mine, theirs)
    assert found.p == 1 / 10_001
    assert found.sentences()[0].startswith("Difference found, cause not established (p = 0.0001;")
    assert "Other causes than training remain" in found.sentences()[-1]
    none = permutation_p(theirs, mine)
    assert none.p > 0.99
    assert none.sentences()[0].startswith("No difference found")
    assert none.sentences()[-1] == "That is no proof that the collection was not used."
    assert "Yours score lower than the held-out ones (p = 0.0001 that way round)" in none.sentences()[1]
    assert not any("score lower" in said for said in found.sentences())


@pytest.mark.parametrize(
    ("cause", "words", "limit"),
    [
        ("open", "Difference found, cause not established (p = 0.0001;", "Other causes than training remain"),
        ("placebo", "Difference found that the placebo does not show: supports use (p", "Support, no proof"),
        ("lot", "Difference found, and chance alone chose the sides: yours were used, or", "your word (--randomised)"),
    ],
)
def test_what_speaks_to_the_cause_decides_the_words(cause, words, limit):
    generator = np.random.default_rng(7)
    mine, theirs = generator.normal(2, 1, 50), generator.normal(size=50)
    said = permutation_p(mine, theirs).sentences(cause=cause)
    assert said[0].startswith(words)
    assert limit in said[-1]
    assert permutation_p(theirs, mine).sentences(cause=cause)[0].startswith("No difference found")


def test_without_any_spread():
    assert permutation_p([1.0, 1.0], [1.0, 1.0, 1.0]).p == 1
    assert permutation_p([1.0, 1.0, 1.0], [0.0, 0.0, 0.0]).p == 1 / 20
    assert permutation_p([0.1 + 0.2] * 3, [0.3] * 3).p == 1
    assert permutation_p([0.0, 0.0, 0.0], [1.0, 1.0, 1.0]).p == 1
    assert paired_p([1.0, 1.0], [1.0, 1.0], [0, 1], [0, 1]).p == 1


@given(
    st.lists(st.integers(-3, 3), min_size=4, max_size=8),
    st.lists(st.integers(-3, 3), min_size=4, max_size=8),
    st.sampled_from([1.0, 0.001, 1000.0]),
    st.sampled_from([0.0, -50.0, 7.25]),
)
@settings(max_examples=15, deadline=None)
def test_p_knows_no_unit_and_no_order(mine, theirs, scale, shift):
    found = permutation_p(mine, theirs, permutations=12_870)
    moved = permutation_p(np.array(mine[::-1]) * scale + shift, np.array(theirs) * scale + shift, permutations=12_870)
    assert found.exact
    assert moved.p == pytest.approx(found.p)
    assert found.least_p <= found.p <= 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: permutation_p([1.0, np.nan], [1.0, 2.0]), "mine holds a score that is not finite, in row 1"),
        (lambda: permutation_p([], [1.0, 2.0]), "no list of scores"),
        (lambda: permutation_p([1.0], [1.0, 2.0]), "1 and 2 clusters"),
        (lambda: permutation_p([1.0, 2.0], [1.0, 2.0], [0, 0]), "1 and 2 clusters"),
        (lambda: permutation_p([1.0, 2.0], [1.0, 2.0], [0, 1], [1, 2]), "cluster 1 lies on both sides"),
        (lambda: permutation_p([1.0, 2.0], [1.0, 2.0], [0]), "names of clusters"),
        (lambda: permutation_p([1.0, 2.0], [1.0, 2.0], permutations=0), "0 permutations"),
        (lambda: paired_p([1.0, 2.0], [1.0, 2.0], [0, 1], [1, 2]), "1 of the shoots"),
        (lambda: heldout_control([1.0, 2.0, 3.0]), "3 clusters cannot be halved"),
    ],
)
def test_what_cannot_be_tested_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
