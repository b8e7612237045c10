"""The statistic against all pairs by brute force, deals against enumeration, p-values against their promise."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, t

from evidence.cases import samples
from lmia.evidence import dealing
from lmia.evidence.dealing import Deal, Ordered, contrast, dealt_p
from lmia.evidence.ranks import dense_ranks


@st.composite
def sliced(draw):
    scores, labels = draw(samples())
    n = len(scores)
    codes = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    groups = draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))
    return scores.double().numpy(), labels.numpy(), np.array(codes), np.unique(groups, return_inverse=True)[1]


def ordered(scores, truth, groups=None):
    groups = np.arange(len(truth)) if groups is None else groups
    return Ordered.of(dense_ranks(torch.tensor(np.asarray(scores, float))).numpy(), truth, groups)


def by_hand(scores, truth, codes, groups, i):
    """The AUC of slice i and of the others, and how far each group moves either, from a table of all pairs."""
    wins = (np.sign(scores[truth][:, None] - scores[~truth]) + 1) / 2
    alike = codes[truth][:, None] == codes[~truth]
    inside = alike & (codes[truth] == i)[:, None]
    found = []
    for counted in (inside, alike & ~inside):
        moved = np.zeros(groups.max() + 1)
        for j in range(3):
            own = counted & (codes[truth] == j)[:, None]
            if own.any():
                excess = np.where(own, wins - wins[own].mean(), 0) / counted.sum()
                np.add.at(moved, groups[truth], excess.sum(1))
                np.add.at(moved, groups[~truth], excess.sum(0))
        found.append((wins[counted].mean() if counted.any() else np.nan, moved))
    return found


@settings(max_examples=60)
@given(sliced(), st.booleans())
def test_the_statistic_is_that_of_all_pairs(case, clustered):
    scores, truth, codes, groups = case
    groups = groups if clustered else np.arange(len(truth))
    rows = ordered(scores, truth, groups)
    turned = (codes + 1) % 3
    found = contrast(rows, np.stack([codes, turned])[:, rows.rows], 3)
    for row, each in enumerate((codes, turned)):
        for i in range(3):
            (area, inside), (rest, outside) = by_hand(scores, truth, each, groups, i)
            assert found.area[row, i] == pytest.approx(area, nan_ok=True)
            assert found.rest[row, i] == pytest.approx(rest, nan_ok=True)
            if np.isnan(area) or np.isnan(rest):
                assert found.distance[row, i] == 0
                continue
            assert found.of_area[row, i] == pytest.approx(inside @ inside, abs=1e-12)
            assert found.of_rest[row, i] == pytest.approx(outside @ outside, abs=1e-12)
            assert found.of_both[row, i] == pytest.approx(inside @ outside, abs=1e-12)
            error, spreads = np.linalg.norm(inside - outside), np.linalg.norm(inside) * np.linalg.norm(outside)
            if error > 1e-5:
                assert found.distance[row, i] == pytest.approx(abs(area - rest) / error)
            if spreads > 1e-8:
                assert found.correlation[row, i] == pytest.approx(inside @ outside / spreads)


def test_without_error_the_distance_is_nothing_or_infinite():
    codes = np.array([[0, 0, 0, 0, 1, 1, 1, 1]])
    for truth, expected in (([0, 0, 1, 1, 0, 0, 1, 1], 0), ([0, 0, 1, 1, 1, 1, 0, 0], np.inf)):
        for group in (None, np.array([0, 0, 1, 1, 2, 2, 3, 3])):
            rows = ordered(np.arange(8), np.array(truth, bool), group)
            assert contrast(rows, codes, 2).distance.tolist() == [[expected, expected]]


def test_a_score_that_a_whole_slice_has_more_of_changes_nothing():
    """Levels and scales that differ between slices: only the order within a slice counts."""
    random = np.random.default_rng(0)
    truth, codes, scores = random.random(200) < 0.4, random.integers(0, 3, 200), random.normal(size=200)
    plain, moved = ordered(scores, truth), ordered(scores * (1 + codes) - 9 * codes, truth)
    first, second = (contrast(rows, codes[rows.rows][None], 3) for rows in (plain, moved))
    assert first.area == pytest.approx(second.area)
    assert first.distance == pytest.approx(second.distance)


def test_p_is_the_share_of_all_deals_within_sides(monkeypatch):
    monkeypatch.setattr(dealing, "ENOUGH", 10**9)
    random = np.random.default_rng(0)
    truth = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0], bool)
    codes = np.array([0, 0, 1, 1, 2, 0, 0, 1, 1, 2, 2])
    rows = ordered(random.integers(0, 6, 11) + 3 * (truth & (codes == 0)), truth)
    bars = contrast(rows, codes[rows.rows][None], 3).distance[0] - 1e-9
    reached, total, dealt = np.zeros(3), 0, np.empty(11, int)
    for mine, others in product(*(set(permutations(codes[side].tolist())) for side in (truth, ~truth))):
        dealt[truth], dealt[~truth] = mine, others
        reached += contrast(rows, dealt[rows.rows][None], 3).distance[0] >= bars
        total += 1
    assert total == 30 * 90
    exact, found = reached / total, dealt_p(rows, codes[rows.rows], 3, [0, 1, 2], 3000, random)
    assert (np.abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / 3000) + 1e-3).all()


def drawn(rows, codes, times):
    deal, random, seen = Deal.of(rows, codes[rows.rows]), np.random.default_rng(0), set()
    for _ in range(times):
        dealt = np.empty(len(codes), int)
        dealt[rows.rows] = deal.draw(random)
        seen.add(tuple(dealt.tolist()))
    return seen


def test_groups_move_whole_between_groups_of_the_same_make_up():
    """Three pairs of members, two of nonmembers, one of both, a triple, and two singles; every row its own slice."""
    group = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6, 7, 8])
    truth = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1], bool)
    rows = ordered(np.random.default_rng(1).permutation(17), truth, group)
    mine, others, singles = [(0, 1), (2, 3), (4, 5)], [(6, 7), (8, 9)], [(15,), (16,)]
    expected = {
        (*sum(a, ()), *sum(b, ()), *range(10, 15), *sum(c, ()))
        for a, b, c in product(permutations(mine), permutations(others), permutations(singles))
    }
    assert drawn(rows, np.arange(17), 400) == expected


def test_a_column_of_group_sizes_moves_between_groups_of_any_size():
    group, truth = np.array([0, 1, 1, 2, 3, 3, 4, 4, 4]), np.arange(9) < 3
    rows = ordered([3, 1, 4, 1, 5, 9, 2, 6, 5], truth, group)
    seen = drawn(rows, np.bincount(group)[group] - 1, 200)
    sizes = np.bincount(group)
    assert seen == {
        tuple(np.repeat([*a, *b], sizes).tolist()) for a in permutations([0, 1]) for b in permutations([0, 1, 2])
    }


def test_where_hardly_a_group_can_move_p_is_that_of_students_t():
    """Every group holds both slices, in the same order: no deal would change a thing."""
    truth, group = np.arange(80) < 40, np.arange(80) // 2
    codes = np.arange(80) % 2
    rows = ordered(np.random.default_rng(0).normal(size=80) + 3 * (truth & (codes == 0)), truth, group)
    assert Deal.of(rows, codes[rows.rows]) is None
    found = dealt_p(rows, codes[rows.rows], 2, [1], 99, np.random.default_rng(0), 17)
    distance = contrast(rows, codes[rows.rows][None], 2).distance[0, 1]
    assert found.tolist() == pytest.approx([2 * t.sf(distance, 17)])
    assert found[0] < 1e-3


def test_half_the_rows_must_be_able_to_move():
    """Six singles, and one group of 5 or of 7 that is alone in its make-up."""
    for size, deals in ((5, True), (7, False)):
        group = np.r_[np.arange(6), np.full(size, 6)]
        rows = ordered(np.arange(6 + size), np.r_[np.ones(6), np.arange(size) % 2].astype(bool), group)
        codes = np.r_[0, 1, 0, 1, 0, 1, np.arange(size) % 2]
        assert (Deal.of(rows, codes[rows.rows]) is not None) == deals


def test_stopping_early_keeps_p_uniform_and_no_small_p_is_cut_off():
    random, p, codes = np.random.default_rng(3), [], np.arange(60) // 20
    truth = np.arange(60) % 2 == 0
    for _ in range(300):
        rows = ordered(random.normal(size=60), truth)
        p.append(dealt_p(rows, codes[rows.rows], 3, [1], 99, random)[0])
    for level in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert abs((np.array(p) <= level).mean() - level) < 3.5 * np.sqrt(level * (1 - level) / 300)
    assert kstest(p, "uniform").statistic < 0.09
    rows = ordered(random.normal(size=60) + 4 * (truth & (codes == 1)), truth)
    assert dealt_p(rows, codes[rows.rows], 3, [1], 199, random).tolist() == [1 / 200]


def test_the_memory_changes_nothing(monkeypatch):
    random, truth = np.random.default_rng(5), np.arange(90) % 2 == 0
    rows, codes = ordered(random.normal(size=90) + truth, truth), np.arange(90) // 30
    first = dealt_p(rows, codes[rows.rows], 3, [0, 2], 199, np.random.default_rng(1))
    monkeypatch.setattr(dealing, "_CELLS", 90 * 7)
    assert dealt_p(rows, codes[rows.rows], 3, [0, 2], 199, np.random.default_rng(1)).tolist() == first.tolist()


def test_scores_that_all_tie_show_nothing():
    rows = ordered(np.zeros(80), np.arange(80) % 2 == 0)
    assert dealt_p(rows, np.arange(80) // 40, 2, [0, 1], 99, np.random.default_rng(0)).tolist() == [1, 1]
