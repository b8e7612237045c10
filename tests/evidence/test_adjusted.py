import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit, ndtr
from scipy.stats import norm

from evidence.cases import binormal, samples
from lmia.errors import LmiaError
from lmia.evidence.adjusted import adjusted_auroc, adjusted_difference, overlap, strata
from lmia.evidence.auc import auroc, auroc_difference
from lmia.evidence.ranks import dense_ranks


@st.composite
def stratified(draw, smallest=1, count=4):
    scores, labels = draw(samples(smallest))
    of = st.lists(st.integers(0, count), min_size=len(scores), max_size=len(scores))
    return scores, labels, torch.tensor(draw(of)), torch.tensor(draw(of))


def ends(estimate):
    return estimate.value, estimate.low, estimate.high


def compared(scores, labels, where):
    """Every pair of a member and a nonmember of one stratum, by brute force: who wins, (m, n), and which pairs count."""
    x, y = (scores[side].double().numpy() for side in (labels, ~labels))
    alike = where[labels].numpy()[:, None] == where[~labels].numpy()
    return ((np.sign(x[:, None] - y) + 1) / 2), alike


def influence(scores, labels, where, groups):
    """How far each group moves the pooled area: its members' part and its nonmembers', from all pairs."""
    wins, alike = compared(scores, labels, where)
    excess = (wins - wins[alike].mean()) * alike / alike.sum()
    parts = []
    for side, rows in ((labels, excess.sum(1)), (~labels, excess.sum(0))):
        parts.append(np.array([rows[(groups[side] == group).numpy()].sum() for group in groups.unique()]))
    return parts


def variance(members, nonmembers, counts):
    m, n, g = (count / (count - 1) for count in counts)
    return m * members @ members + n * nonmembers @ nonmembers + 2 * g * members @ nonmembers


@given(samples(), st.integers(1, 12))
def test_strata_follow_the_blind_score_and_split_no_tie(case, count):
    blind, labels = case
    found = strata(blind, labels, count)
    assert sorted(set(found.tolist())) == list(range(int(found.max()) + 1))
    assert int(found.max()) < count
    step, rise = found[:, None] - found, blind.double()[:, None] - blind.double()
    assert bool((step[rise == 0] == 0).all())
    assert bool((step * rise.sign() >= 0).all())


def test_strata_of_distinct_scores_are_of_one_size():
    blind = torch.randperm(200, generator=torch.Generator().manual_seed(0)).float()
    assert strata(blind, torch.arange(200) < 100).bincount().tolist() == [20] * 10
    alternating = strata(torch.arange(200.0), torch.arange(200) % 2 == 0)
    assert alternating.tolist() == [row // 20 for row in range(200)]


def test_the_smaller_side_weighs_as_much_as_the_larger():
    """100 members high up among 10,000 nonmembers: plain deciles would put most of them into one stratum."""
    blind = torch.randn(10_100, generator=torch.Generator().manual_seed(0))
    blind[:100] = blind[:100] * 0.3 + 2
    found = strata(blind, torch.arange(10_100) < 100)
    shares = 0.5 * (found[:100].bincount(minlength=10) / 100 + found[100:].bincount(minlength=10) / 10_000)
    assert shares.tolist() == pytest.approx([0.1] * 10, abs=0.02)


def test_a_blind_score_of_two_values_makes_two_strata():
    blind = torch.arange(100) // 50
    assert torch.equal(strata(blind.float(), torch.arange(100) % 2 == 0), blind)


def test_a_constant_blind_score_is_one_stratum():
    assert strata(torch.zeros(5), torch.tensor([0, 1, 1, 0, 0])).tolist() == [0] * 5


def test_what_cannot_be_cut_is_refused():
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="at least 1 stratum, not 0"):
        strata(torch.zeros(2), labels, 0)
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        strata(torch.tensor([float("nan"), 0]), labels)
    with pytest.raises(LmiaError, match="no nonmembers among the 2"):
        strata(torch.zeros(2), torch.ones(2))


