"""Anchor against loops, its choice of temperature against the bootstrap, and the laws of an attack."""

import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import lmia_anchor
from lmia import Known, LmiaError, Samples, TargetFacts
from lmia.signals import anchor_normalised, sigmoid_normalised
from lmia_anchor import Anchor

D = 16


def samples(image, text):
    n = len(image)
    return Samples(torch.arange(n), ["a"] * n, ("identity",), {"image": image, "text": text})


def world(n, match, seed, dtype=torch.float32):
    """Pairs sharing `match` of their direction. All images lean on one direction, and captions do so by chance: hubs."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    shared, common = normal(n, D), torch.ones(1, D)
    image, text = shared + 0.5 * common, match * shared + normal(n, D) + normal(n, 1) * common
    return samples(image.to(dtype), text.to(dtype))


def joined(a, b):
    return samples(torch.cat([a.image, b.image]), torch.cat([a.text, b.text]))


def known(n=200, pool=200, scale=14.0, seed=0, **facts):
    mixed = joined(world(pool // 2, 1.6, 11), world(pool - pool // 2, 1.0, 12)) if pool else None
    return Known(world(n, 1.0, 10), mixed, TargetFacts("toy", scale, **facts), seed)


def fitted(knowledge, **arguments):
    attack = Anchor(**arguments)
    attack.fit(knowledge)
    return attack


class TestScore:
    @pytest.mark.parametrize("bank", ["both", "known"])
    def test_by_hand(self, bank):
        given, few = known(20, 20), world(5, 1.0, 1)
        found = fitted(given, temperature=10.0, bank=bank).score(few)
        parts = [given.nonmembers, given.pool] if bank == "both" else [given.nonmembers]
        rows = [row for part in parts for row in zip(part.image.numpy(), part.text.numpy(), strict=True)]

        def e(a, b):
            return math.exp(10 * float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b)))

        for score, u, v in zip(found, few.image.numpy(), few.text.numpy(), strict=True):
            own = e(u, v)
            texts, images = sum(e(u, text) for _, text in rows), sum(e(image, v) for image, _ in rows)
            expected = math.log(own) - 0.5 * (math.log(own + texts) + math.log(own + images))
            assert score.item() == pytest.approx(expected, abs=1e-5)

    def test_laws(self):
        many, given = world(50, 1.0, 1), known()
        before = [many.image.clone(), many.text.clone(), given.nonmembers.image.clone(), given.pool.text.clone()]
        attack = fitted(given)
        scores = attack.score(many)
        assert scores.shape == (50,)
        assert scores.isfinite().all()
        assert torch.equal(scores, fitted(given).score(many)), "the same fit, the same scores"
        assert torch.equal(scores, attack.score(many)), "scoring leaves no trace"
        parts = torch.cat([attack.score(part) for part in many.chunks(7)])
        torch.testing.assert_close(parts, scores, rtol=1e-6, atol=0)
        after = [many.image, many.text, given.nonmembers.image, given.pool.text]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))

    def test_closer_pairs_score_higher(self):
        attack = fitted(known())
        assert attack.score(world(100, 3.0, 1)).mean() > attack.score(world(100, 0.5, 1)).mean()

    def test_sees_through_hubs_where_the_cosine_does_not(self):
        both, truth = joined(world(1000, 1.6, 1), world(1000, 1.0, 2)), [1] * 1000 + [0] * 1000
        cosine = torch.nn.functional.cosine_similarity(both.image, both.text)
        assert roc_auc_score(truth, fitted(known()).score(both)) > roc_auc_score(truth, cosine) + 0.02

    def test_zero_and_half_precision_features(self):
        image = torch.cat([torch.zeros(1, D), torch.randn(3, D, generator=torch.Generator().manual_seed(0))])
        scores = fitted(known()).score(samples(image.bfloat16(), image.bfloat16()))
        assert scores.isfinite().all()
        assert scores[0] < scores[1:].min()

    def test_half_precision_bank(self):
        half = Known(
            world(60, 1.0, 1, dtype=torch.bfloat16), world(60, 1.0, 2, dtype=torch.bfloat16), TargetFacts("toy")
        )
        assert fitted(half).score(world(5, 1.0, 3, dtype=torch.bfloat16)).isfinite().all()

    def test_bank_of_one_and_sample_of_one(self):
        one = Known(world(1, 1.0, 1), None, TargetFacts("toy"))
        assert fitted(one).score(world(1, 1.0, 2)).isfinite().all()

    def test_ties_stay_ties(self):
        pair = world(1, 1.0, 1)
        same = samples(pair.image.repeat(4, 1), pair.text.repeat(4, 1))
        assert fitted(known()).score(same).unique().numel() == 1


class TestBank:
    def test_bank_size_bounds_it_by_seed(self):
        few = world(5, 1.0, 1)
        attack = fitted(known(seed=3), bank_size=50, temperature=14.0)
        assert attack.findings()["pairs in the bank"] == 50
        assert torch.equal(attack.score(few), fitted(known(seed=3), bank_size=50, temperature=14.0).score(few))
        assert not torch.equal(attack.score(few), fitted(known(seed=4), bank_size=50, temperature=14.0).score(few))

    def test_images_and_texts_are_drawn_together(self):
        rows = torch.eye(D) * torch.arange(1, D + 1)[:, None]
        few = samples(rows[:9], rows[:9]), samples(rows[9:], rows[9:])
        image, text = lmia_anchor._draw(few, 7, seed=0)
        assert torch.equal(image, text)
        assert len(image.sum(dim=1).unique()) == 7
        assert torch.equal(lmia_anchor._draw(few, D, seed=0)[0], rows), "all there are, in their order"

    @pytest.mark.parametrize(("bank", "size"), [("both", 400), ("known", 200)])
    def test_which_pairs(self, bank, size):
        assert fitted(known(), bank=bank).findings()["pairs in the bank"] == size


class TestTemperature:
    def test_chance_has_little_say(self):
        """Five temperatures against the target's own, none of them better: it mostly stays."""
        kept = 0
        for seed in range(20):
            null = Known(world(200, 1.0, seed), world(200, 1.0, 100 + seed), TargetFacts("toy", 14.0))
            kept += fitted(null).findings()["temperature"] == 14.0
        assert kept >= 10

    def test_leaves_a_hopeless_start_for_a_better(self):
        both, truth = joined(world(1000, 1.6, 1), world(1000, 1.0, 2)), [1] * 1000 + [0] * 1000
        attack, start = fitted(known(800, 800, 400.0)), fitted(known(800, 800, 400.0), temperature="model")
        assert attack.findings()["temperature"] <= 28
        assert "better than 400" in attack.findings()["why this temperature"]
        assert roc_auc_score(truth, attack.score(both)) > roc_auc_score(truth, start.score(both)) + 0.01

    def test_reads_no_audited_pair(self):
        """The choice is made in fit, and scoring anything leaves it."""
        attack = fitted(known())
        before = json.dumps(attack.findings())
        attack.score(world(50, 9.0, 1))
        assert json.dumps(attack.findings()) == before

    def test_table_lists_every_temperature(self):
        table = fitted(known(scale=17.0)).findings()["temperatures tried"]
        assert [row["temperature"] for row in table] == sorted([*lmia_anchor.GRID, 17.0])
        assert sum(row["behind"] == 0 for row in table) >= 1
        assert all(row["behind"] >= 0 and math.isfinite(row["error"]) for row in table)
        chosen = fitted(known(scale=17.0)).findings()["temperature"]
        allowed = [row["temperature"] for row in table if row["behind"] <= row["error"]]
        assert chosen == min(allowed, key=lambda t: abs(math.log(t / 17)))

    @pytest.mark.parametrize("bank", ["both", "known"])
    def test_table_is_leave_one_out(self, bank):
        given = known(60, 80)
        trial = lmia_anchor.try_temperatures(given.nonmembers, given.pool, [10.0], bank, 0)[0]
        everyone = joined(given.nonmembers, given.pool)
        rows = everyone if bank == "both" else given.nonmembers
        left_out = torch.arange(140) if bank == "both" else torch.cat([torch.arange(60), torch.full((80,), -1)])
        scores = anchor_normalised(everyone.image, everyone.text, rows.image, rows.text, 10.0, left_out).numpy()
        assert trial.auc == pytest.approx(roc_auc_score([0] * 60 + [1] * 80, scores), abs=3e-4)

    def test_standard_error_is_the_bootstraps(self):
        given = known(300, 300)
        quiet, loud = lmia_anchor.try_temperatures(given.nonmembers, given.pool, [2.0, 20.0], "both", 0)
        reported = max(quiet.error, loud.error)
        both = joined(given.nonmembers, given.pool)
        scores = [
            anchor_normalised(both.image, both.text, both.image, both.text, t, torch.arange(600)).numpy()
            for t in (2.0, 20.0)
        ]
        random = np.random.default_rng(0)

        gaps = []
        for _ in range(500):
            rows = random.integers(300, size=300), random.integers(300, size=300)
            aucs = [(s[300:][rows[1]] > s[:300][rows[0]][:, None]).mean() for s in scores]
            gaps.append(aucs[0] - aucs[1])
        assert reported == pytest.approx(np.std(gaps), rel=0.15)

    @pytest.mark.parametrize("pool", [0, 49])
    @pytest.mark.parametrize(("scale", "expected"), [(33.0, 33.0), (None, 20.0), (math.nan, 20.0), (0.0, 20.0)])
    def test_without_a_pool_to_choose_from(self, pool, scale, expected):
        found = fitted(known(pool=pool, scale=scale)).findings()
        assert found["temperature"] == expected
        assert "temperatures tried" not in found

    def test_as_given(self):
        assert fitted(known(), temperature=3).findings()["temperature"] == 3.0

    def test_models_own(self):
        few, given = world(5, 1.0, 1), known(pool=0, scale=33.0)
        expected = anchor_normalised(few.image, few.text, given.nonmembers.image, given.nonmembers.text, 33.0)
        assert torch.equal(fitted(given, temperature="model").score(few), expected)

    @pytest.mark.parametrize("bias", [-10.0, None])
    def test_models_own_sigmoid_loss(self, bias):
        few, given = world(5, 1.0, 1), known(pool=0, scale=10.0, logit_bias=bias, loss="sigmoid")
        bank = given.nonmembers.image, given.nonmembers.text
        expected = sigmoid_normalised(few.image, few.text, *bank, 10.0, bias or 0.0)
        assert torch.equal(fitted(given, temperature="model").score(few), expected)
        softmax = anchor_normalised(few.image, few.text, *bank, 10.0)
        assert torch.equal(fitted(given).score(few), softmax), "auto stays with the softmax form"

    def test_findings_are_json(self):
        assert json.loads(json.dumps(fitted(known()).findings()))


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"temperature": 0.0}, "temperature must be above 0"),
            ({"temperature": math.nan}, "temperature must be above 0"),
            ({"temperature": "own"}, "no temperature 'own'"),
            ({"bank": "pool"}, "no bank 'pool'"),
            ({"bank_size": 0}, "bank_size"),
        ],
    )
    def test_arguments(self, arguments, said):
        with pytest.raises(LmiaError, match=said):
            Anchor(**arguments)

    def test_unknown_scale_cannot_be_the_models_own(self):
        with pytest.raises(LmiaError, match="toy tells no logit scale"):
            fitted(known(scale=None), temperature="model")

    def test_no_known_nonmembers(self):
        with pytest.raises(LmiaError, match="no known non-members"):
            fitted(Known(world(0, 1.0, 1), None, TargetFacts("toy")))

    @pytest.mark.parametrize("role", ["known non-members", "pool"])
    def test_broken_bank(self, role):
        given, broken = known(), world(60, 1.0, 1)
        broken.image[3, 2] = math.inf
        mixed = (
            Known(broken, given.pool, given.target) if role != "pool" else Known(given.nonmembers, broken, given.target)
        )
        with pytest.raises(LmiaError, match=r"^1 of [0-9]+ pairs of known non-members or pool have features"):
            fitted(mixed)

    def test_score_before_fit(self):
        with pytest.raises(LmiaError, match="no bank yet"):
            Anchor().score(world(1, 1.0, 1))

    def test_brings_itself(self):
        assert lmia_anchor.lmia_attacks() == [Anchor]
        assert Anchor.needs == {"embeddings"}
        assert Anchor.requires == {"known_nonmembers"}
