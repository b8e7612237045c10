import time
from itertools import chain, combinations, permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from sklearn.metrics import roc_auc_score

from lmia.errors import LmiaError
from lmia.evidence import multiplicity
from lmia.evidence.multiplicity import dealt, holm


def max_statistic(*args, **options):
    return multiplicity.max_statistic(*args, **options).best


def statistic(score, labels):
    """AUC - 1/2 by counting, in units of its spread: the norm of the signed ranks, mn cancels."""
    wins = np.sign(score[:, None] - score)
    norm = np.sqrt((wins.sum(1) ** 2).sum())
    return wins[labels == 1][:, labels == 0].sum() / norm if norm else 0.0


def enumerated(scores, labels, deals, two_sided=False):
    """Adjusted p-values over every deal of the labels."""
    measure = abs if two_sided else float
    found = [measure(statistic(score, labels)) for score in scores]
    highest = np.array([max(measure(statistic(score, deal)) for score in scores) for deal in deals])
    return [np.mean(highest >= value - 1e-9) for value in found]


def subsets(n, m):
    return [np.isin(np.arange(n), chosen).astype(int) for chosen in combinations(range(n), m)]


def close(found, exact, draws):
    error = np.sqrt(np.array(exact) * (1 - np.array(exact)) / draws)
    np.testing.assert_array_less(np.abs(found.numpy() - exact), 4 * error + 2 / draws)


@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.5, 1.0])), min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p):
    """A hypothesis falls when every intersection with it does: the largest |S| min(p of S) over the sets S it is in."""
    sets = list(chain(*(combinations(range(len(p)), size) for size in range(1, len(p) + 1))))
    expected = [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if j in s) for j in range(len(p))]
    assert holm(torch.tensor(p, dtype=torch.float64)).tolist() == pytest.approx(expected, abs=1e-12)


def test_holm_by_hand():
    assert holm(torch.tensor([0.04, 0.01, 0.03, 0.005]).double()).tolist() == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm(torch.tensor([], dtype=torch.float64)).tolist() == []
    assert holm(torch.tensor([0.5], dtype=torch.bfloat16)).tolist() == [0.5]


@pytest.mark.parametrize(("p", "said"), [([0.1, float("nan")], "1 of 2 scores are NaN"), ([-0.1, 0.5], r"\[0, 1\]")])
def test_holm_refuses_what_is_no_probability(p, said):
    with pytest.raises(ValueError, match=said):
        holm(torch.tensor(p))


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("levels", [2, 4, 1000])
def test_every_deal_of_four_and_five(two_sided, levels):
    random = np.random.default_rng(levels)
    scores, labels = random.integers(0, levels, (3, 9)).astype(float), np.array([1, 0, 1, 1, 0, 1, 0, 0, 0])
    scores[0] += labels * levels / 3
    exact = enumerated(scores, labels, subsets(9, 4), two_sided)
    found = max_statistic(torch.tensor(scores), torch.tensor(labels), None, 8000, 1, two_sided)
    close(found, exact, 8000)


def test_every_deal_of_whole_groups_of_a_size():
    """Sizes 1, 2 and 3; of three pairs one is a member's, of four singles two, and the triple never moves."""
    groups = np.array([0, 1, 1, 2, 3, 3, 4, 5, 6, 6, 7, 7, 7])
    labels = np.array([1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1])
    scores = np.random.default_rng(5).integers(0, 6, (2, 13)) + labels
    singles, pairs, deals = np.array([0, 3, 6, 7]), np.array([[1, 2], [4, 5], [8, 9]]), []
    for chosen, pair in product(combinations(singles, 2), pairs):
        deal = np.zeros(13, int)
        deal[[*chosen, *pair, 10, 11, 12]] = 1
        deals.append(deal)
    assert len(deals) == 18
    found = max_statistic(torch.tensor(scores), torch.tensor(labels), torch.tensor(groups), 8000)
    close(found, enumerated(scores, labels, deals), 8000)