@given(stratified())
def test_overlap_is_the_lesser_shares(case):
    _, labels, where, _ = case
    truth, at = labels.numpy(), where.numpy()
    expected = sum(min((at[truth] == s).mean(), (at[~truth] == s).mean()) for s in set(at.tolist()))
    assert overlap(where, labels) == pytest.approx(expected)
    assert 0 <= overlap(where, labels) <= 1


def test_overlap_from_nothing_to_all():
    labels = torch.tensor([1, 1, 0, 0])
    assert overlap(torch.tensor([0, 0, 1, 1]), labels) == 0.0
    assert overlap(torch.tensor([0, 1, 1, 0]), labels) == 1.0


@given(stratified())
def test_the_value_is_that_of_all_pairs_of_one_stratum(case):
    scores, labels, where, groups = case
    wins, alike = compared(scores, labels, where)
    found = adjusted_auroc(scores, labels, where, groups)
    if not alike.any():
        assert found is None
        return
    assert found.value == pytest.approx(wins[alike].mean(), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert found.n == alike.any(1).sum() + alike.any(0).sum()


@given(stratified(), st.booleans())
def test_one_stratum_is_the_plain_auroc(case, grouped):
    scores, labels, _, groups = case
    groups = groups if grouped else None
    same, plain = torch.full((len(scores),), 7), auroc(scores, labels, groups)
    found = adjusted_auroc(scores, labels, same, groups)
    assert ends(found) == pytest.approx(ends(plain), abs=1e-9)
    assert found.n == plain.n
    assert found.method.replace(", within 1 stratum", "") == plain.method


@given(stratified(smallest=2), st.booleans())
def test_one_stratum_is_the_plain_difference(case, grouped):
    scores, labels, other, groups = case
    groups = groups if grouped else None
    mixed = scores.double() + 2 * other
    found = adjusted_difference(scores, mixed, labels, torch.zeros(len(scores), dtype=torch.int64), groups)
    assert ends(found) == pytest.approx(ends(auroc_difference(scores, mixed, labels, groups)), abs=1e-7)


@given(stratified(), st.permutations(range(5)))
def test_names_of_strata_and_the_order_of_rows_do_not_matter(case, names):
    scores, labels, where, groups = case
    first = adjusted_auroc(scores, labels, where, groups)
    back = torch.arange(len(scores)).flip(0)
    renamed = adjusted_auroc(scores[back], labels[back], 100 * torch.tensor(names)[where][back] - 7, groups[back] - 3)
    assert (first is None) == (renamed is None)
    if first is not None:
        assert ends(renamed) == pytest.approx(ends(first), abs=1e-9)
        assert (renamed.method, renamed.n) == (first.method, first.n)


@pytest.mark.parametrize("grouped", [False, True])
def test_the_interval_rests_on_every_pair_summed_by_group_across_strata_and_sides(grouped):
    generator = torch.Generator().manual_seed(4)
    labels, where = torch.rand(900, generator=generator) < 0.4, torch.arange(900) % 3
    scores = (torch.randn(900, generator=generator, dtype=torch.float64) + 0.6 * labels).round(decimals=1)
    groups = torch.randint(0, 700, (900,), generator=generator) if grouped else torch.arange(900)
    wins, alike = compared(scores, labels, where)
    area, total = wins[alike].mean(), len(groups.unique())
    over, under = (np.bincount(where[side], minlength=3) for side in (~labels, labels))
    counts = [effective(groups[labels], over[where[labels]]), effective(groups[~labels], under[where[~labels]]), total]
    error = np.sqrt(variance(*influence(scores, labels, where, groups), counts))
    expected = expit(logit(area) + np.array([-1, 1]) * norm.ppf(0.975) * error / (area * (1 - area)))
    found = adjusted_auroc(scores, labels, where, groups if grouped else None)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-9)
    assert found.method == "DeLong, logit scale, within 3 strata" + ", clustered by duplicate group" * grouped


