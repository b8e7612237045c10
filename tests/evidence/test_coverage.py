"""Proofs by simulation: how often a 95 % interval holds the truth, over shapes of scores, sizes and effects.

Asked is 93 to 97 % in every cell, from 200 samples a side and up to a true AUC of .98. What is measured with R repeats
has itself a standard error of sqrt(.95 x .05 / R); a cell fails where it lies outside by more than twice that. The
tables (`pytest -s`) show every cell, and how often the truth lay above and below its interval.

Two kinds of cells are asked something else. Where TPRs' scores are full of ties their interval is an exact one, over all
thresholds that the ties leave open: it is asked to hold the truth in at least 95 %, and a cell in which some samples get the
one interval and some the other is asked in proportion. (An interval that holds the middle of resampled thresholds misses the
truth where a step of the scores lies close to the FPR: a test below.) Of groups and strata, those that rest on little, on
fewer than 100 independent groups a side or on fewer than 10 expected errors, are widened on purpose and may hold the truth
more often than 97 %: they are marked `cautious`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from zlib import crc32

import numpy as np
import pytest
import torch
from scipy.stats import binom

from evidence.families import FAMILIES, Normal, Rounded
from lmia.evidence import adjusted_auroc, auroc, rate, strata, tpr_at_fpr
from lmia.evidence.estimate import Estimate
from lmia.evidence.resampling import resample

LOW, HIGH, EXACT = 0.93, 0.97, 0.95
REPEATS = 2000
GROUPS, ERRORS = 100, 10
"""Independent groups a side, and expected errors, below which a cell of groups or strata may hold the truth more often."""


@dataclass(frozen=True)
class Cell:
    """One line of a table: what is drawn, what is true of it, and whether its interval is widened on purpose."""

    name: str
    truth: float
    draw: Callable[[np.random.Generator], Estimate]
    cautious: bool = False

    def measured(self, repeats: int) -> tuple[float, float, float, float]:
        """Return how often the interval held the truth, lay below it, lay above it, and was an exact one."""
        random = np.random.default_rng(crc32(self.name.encode()))
        found = [self.draw(random) for _ in range(repeats)]
        below = float(np.mean([one.high < self.truth for one in found]))
        above = float(np.mean([one.low > self.truth for one in found]))
        exact = float(np.mean([one.method.endswith("ties leave open") for one in found]))
        return 1 - below - above, below, above, exact


def slack(repeats: int) -> float:
    """Two standard errors of a coverage of 95 %, measured with so many repeats."""
    return 2 * float(np.sqrt(0.95 * 0.05 / repeats))


def check(cells: list[Cell], repeats: int) -> None:
    """Measure and print every cell; fail with those that are outside."""
    outside, extra = [], slack(repeats)
    print(
        f"\n{repeats} repeats a cell; asked {LOW:.0%} to {HIGH:.0%}, of exact ones {EXACT:.0%}, with a slack of {extra:.2%}"
    )
    for cell in cells:
        held, below, above, exact = cell.measured(repeats)
        low, high = np.average([(LOW, HIGH), (EXACT, 1.0)], axis=0, weights=[1 - exact, exact])
        high = 1.0 if cell.cautious else high
        bad = not low - extra <= held <= high + extra
        line = f"{cell.name:58} truth {cell.truth:.3f}: held {held:.1%}, below it {below:.1%}, above it {above:.1%}"
        line += ", cautious" if cell.cautious else f", exact in {exact:.0%}" if exact else ""
        print(line + ("  OUTSIDE" if bad else "  (within the slack)" if not low <= held <= high else ""))
        outside += [line] if bad else []
    assert not outside, "\n".join([f"{len(outside)} of {len(cells)} cells:", *outside])


def few(groups, auc):
    """Say whether an AUC rests on little."""
    return groups < GROUPS or groups * min(auc, 1 - auc) < ERRORS


def sides(m, n):
    """Labels of m members before n nonmembers."""
    return np.arange(m + n) < m


def plain(family, m, n):
    members = sides(m, n)
    labels = torch.from_numpy(members)

    def draw(random):
        return auroc(torch.from_numpy(family.scores(random.normal(size=m + n), members)), labels)

    name = f"{type(family).__name__} {m} + {n}, AUC {family.auc:g}"
    return Cell(name, family.auc, draw)


def low_rate(family, m, n, fpr):
    members = sides(m, n)
    labels = torch.from_numpy(members)

    def draw(random):
        scores = torch.from_numpy(family.scores(random.normal(size=m + n), members))
        return tpr_at_fpr(scores, labels, fpr, seed=int(random.integers(2**31))).estimate

    kind = f"Rounded to {family.step:g} at {family.passing:g}" if isinstance(family, Rounded) else type(family).__name__
    name = f"{kind} {m} + {n}, TPR@{fpr:g} at AUC {family.auc:g}"
    return Cell(name, family.tpr(fpr), draw)


def kin(random, groups, correlation):
    """Groups of 1 to 5, every size as often, whose normal numbers are correlated: the numbers, and whose each is."""
    owner = np.repeat(np.arange(groups), 1 + random.permutation(np.arange(groups) % 5))
    common, own = random.normal(size=groups)[owner], random.normal(size=len(owner))
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own, owner


def clustered(family, groups, correlation):
    """So many groups a side; every group is of one side."""

    def draw(random):
        normal, owner = kin(random, 2 * groups, correlation)
        members = owner < groups
        scores = torch.from_numpy(family.scores(normal, members))
        return auroc(scores, torch.from_numpy(members), torch.from_numpy(owner))

    name = f"{type(family).__name__} {groups} + {groups} groups, correlation {correlation:g}, AUC {family.auc:g}"
    return Cell(name, family.auc, draw, few(groups, family.auc))


def stratified(family, n, correlation=0.0):
    """n a side in ten strata that members fill upwards and nonmembers downwards, and whose scores lie apart."""
    tilt = np.linspace(-0.8, 0.8, 10)
    odds = [np.exp(sign * tilt) / np.exp(sign * tilt).sum() for sign in (1, -1)]

    def draw(random):
        normal, owner = kin(random, 2 * n // 3, correlation) if correlation else (random.normal(size=2 * n), None)
        members = owner < n // 3 if owner is not None else sides(n, n)
        where = np.where(members, *(random.choice(10, len(members), p=p) for p in odds))
        scores = torch.from_numpy(family.scores(normal, members) + 2.0 * where)
        groups = None if owner is None else torch.from_numpy(owner)
        return adjusted_auroc(scores, torch.from_numpy(members), torch.from_numpy(where), groups)

    of = f", in groups with correlation {correlation:g}" if correlation else ""
    name = f"{type(family).__name__} {n} + {n} in ten strata{of}, AUC {family.auc:g}"
    return Cell(name, family.auc, draw, few(n // 3 if correlation else n, family.auc))


def cut_by_blind(n, gap, memory):
    """Deciles of a blind score that tells the sides apart by `gap`; the score repeats it, and adds noise and memory.

    What the strata leave of the gap is part of what is estimated, so the truth is a sample's of 2 x 2,000,000.
    """

    def pairs(random, each):
        members = sides(each, each)
        blind = random.normal(size=2 * each) + gap * members
        scores = blind + random.normal(size=2 * each) + memory * members
        labels = torch.from_numpy(members)
        return adjusted_auroc(torch.from_numpy(scores), labels, strata(torch.from_numpy(blind), labels))

    truth = pairs(np.random.default_rng(0), 2_000_000).value
    return Cell(
        f"Normal {n} + {n} in deciles of a blind score, gap {gap:g}, memory {memory:g}", truth, lambda r: pairs(r, n)
    )


def test_a_few_cells_cover():
    """The small version: 200 repeats, so that a broken interval shows and chance does not."""
    of = [family(0.75) for family in FAMILIES]
    cells = [plain(one, 200, 200) for one in of] + [clustered(of[1], 100, 0.5), stratified(of[2], 300)]
    check([*cells, low_rate(of[0], 200, 1000, 0.01)], 200)


def test_an_interval_that_ignores_groups_is_caught():
    """The proofs below prove nothing if this passes them."""
    grouped = clustered(Normal(0.75), 100, 0.5)

    def draw(random):
        normal, owner = kin(random, 200, 0.5)
        members = owner < 100
        return auroc(torch.from_numpy(Normal(0.75).scores(normal, members)), torch.from_numpy(members))

    with pytest.raises(AssertionError, match="1 of 1 cells"):
        check([Cell("groups ignored", grouped.truth, draw)], 200)


def copied(nonmembers, copies):
    """Independent members, and so many nonmembers each of whom is there several times; TPR at 1 %."""
    owner = np.concatenate([np.arange(1000), 1000 + np.repeat(np.arange(nonmembers), copies)])
    members, family = owner < 1000, Normal(0.75)

    def draw(random):
        scores = torch.from_numpy(family.scores(random.normal(size=1000 + nonmembers)[owner], members))
        seed = int(random.integers(2**31))
        return tpr_at_fpr(scores, torch.from_numpy(members), 0.01, torch.from_numpy(owner), seed=seed).estimate

    return Cell(f"{nonmembers} nonmembers {copies} times, TPR@0.01 at AUC 0.75", family.tpr(0.01), draw)


def test_a_threshold_that_rests_on_copies_of_one_is_caught(monkeypatch):
    """As above: what the guard keeps from reports; pairs of copies, which it lets pass, are covered."""
    check([copied(500, 2)], 200)
    monkeypatch.setattr("lmia.evidence.tpr.CLUMPED", 1e9)
    with pytest.raises(AssertionError, match="1 of 1 cells"):
        check([copied(100, 10)], 200)


def test_an_interval_of_resampled_thresholds_alone_is_caught_at_a_step_of_the_scores():
    """As above: the middle of the draws, which is right without ties."""
    family, members = Rounded(0.75, 1.0, 0.0107), sides(1000, 1000)

    def draw(random):
        scores = family.scores(random.normal(size=2000), members)
        drawn = resample(scores[members], scores[~members], None, 0.01, 1000, int(random.integers(2**31)))
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Estimate(float(np.median(drawn)), low, high, 0.95, "draws alone", 2000)

    with pytest.raises(AssertionError, match="1 of 1 cells"):
        check([Cell("resampled thresholds alone", family.tpr(0.01), draw)], 1000)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("n", [1, 2, 5, 20, 100, 299])
def test_exact_intervals_cover_at_least_so_often(n, confidence):
    """By enumeration, without chance: coverage is least just beside the ends of the n + 1 intervals, so those are tried."""
    found = [rate(k, n, confidence) for k in range(n + 1)]
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    beside = np.concatenate([low, high])[:, None] + np.array([-1e-9, 1e-9])
    truth = np.clip(beside.ravel(), 0, 1)[:, None]
    covered = ((low <= truth) & (truth <= high)) * binom.pmf(np.arange(n + 1), n, truth)
    assert covered.sum(1).min() >= confidence - 1e-6
    assert covered.sum(1).min() < confidence + 0.5 / n**0.5  # and is no wider than it must be


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_auc_covers(family):
    aucs, sizes = (0.5, 0.75, 0.9, 0.98), ((200, 200), (200, 1000), (1000, 1000))
    check([plain(family(auc), *size) for auc, size in product(aucs, sizes)], REPEATS)


SIZES = ((200, 1000, 0.01), (1000, 1000, 0.01), (3000, 3000, 0.01), (200, 200, 0.05), (1000, 10000, 0.001))


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_tpr_covers(family):
    check([low_rate(family(auc), *size) for auc, size in product((0.5, 0.75, 0.9, 0.98), SIZES)], REPEATS)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("step", [0.01, 0.1, 0.25, 1.0])
@pytest.mark.parametrize("off", [-0.005, 0.005, 0.1])
def test_the_tpr_covers_where_a_step_of_the_scores_lies_close_to_the_fpr(step, off):
    """Just below it, just above it, and further; the smallest step makes ties that matter less than chance does."""
    cells = product((0.5, 0.75, 0.98), SIZES[:4])
    check([low_rate(Rounded(auc, step, size[2] * (1 + off)), *size) for auc, size in cells], REPEATS)


def test_the_rounded_scores_are_what_they_say():
    """A million of each side against the closed form, at a step just above the FPR and just below it."""
    members = sides(10**6, 10**6)
    for passing in (0.0095, 0.0105):
        one = Rounded(0.75, 0.25, passing)
        scores = one.scores(np.random.default_rng(0).normal(size=2 * 10**6), members)
        false = np.array([(scores[~members] >= at).mean() for at in range(4)])
        first = int((false > 0.01).sum())
        assert first == (passing > 0.01)
        assert (scores[members] >= first).mean() == pytest.approx(one.tpr(0.01), abs=0.002)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_clustered_auc_covers(family):
    aucs, groups, correlations = (0.5, 0.75, 0.98), (70, 120, 300), (0.2, 0.8)
    check([clustered(family(a), g, c) for a, g, c in product(aucs, groups, correlations)], REPEATS)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_adjusted_auc_covers(family):
    aucs, sizes, correlations = (0.5, 0.75, 0.9, 0.98), (210, 900), (0.0, 0.5)
    check([stratified(family(a), n, c) for a, n, c in product(aucs, sizes, correlations)], REPEATS)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_adjusted_auc_covers_in_deciles_of_a_blind_score():
    gaps, memories, sizes = (0.0, 0.5, 1.5), (0.0, 0.5, 1.5), (200, 1000)
    check([cut_by_blind(n, gap, memory) for gap, memory, n in product(gaps, memories, sizes)], REPEATS)
