"""The learnt combination: never fooled by what it was taught, as sound as a score that was named, and worth its price."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

import lmia
from lmia.collection.asked import Asked
from lmia.collection.learning import FEWEST, learned, learners
from lmia.collection.pairs import Pairs
from lmia.collection.units import Units
from lmia.errors import LmiaError, NothingToLearn


class Column(lmia.Attack):
    """One number of the picture's.

    Args:
        at: which.
    """

    needs = frozenset({"embeddings"})

    def __init__(self, at: int = 0) -> None:
        self.at = at

    def score(self, samples):
        return samples.image[:, self.at]


class Memory(lmia.Attack):
    """Knows by heart what it was fitted on, and nothing else."""

    requires = frozenset({"known_nonmembers", "pool"})
    fitted: list = []  # noqa: RUF012

    def fit(self, known):
        self.known, self.pool = set(known.nonmembers.ids.tolist()), set(known.pool.ids.tolist())
        Memory.fitted.append((self.known, self.pool))

    def score(self, samples):
        return torch.tensor([float((i in self.pool) - (i in self.known)) for i in samples.ids.tolist()])


class Idle(Column):
    """Finds nothing to learn."""

    def fit(self, known):
        raise NothingToLearn("Nothing is here.", "Look elsewhere.", {})


def world(mine, heldout):
    """Pairs whose picture features are given, (n, k) and (m, k), shuffled as `seen` does."""
    rows = np.concatenate([mine, heldout]).astype(np.float32)
    order = np.random.default_rng(9).permutation(len(rows))
    back = np.argsort(order)
    image = torch.from_numpy(rows[order])
    samples = lmia.Samples(
        torch.arange(len(rows)), [""] * len(rows), ("identity",),
        {"cosine": image[:, :1], "image": image, "text": image},
    )  # fmt: skip
    at = {"mine": back[: len(mine)], "held-out": back[len(mine) :]}
    keys = {name: [f"{name}{i}" for i in range(len(where))] for name, where in at.items()}
    groups = {name: np.arange(len(where)) for name, where in at.items()}
    return Pairs(samples, at, keys, groups, lmia.TargetFacts("numbers"))


def singles(n, m):
    return Units(np.arange(n), np.array([f"m{i}" for i in range(n)])), Units(
        np.arange(m), np.array([f"h{i}" for i in range(m)])
    )


def test_no_false_alarms_where_there_is_nothing():
    """Three scores of nothing: p is small no more often than it says, and each half's p is as it should be."""
    generator = np.random.default_rng(0)
    p, halves = [], []
    for i in range(150):
        found = learned(
            world(*generator.normal(size=(2, 60, 3))), [Column(j) for j in range(3)], singles(60, 60),
            Asked(permutations=99, seed=i),
        )  # fmt: skip
        p.append(found.p)
        halves += [half.found.p for half in found.halves]
    uniform = np.array(halves) - generator.random(len(halves)) / 100
    assert stats.kstest(uniform, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * (0.05 / 150) ** 0.5


def test_what_was_learnt_by_heart_shows_nowhere():
    """An attack that names its own training pairs perfectly: scored on them it would give p near 0."""
    generator = np.random.default_rng(1)
    Memory.fitted.clear()
    pairs = world(*generator.normal(size=(2, 200, 2)))
    found = learned(pairs, [Memory(), Column()], singles(200, 200), Asked(permutations=499))
    assert found.p > 0.05
    (known, pool), (known_too, pool_too) = Memory.fitted
    assert len(known) == len(pool) == 50
    assert not (known | pool) & (known_too | pool_too)
    assert pool <= set(pairs.at["mine"].tolist())
    assert known <= set(pairs.at["held-out"].tolist())
    assert all(abs(half.weights["memory"]) < 1e-9 for half in found.halves)  # the combination never saw it work


def test_three_scores_see_what_one_hardly_does():
    generator = np.random.default_rng(2)
    together, alone = [], []
    for _ in range(15):
        mine, heldout = generator.normal(0.3, 1, (120, 6)), generator.normal(size=(120, 6))
        pairs, attacks = world(mine, heldout), [Column(j) for j in range(6)]
        found = learned(pairs, attacks, singles(120, 120), Asked(permutations=999))
        assert found.p == min(1, 2 * min(half.found.p for half in found.halves))
        assert [half.found.used for half in found.halves] == [(60, 60), (60, 60)]
        together.append(found.p)
        alone.append(learned(pairs, attacks[:1], singles(120, 120), Asked(permutations=999)).p)
    assert np.median(together) <= 0.01
    assert np.median(alone) > 3 * np.median(together)


def test_clusters_and_units_stay_whole():
    """40 shoots of 5 with a strong common part: cut by pair, both halves would know each other's shoots."""
    generator = np.random.default_rng(3)
    p = []
    for i in range(60):
        rows = [
            (generator.normal(size=(40, 2))[:, None] + 0.3 * generator.normal(size=(40, 5, 2))).reshape(200, 2)
            for _ in "ab"
        ]
        label = np.repeat(np.arange(40), 5)
        units = tuple(Units(np.arange(200), np.array([f"{side}{one}" for one in label])) for side in "mh")
        found = learned(world(*rows), [Column(0), Column(1)], units, Asked(permutations=99, seed=i))
        p.append(found.p)
        assert [half.found.clusters for half in found.halves] == [(20, 20), (20, 20)]
    assert np.mean(np.array(p) <= 0.05) < 0.15
    units = tuple(Units(np.repeat(np.arange(40), 5), np.array([f"{side}{i}" for i in range(40)])) for side in "mh")
    found = learned(world(*rows), [Column(0), Column(1)], units, Asked(permutations=99))
    assert [half.found.used for half in found.halves] == [(20, 20), (20, 20)]


def test_pairs_of_a_shoot_go_together():
    generator = np.random.default_rng(4)
    common = 3 * generator.normal(size=(40, 2))
    mine, heldout = common + generator.normal(0.8, 0.5, (40, 2)), common + generator.normal(0, 0.5, (40, 2))
    shoots = np.array([f"s{i}" for i in range(40)])
    units = (Units(np.arange(40), shoots), Units(np.arange(40), shoots))
    found = learned(world(mine, heldout), [Column(0), Column(1)], units, Asked(pair_by="shoot", permutations=999))
    assert [half.found.clusters for half in found.halves] == [(20, 20), (20, 20)]
    assert [half.found.unused for half in found.halves] == [(0, 0), (0, 0)]
    assert found.p <= 0.01


def test_the_user_has_no_seed_to_choose():
    generator = np.random.default_rng(5)
    pairs, attacks = world(*generator.normal(size=(2, 60, 2))), [Column(0), Column(1)]
    one, two = (learned(pairs, attacks, singles(60, 60), Asked(permutations=99, seed=seed)) for seed in (0, 1))
    assert [half.weights for half in one.halves] == [half.weights for half in two.halves]
    assert [half.found.difference for half in one.halves] == [half.found.difference for half in two.halves]


def test_attacks_that_find_nothing_are_left_out_and_named():
    generator = np.random.default_rng(6)
    pairs = world(*generator.normal(size=(2, 60, 2)))
    found = learned(pairs, [Column(0), Idle(1)], singles(60, 60), Asked(permutations=99))
    assert [half.without for half in found.halves] == [["idle"], ["idle"]]
    assert [list(half.weights) for half in found.halves] == [["column"], ["column"]]
    said = " ".join(found.sentences("csa", 0.3, 0.01))
    assert "In half 1, left out for having nothing to learn from: idle." in said
    nothing = learned(pairs, [Idle(1)], singles(60, 60), Asked(permutations=99))
    assert nothing.p == 1
    assert "twice the smaller of 1 and 1" in " ".join(nothing.sentences("csa", 0.3, 0.01))


def test_both_p_values_and_the_choice_are_said():
    generator = np.random.default_rng(7)
    found = learned(world(*generator.normal(size=(2, 60, 1))), [Column()], singles(60, 60), Asked(permutations=99))
    said = replace(found, p=0.002).sentences("csa", 0.03, 0.01)
    assert said[0].startswith("Learned, as you chose with --learn: column combined by a logistic regression")
    assert "A difference found: p = 0.002" in said[0]
    assert "of csa alone, p = 0.03, which was named first" in said[1]
    assert "No difference found" in replace(found, p=0.5).sentences("csa", 0.03, 0.01)[0]


@pytest.mark.parametrize("n", [4, FEWEST - 1])
def test_too_few_are_refused(n):
    pairs = world(np.zeros((n, 1)), np.zeros((60, 1)))
    with pytest.raises(LmiaError, match=f"one has {n} groups"):
        learned(pairs, [Column()], singles(n, 60), Asked(permutations=99))


def test_attacks_that_it_cannot_combine_are_refused():
    with pytest.raises(LmiaError, match="nothing to learn with"):
        learners([])
    with pytest.raises(LmiaError, match="'aea:"):
        learners(["csa", "aea"])
    with pytest.raises(LmiaError, match="asked for twice"):
        learners(["csa", "csa"])
    assert len(learners(["csa", "wsa", "wsa:bench"])) == 3