def effective(groups, weights):
    mean = np.array([weights[(groups == group).numpy()].mean() for group in groups.unique()])
    return int(mean.sum() ** 2 / (mean**2).sum())


def test_the_difference_rests_on_every_pair_and_turns_round():
    a, labels = binormal(torch.Generator().manual_seed(5), 250, 350, 1.0)
    b, where, groups = (
        a + torch.randn(600, generator=torch.Generator().manual_seed(6)),
        torch.arange(600) % 2,
        torch.arange(600),
    )
    parts = [np.array(influence(score, labels, where, groups)) for score in (a, b)]
    error = np.sqrt(variance(*(parts[0] - parts[1]), [250, 350, 600]))
    value = np.subtract(*(w[k].mean() for w, k in (compared(score, labels, where) for score in (a, b))))
    found, back = (adjusted_difference(*pair, labels, where) for pair in ((a, b), (b, a)))
    assert ends(found) == pytest.approx((value, value - 1.959964 * error, value + 1.959964 * error), abs=1e-7)
    assert ends(back) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-12)


def test_where_no_stratum_holds_both_sides_there_is_no_estimate():
    scores, labels, where = torch.arange(4.0), torch.tensor([1, 1, 0, 0]), torch.tensor([3, 5, 4, 4])
    assert adjusted_auroc(scores, labels, where) is None
    assert adjusted_difference(scores, -scores, labels, where) is None


def test_rows_of_strata_without_both_sides_count_for_nothing():
    scores, labels = binormal(torch.Generator().manual_seed(1), 200, 200, 0.5)
    where = torch.arange(400) % 4
    extra = torch.cat([scores, torch.full((50,), 9.0).double()]), torch.cat([labels, torch.ones(50).bool()])
    found = adjusted_auroc(*extra, torch.cat([where, torch.full((50,), 4)]))
    assert found == adjusted_auroc(scores, labels, where)
    assert found.n == 400


