"""Signals against loops in plain Python, and at the edges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lmia.signals import anchor_normalised, contrastive, cosine, drops, sigmoid_normalised, unit


def normal(n, d=6, seed=0, dtype=torch.float32):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def dot(a, b):
    """The cosine by hand: 0 where a length is 0."""
    a, b = [float(x) for x in a], [float(x) for x in b]
    lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def by_hand(image, text, bank_image, bank_text, t, exclude=None):
    """METHODS 3.1 word for word, one exponential at a time."""
    scores = []
    for i in range(len(image)):
        own = t * dot(image[i], text[i])
        rows = [j for j in range(len(bank_image)) if exclude is None or j != int(exclude[i])]
        texts = math.exp(own) + sum(math.exp(t * dot(image[i], bank_text[j])) for j in rows)
        images = math.exp(own) + sum(math.exp(t * dot(bank_image[j], text[i])) for j in rows)
        scores.append(own - 0.5 * (math.log(texts) + math.log(images)))
    return scores


def by_hand_sigmoid(image, text, bank_image, bank_text, t, b):
    def log_sigmoid(x):
        return -math.log1p(math.exp(-x))

    scores = []
    for i in range(len(image)):
        score = log_sigmoid(t * dot(image[i], text[i]) + b)
        for j in range(len(bank_image)):
            score += log_sigmoid(-(t * dot(image[i], bank_text[j]) + b)) / (2 * len(bank_image))
            score += log_sigmoid(-(t * dot(bank_image[j], text[i]) + b)) / (2 * len(bank_image))
        scores.append(score)
    return scores


features = hnp.arrays(np.float64, (3, 4), elements=st.floats(-100, 100).map(lambda x: round(x, 3)))


class TestCosine:
    @given(features, features)
    def test_is_numpys(self, a, b):
        expected = [dot(x, y) for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(cosine(torch.tensor(a), torch.tensor(b)), expected, atol=1e-12)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_rounds_no_further_than_its_input(self, dtype):
        a, b = normal(50, seed=1, dtype=dtype), normal(50, seed=2, dtype=dtype)
        expected = [dot(x, y) for x, y in zip(a.double(), b.double(), strict=True)]
        found = cosine(a, b)
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_zero_feature_has_cosine_zero(self):
        assert cosine(torch.zeros(2, 3), normal(2, 3)).tolist() == [0.0, 0.0]

    def test_stays_within_one(self):
        a = normal(1000, 3, seed=3)
        assert cosine(a, a).max() <= 1
        assert cosine(a, -a).min() >= -1

    def test_broadcasts_over_views(self):
        a, b = normal(12, seed=1).view(4, 3, 6), normal(12, seed=2).view(4, 3, 6)
        assert torch.equal(cosine(a, b)[:, 1], cosine(a[:, 1], b[:, 1]))

    def test_broken_features_are_not_hidden(self):
        assert cosine(torch.tensor([[math.nan, 1.0]]), torch.ones(1, 2)).isnan().all()


class TestDrops:
    def test_by_hand(self):
        views = normal(5, 4)
        expected = [[float(row[0]) - float(row[k]) for k in range(1, 4)] for row in views]
        np.testing.assert_allclose(drops(views), expected, atol=1e-15)

    def test_without_views_there_are_none(self):
        assert drops(torch.ones(3, 1)).shape == (3, 0)


class TestAnchorNormalised:
    @settings(max_examples=50, deadline=None)
    @given(features, features, features, features, st.sampled_from([0.5, 5.0, 14.0, 40.0, 100.0]))
    def test_by_hand(self, image, text, bank_image, bank_text, t):
        found = anchor_normalised(*map(torch.tensor, (image, text, bank_image, bank_text)), t)
        np.testing.assert_allclose(found, by_hand(image, text, bank_image, bank_text, t), atol=1e-9)

    def test_by_hand_with_rows_left_out(self):
        bank = normal(7, seed=3), normal(7, seed=4)
        exclude = torch.tensor([0, 6, -1, 3, 2])
        found = anchor_normalised(bank[0][:5], bank[1][:5], *bank, 14.0, exclude)
        np.testing.assert_allclose(found, by_hand(bank[0][:5], bank[1][:5], *bank, 14.0, exclude), atol=1e-9)

    def test_leaving_a_row_out_is_a_bank_without_it(self):
        bank = normal(9, seed=3), normal(9, seed=4)
        found = anchor_normalised(*bank, *bank, 20.0, torch.arange(9))
        for i in range(9):
            rest = torch.arange(9) != i
            alone = anchor_normalised(bank[0][[i]], bank[1][[i]], bank[0][rest], bank[1][rest], 20.0)
            assert found[i].item() == pytest.approx(alone.item(), rel=1e-9)

    @pytest.mark.parametrize("size", [1, 7, 64, 999])
    @pytest.mark.parametrize("t", [5.0, 100.0])
    def test_rows_do_not_see_each_other(self, size, t):
        image, text, bank = normal(200, seed=1), normal(200, seed=2), (normal(50, seed=3), normal(50, seed=4))
        whole = anchor_normalised(image, text, *bank, t)
        parts = [anchor_normalised(a, b, *bank, t) for a, b in zip(image.split(size), text.split(size), strict=True)]
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-6, atol=0)

    def test_tiles_join_up(self, monkeypatch):
        image, text, bank = normal(31, seed=1), normal(31, seed=2), (normal(31, seed=3), normal(31, seed=4))
        exclude = torch.arange(31)
        whole = anchor_normalised(image, text, *bank, 14.0, exclude)
        monkeypatch.setattr("lmia.signals._TILE", 31 * 4)
        torch.testing.assert_close(anchor_normalised(image, text, *bank, 14.0, exclude), whole, rtol=1e-9, atol=0)

    def test_no_ties_where_the_own_pair_towers(self):
        """As the formula is written, every one of these is exactly 0."""
        own = torch.linspace(0.6, 0.9, 50, dtype=torch.float64)
        far = torch.full((50, 3), -0.9, dtype=torch.float64)
        assert contrastive(own, far, far, 100.0).diff().gt(0).all()

    def test_never_falls_while_the_own_cosine_rises(self):
        """Across every threshold at which a softplus may take a shortcut."""
        own = torch.linspace(-1, 1, 20001, dtype=torch.float64)
        bank = torch.zeros(len(own), 1, dtype=torch.float64)
        assert contrastive(own, bank, bank, 100.0).diff().gt(0).all()

    def test_hub_captions_count_for_less(self):
        """Two pairs of one cosine: the one whose caption is near all the bank's images scores lower."""
        image = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
        text = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        bank_image, bank_text = torch.tensor([[0.0, 1.0, 0.1]]), torch.tensor([[-1.0, 0.0, 0.0]])
        hub, own = anchor_normalised(image, text, bank_image, bank_text, 10.0).tolist()
        assert own > hub

    def test_zero_features_are_finite(self):
        zero, bank = torch.zeros(2, 6), (normal(4, seed=3), torch.zeros(4, 6))
        found = anchor_normalised(zero, zero, *bank, 40.0)
        assert found.tolist() == pytest.approx([-math.log(5)] * 2)

    def test_bank_of_one_left_out_scores_zero(self):
        one = normal(1)
        assert anchor_normalised(one, one, one, one, 14.0, torch.tensor([0])).tolist() == [0.0]

    def test_ties_stay_ties(self):
        image, bank = normal(1).repeat(5, 1), (normal(8, seed=3), normal(8, seed=4))
        assert anchor_normalised(image, image, *bank, 40.0).unique().numel() == 1

    def test_bf16_is_its_exact_value(self):
        args = [normal(4, seed=i, dtype=torch.bfloat16) for i in range(4)]
        assert torch.equal(anchor_normalised(*args, 14.0), anchor_normalised(*[a.double() for a in args], 14.0))

    def test_none_to_score(self):
        assert anchor_normalised(normal(0), normal(0), normal(2), normal(2), 14.0).shape == (0,)

    def test_no_bank(self):
        with pytest.raises(ValueError, match="at least one"):
            anchor_normalised(normal(2), normal(2), normal(0), normal(0), 14.0)