def test_every_deal_of_groups_of_both_sides():
    groups, labels = np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.array([1, 0, 1, 0, 1, 1, 0, 0])
    scores = np.random.default_rng(0).normal(size=(2, 8)) + labels
    deals = []
    for patterns in permutations([(1, 0), (1, 0), (1, 1), (0, 0)]):
        turned = [[pattern, pattern[::-1]] for pattern in patterns]
        deals += [np.concatenate(deal) for deal in product(*turned)]
    found = max_statistic(torch.tensor(scores), torch.tensor(labels), torch.tensor(groups), 8000)
    close(found, enumerated(scores, labels, deals), 8000)


def test_one_score_has_the_plain_permutation_p(monkeypatch):
    """The very same deals, judged by scikit-learn's AUC."""
    random = np.random.default_rng(2)
    labels = np.arange(30) < 14
    score, deals, deal = random.integers(0, 8, 30) + 1.5 * labels, [], multiplicity._Block.deal

    def heard(block, streams, times):
        dealt = deal(block, streams, times)
        deals.extend(dealt[:, :, 0])
        return dealt

    monkeypatch.setattr(multiplicity._Block, "deal", heard)
    found = max_statistic(torch.tensor(score)[None], torch.tensor(labels), permutations=499)
    area = roc_auc_score(labels, score) - 1e-9
    assert float(found) == (1 + sum(roc_auc_score(one, score) >= area for one in deals)) / 500
    assert {one.sum() for one in deals} == {14}


def test_every_choice_is_as_likely():
    labels, alone = np.arange(6) % 2.0, np.arange(6)
    (block,) = multiplicity._blocks(labels, alone, np.zeros(6, np.int64))
    drawn = [tuple(np.flatnonzero(one)) for one in block.deal([np.random.default_rng(0)], 6000)[:, :, 0]]
    assert chisquare([drawn.count(one) for one in combinations(range(6), 3)]).pvalue > 0.001