def test_a_score_that_only_sees_the_shift_is_undone():
    """The score is noise around the blind one: AUC .7 overall, .5 among pairs that look alike."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(4000) < 2000
    kind = torch.where(torch.rand(4000, generator=generator) < torch.where(labels, 0.8, 0.2), 1, 0)
    scores = kind * 1.5 + torch.randn(4000, generator=generator)
    raw, found = auroc(scores, labels), adjusted_auroc(scores, labels, strata(kind.float(), labels))
    assert raw.low > 0.65
    assert found.low < 0.5 < found.high
    assert found.value == pytest.approx(0.5, abs=0.03)
    assert overlap(kind, labels) == pytest.approx(0.4, abs=0.04)


def test_a_shift_of_a_continuous_blind_score_falls_to_one_half_and_memory_stays():
    random, labels = np.random.default_rng(0), np.arange(4000) % 2 == 0
    blind, noise = random.normal(labels * 0.8), random.normal(size=4000)
    truth, where = torch.from_numpy(labels), strata(torch.from_numpy(blind), torch.from_numpy(labels))
    shift, memory = torch.from_numpy(blind + 0.3 * noise), torch.from_numpy(labels * 0.8 + noise)
    assert auroc(shift, truth).low > 0.65
    assert abs(adjusted_auroc(shift, truth, where).value - 0.5) < 0.04
    assert adjusted_auroc(memory, truth, where).low > 0.65
    assert adjusted_difference(memory, shift, truth, where).low > 0.1


def test_memory_beside_the_shift_stays():
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(4000) < 2000
    kind = torch.where(torch.rand(4000, generator=generator) < torch.where(labels, 0.8, 0.2), 1, 0)
    scores = kind * 1.5 + 0.5 * labels + torch.randn(4000, generator=generator)
    found = adjusted_auroc(scores, labels, strata(kind.float(), labels))
    assert found.low < ndtr(0.5 / 2**0.5) < found.high
    assert found.low > 0.55


def coverage(draw, truth, repeats):
    hits = [found.low <= truth <= found.high for found in (draw() for _ in range(repeats))]
    return float(np.mean(hits))


@pytest.mark.parametrize(("n", "shift"), [(200, 0.0), (200, 1.5), (600, 1.5)])
def test_the_null_interval_covers(n, shift):
    """1,500 draws have a standard error of 0.6 % at 95 %; the blind score tells the sides apart, the score does not."""
    generator, labels = torch.Generator().manual_seed(n), torch.arange(2 * n) < n

    def draw():
        blind = torch.randn(2 * n, generator=generator) + shift * labels
        return adjusted_auroc(torch.randn(2 * n, generator=generator), labels, strata(blind, labels))

    assert 0.93 <= coverage(draw, 0.5, 1500) <= 0.97


def test_the_interval_covers_where_strata_differ():
    """AUCs from .36 to .86 in ten strata of unlike make-up; the truth weighs each by its share of pairs."""
    generator, labels = torch.Generator().manual_seed(1), torch.arange(600) < 300
    tilt, gain = torch.linspace(-1, 1, 10), torch.linspace(-0.5, 1.5, 10)
    of_members, of_nonmembers = tilt.softmax(0), (-tilt).softmax(0)
    weights = of_members * of_nonmembers
    truth = float((weights * torch.special.ndtr(gain / 2**0.5)).sum() / weights.sum())

    def draw():
        where = torch.cat([torch.multinomial(p, 300, True, generator=generator) for p in (of_members, of_nonmembers)])
        return adjusted_auroc(torch.randn(600, generator=generator) + gain[where] * labels, labels, where)

    assert 0.93 <= coverage(draw, truth, 1200) <= 0.97


def test_the_null_interval_covers_with_strata_of_unlike_size_whose_scores_differ():
    random = np.random.default_rng(1)

    def draw():
        where = random.choice(5, 300, p=[0.4, 0.3, 0.15, 0.1, 0.05])
        labels = random.random(300) < np.array([0.2, 0.4, 0.5, 0.6, 0.8])[where]
        return adjusted_auroc(*map(torch.from_numpy, (random.normal(size=300) + where, labels, where)))

    assert 0.93 <= coverage(draw, 0.5, 1000) <= 0.97


@pytest.mark.parametrize("mixed", [False, True])
def test_the_clustered_null_interval_covers(mixed):
    """300 groups of three, of one side or of both, that spread over strata and share half their score's variance."""
    generator, groups = torch.Generator().manual_seed(2), torch.arange(300).repeat_interleave(3)
    plain = []

    def draw():
        labels = torch.rand(900, generator=generator) < 0.5 if mixed else groups % 2 == 0
        blind = torch.randn(300, generator=generator)[groups] + torch.randn(900, generator=generator)
        scores = torch.randn(300, generator=generator)[groups] + torch.randn(900, generator=generator)
        where = strata(blind, labels)
        alone = adjusted_auroc(scores, labels, where)
        plain.append(alone.low <= 0.5 <= alone.high)
        return adjusted_auroc(scores, labels, where, groups)

    assert 0.93 <= coverage(draw, 0.5, 1000) <= 0.97
    if not mixed:
        assert np.mean(plain) < 0.9


@pytest.mark.parametrize("size", [5, 25])
def test_few_groups_are_covered_with_caution(size):
    generator, groups = torch.Generator().manual_seed(3), torch.arange(20).repeat_interleave(size)
    n, labels = 20 * size, groups % 2 == 0

    def draw():
        blind = torch.randn(20, generator=generator)[groups] + torch.randn(n, generator=generator)
        scores = 0.65 * torch.randn(20, generator=generator)[groups] + torch.randn(n, generator=generator)
        found = adjusted_auroc(scores, labels, strata(blind, labels), groups)
        assert "widened to Newcombe" in found.method
        return found

    assert coverage(draw, 0.5, 400) >= 0.95