class TestSigmoidNormalised:
    @settings(max_examples=50, deadline=None)
    @given(features, features, features, features, st.sampled_from([(1.0, 0.0), (10.0, -10.0), (100.0, -16.0)]))
    def test_by_hand(self, image, text, bank_image, bank_text, head):
        found = sigmoid_normalised(*map(torch.tensor, (image, text, bank_image, bank_text)), *head)
        np.testing.assert_allclose(found, by_hand_sigmoid(image, text, bank_image, bank_text, *head), atol=1e-9)

    def test_rows_do_not_see_each_other(self):
        args = [normal(40, seed=i) for i in range(4)]
        whole = sigmoid_normalised(*args, 10.0, -10.0)
        single = [sigmoid_normalised(args[0][[i]], args[1][[i]], *args[2:], 10.0, -10.0) for i in range(40)]
        torch.testing.assert_close(torch.cat(single), whole, rtol=1e-6, atol=0)


def test_unit_keeps_the_direction():
    a = normal(20)
    torch.testing.assert_close(unit(a) * a.double().norm(dim=1, keepdim=True), a.double())


def test_nothing_is_written_to():
    args = [normal(6, seed=i, dtype=torch.float64) for i in range(4)]
    before = [a.clone() for a in args]
    anchor_normalised(*args, 14.0, torch.arange(6))
    sigmoid_normalised(*args, 14.0, -10.0)
    cosine(args[0], args[1])
    drops(args[0])
    assert all(torch.equal(a, b) for a, b in zip(args, before, strict=True))