@pytest.mark.parametrize("clustered", [False, True])
def test_p_is_uniform_under_the_null(clustered):
    random, p = np.random.default_rng(4), []
    groups = torch.arange(60) // 3 if clustered else None
    labels = (torch.arange(60) // 3) % 2 == 0
    for seed in range(400):
        shared = random.normal(size=20).repeat(3) if clustered else 0
        score = torch.tensor(shared + random.normal(size=60))
        p.append(float(max_statistic(score[None], labels, groups, 99, seed)))
    # 99 permutations leave steps of 1/100; spread over its step, an exact p is uniform.
    assert kstest(np.array(p) - random.random(400) / 100, "uniform").pvalue > 0.01


def test_family_wise_error_of_ten_scores():
    random, labels = np.random.default_rng(6), torch.arange(80) % 2 == 0
    smallest = [
        float(
            max_statistic(
                torch.tensor(random.normal(size=(10, 80)) + random.normal(size=80)), labels, None, 199, s
            ).min()
        )
        for s in range(400)
    ]
    assert 0.02 < np.mean(np.array(smallest) <= 0.05) < 0.085


def test_samples_that_hang_together_need_their_groups():
    random, groups = np.random.default_rng(8), torch.arange(100) // 5
    labels, alarms = groups % 2 == 0, []
    for seed in range(300):
        score = torch.tensor(random.normal(size=20).repeat(5) + 0.7 * random.normal(size=100))[None]
        alarms.append([float(max_statistic(score, labels, which, 99, seed)) <= 0.05 for which in (groups, None)])
    by_group, plain = np.mean(alarms, 0)
    assert by_group < 0.09
    assert plain > 0.15


def test_one_strong_score_is_found_among_forty():
    random, labels = np.random.default_rng(9), torch.arange(200) < 100
    scores = torch.tensor(random.normal(size=(40, 200)))
    scores[17] += 0.9 * labels
    found = max_statistic(scores, labels)
    assert float(found[17]) <= 0.001
    assert float(np.delete(found.numpy(), 17).min()) > 0.05


def test_a_weak_score_pays_for_being_one_of_many_but_not_for_copies():
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(200) < 100
    weak = torch.randn(200, generator=generator, dtype=torch.float64) + 0.25 * labels
    others = torch.randn(30, 200, generator=generator, dtype=torch.float64)
    alone = max_statistic(weak[None], labels)
    assert torch.equal(max_statistic(torch.stack([weak, 3 * weak, weak.exp()]), labels), alone.expand(3))
    assert float(max_statistic(torch.cat([weak[None], others]), labels)[0]) > 2 * float(alone)


def test_ties_do_not_hide_a_score_behind_one_without():
    """A rare flag moves the AUC little, but surely; unscaled, the noise of the other score would drown it."""
    labels = torch.arange(400) < 200
    flag = torch.zeros(400)
    flag[:12] = 1
    noise = torch.randn(400, generator=torch.Generator().manual_seed(3))
    found = max_statistic(torch.stack([flag, noise]), labels)
    assert float(found[0]) < 0.01
    assert float(found[1]) > 0.05


def test_the_other_sign_counts_where_asked():
    labels = torch.arange(60) < 30
    score = -torch.arange(60.0)[None].flip(1)
    assert float(max_statistic(score, labels)) == 1.0
    assert float(max_statistic(score, labels, two_sided=True)) == pytest.approx(1 / 2001)
    assert float(max_statistic(-score, labels)) == pytest.approx(1 / 2001)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("two_sided", [False, True])
def test_a_constant_score_shows_nothing(dtype, two_sided):
    scores = torch.stack([torch.zeros(20), torch.arange(20.0)]).to(dtype)
    found = max_statistic(scores, torch.arange(20) >= 10, two_sided=two_sided)
    assert float(found[0]) == 1.0
    assert float(found[1]) < 0.01


def test_groups_of_a_size_of_their_own_cannot_move():
    groups = torch.tensor([0, 1, 1, 2, 2, 2])
    assert float(max_statistic(torch.arange(6.0)[None], torch.tensor([0, 1, 1, 0, 0, 0]), groups)) == 1.0


def test_the_seed_decides_and_the_memory_does_not(monkeypatch):
    random = np.random.default_rng(3)
    scores, groups = torch.tensor(random.normal(size=(4, 50))), torch.tensor(random.integers(0, 25, 50))
    labels = torch.tensor(random.integers(0, 2, 50))
    first, other = (max_statistic(scores, labels, groups, 300, seed) for seed in (0, 1))
    monkeypatch.setattr(multiplicity, "_CELLS", 120)
    assert torch.equal(max_statistic(scores, labels, groups, 300, 0), first)
    assert not torch.equal(first, other)


def test_no_score_at_all_has_no_p():
    assert max_statistic(torch.zeros(0, 4), torch.tensor([0, 1, 0, 1])).shape == (0,)


@pytest.mark.parametrize(
    ("scores", "labels", "count", "said"),
    [
        (torch.zeros(4), [0, 1, 0, 1], 10, r"must be \(k, n\)"),
        (torch.zeros(1, 4), [0, 1, 0, 1], 0, "permutations are 0"),
        (torch.zeros(1, 4), [0, 1, 0], 10, r"\(4,\)"),
        (torch.zeros(1, 4), [0, 1, 0, 2], 10, "neither 0"),
        (torch.tensor([[1.0, float("nan")]]), [0, 1], 10, "1 of 2 scores are NaN"),
    ],
)
def test_what_cannot_be_tested_is_refused(scores, labels, count, said):
    with pytest.raises(ValueError, match=said):
        max_statistic(scores, torch.tensor(labels), permutations=count)


def test_one_side_missing_is_a_sentence():
    with pytest.raises(LmiaError, match="no members among the 3"):
        max_statistic(torch.zeros(1, 3), torch.zeros(3))


def test_100000_a_side_and_ten_scores_keep_within_a_minute_for_2000_permutations():
    scores, labels = (
        torch.randn(10, 200_000, generator=torch.Generator().manual_seed(0)),
        torch.arange(200_000) % 2 == 0,
    )
    start = time.process_time()  # of both cores; whatever else wants them does not count
    max_statistic(scores, labels, permutations=100)
    assert time.process_time() - start < 6


def enumerated_in_strata(score, labels, strata):
    """The p-value of the pairs won within strata, over every deal of labels that leaves each stratum its members."""

    def won(dealt):
        wins = np.sign(score[:, None] - score)[np.ix_(dealt == 1, dealt == 0)]
        return wins[strata[dealt == 1][:, None] == strata[dealt == 0]].sum()

    within = [subsets((strata == one).sum(), labels[strata == one].sum()) for one in np.unique(strata)]
    deals = []
    for parts in product(*within):
        dealt = np.zeros(len(labels), int)
        for one, part in zip(np.unique(strata), parts, strict=True):
            dealt[strata == one] = part
        deals.append(dealt)
    return np.mean([won(dealt) >= won(labels) for dealt in deals])


@pytest.mark.parametrize("seed", range(4))
def test_every_deal_within_strata(seed):
    random = np.random.default_rng(seed)
    strata, labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2]), np.array([1, 1, 0, 0, 1, 0, 0, 1, 1, 0])
    score = random.integers(0, 5, 10)
    found = multiplicity.max_statistic(
        torch.tensor(score)[None], torch.tensor(labels), permutations=20_000, strata=torch.tensor(strata)
    )
    close(found.alone, [enumerated_in_strata(score, labels, strata)], 20_000)
    assert found.alone.tolist() == found.best.tolist()