def test_the_paired_null_interval_covers():
    generator, labels = torch.Generator().manual_seed(4), torch.arange(500) < 250

    def draw():
        blind = torch.randn(500, generator=generator) + labels
        common, a, b = torch.randn(3, 500, generator=generator)
        return adjusted_difference(common + a, common + b, labels, strata(blind, labels))

    assert 0.93 <= coverage(draw, 0.0, 1000) <= 0.97


def test_copies_count_once():
    scores, labels = binormal(torch.Generator().manual_seed(2), 400, 400, 0.5)
    where = torch.arange(800) % 5
    case = [tensor.repeat_interleave(4) for tensor in (scores, labels, where)]
    single, plain = adjusted_auroc(scores, labels, where), adjusted_auroc(*case)
    copied = adjusted_auroc(*case, torch.arange(800).repeat_interleave(4))
    assert ends(copied) == pytest.approx(ends(single), abs=1e-9)
    assert copied.high - copied.low == pytest.approx(2 * (plain.high - plain.low), rel=0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_without_an_error_the_bound_is_that_of_the_least_supported_weight(sign):
    """30 + 30 in one stratum, 1 + 99 in another: 999 pairs, of which the 99 rest on a single member."""
    labels = torch.tensor([1] * 30 + [0] * 30 + [1] + [0] * 99)
    where = torch.tensor([0] * 60 + [1] * 100)
    found = adjusted_auroc(sign * labels.double(), labels, where)
    pairs = int(min(30 / (900 / 999), 1 / (99 / 999)))
    bound = 0.025 ** (1 / pairs)
    assert pairs == 10
    assert ends(found) == pytest.approx((1, bound, 1) if sign == 1 else (0, 0, 1 - bound))


def test_copies_and_groups_of_many_strata_do_not_tighten_a_flawless_bound():
    labels, where = torch.arange(80) % 2, (torch.arange(80) // 2) % 2
    alone = adjusted_auroc(labels.double(), labels, where)
    assert alone.low == pytest.approx(0.025 ** (1 / 40))
    across = (torch.arange(80) // 4) * 2 + labels  # 20 groups a side, each in both strata
    assert adjusted_auroc(labels.double(), labels, where, across).low == pytest.approx(0.025 ** (1 / 20))


@given(stratified())
def test_scores_of_one_order_within_strata_differ_by_exactly_nothing(case):
    scores, labels, where, groups = case
    found = adjusted_difference(scores, 4 * dense_ranks(scores) + 1000 * where, labels, where, groups)
    assert found is None or ends(found) == (0.0, 0.0, 0.0)


def test_one_sample_a_side_tells_nothing():
    found = adjusted_auroc(torch.tensor([2.0, 1.0]), torch.tensor([1, 0]), torch.tensor([4, 4]))
    assert ends(found) == (1.0, pytest.approx(0.025), 1.0)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (torch.zeros(3, dtype=torch.int64), r"strata must be \(2,\) integers, but are \(3,\)"),
        (torch.zeros(2), "torch.float32"),
    ],
)
def test_strata_of_another_shape_are_refused(where, said):
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match=said):
        adjusted_auroc(torch.zeros(2), labels, where)
    with pytest.raises(ValueError, match=said):
        overlap(where, labels)


def test_bad_scores_are_refused():
    labels, where = torch.tensor([0, 1]), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        adjusted_auroc(torch.tensor([float("nan"), 1.0]), labels, where)
    with pytest.raises(ValueError, match="of the same samples"):
        adjusted_difference(torch.zeros(2), torch.zeros(3), labels, where)
    with pytest.raises(LmiaError, match="no members among the 2"):
        adjusted_auroc(torch.zeros(2), torch.zeros(2), where)


def test_100000_a_side_take_a_fraction_of_a_second():
    generator, labels = torch.Generator().manual_seed(0), torch.arange(200_000) % 2 == 0
    blind, scores = torch.randn(2, 200_000, generator=generator)
    start = time.perf_counter()
    adjusted_auroc(scores, labels, strata(blind, labels), torch.arange(200_000) // 3)
    assert time.perf_counter() - start < 2