def test_within_strata_a_difference_of_strata_does_not_show():
    random = np.random.default_rng(0)
    strata = np.repeat([0, 1], 300)
    labels = np.concatenate([random.random(300) < 0.2, random.random(300) < 0.8])
    score = torch.from_numpy(strata + random.normal(0, 0.1, 600))[None]
    plain, within = (
        multiplicity.max_statistic(score, torch.from_numpy(labels), permutations=500, strata=one).alone
        for one in (None, torch.from_numpy(strata))
    )
    assert plain.item() < 0.01 < within.item()


def test_a_group_across_strata_moves_with_its_like_alone():
    """Two groups of both strata may trade labels; a group of one stratum has no partner and stays."""
    groups, strata = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 0, 1, 0])
    labels, score = torch.tensor([1, 1, 0, 0, 1]), torch.tensor([[5.0, 4.0, 1.0, 2.0, 3.0]])
    found = multiplicity.max_statistic(score, labels, groups, permutations=20_000, strata=strata)
    close(found.alone, [0.5], 20_000)


def test_alone_is_not_corrected():
    scores = torch.stack(
        [torch.arange(60.0), *(torch.randperm(60, generator=torch.Generator().manual_seed(i)) for i in range(9))]
    )
    found = multiplicity.max_statistic(scores.double(), torch.arange(60) >= 33, permutations=400)
    assert (found.alone <= found.best).all()
    assert (found.alone < found.best).any()


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40), st.integers(0, 99))
def test_a_deal_keeps_groups_together_and_each_size_its_members(rows, seed):
    groups, labels = (torch.tensor(part) for part in zip(*rows, strict=True))
    held = [
        sorted((int((groups == one).sum()), int(some[groups == one].sum())) for one in groups.unique())
        for some in (labels, dealt(labels, groups, seed))
    ]
    assert held[0] == held[1]


def test_every_deal_is_as_likely_as_any_other():
    found = [tuple(dealt(torch.arange(4) < 2, None, seed).tolist()) for seed in range(3000)]
    counts = [found.count(one) for one in set(found)]
    assert len(counts) == 6
    assert chisquare(counts).pvalue > 0.001
