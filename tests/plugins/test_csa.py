"""CSA against numpy, and the laws of an attack."""

import numpy as np
import pytest
import torch

import lmia_csa
from lmia import LmiaError, Samples
from lmia.signals import cosine


def pairs(n, seed=0):
    random = np.random.default_rng(seed)
    image, text = random.normal(size=(n, 8)), random.normal(size=(n, 8))
    samples = Samples(
        torch.arange(n),
        [f"caption {i}" for i in range(n)],
        ("identity", "crop"),
        {"cosine": torch.stack([cosine(torch.tensor(image), torch.tensor(text)), torch.zeros(n)], dim=1).float()},
    )
    return samples, image, text


@pytest.mark.parametrize("n", [1, 100])
def test_is_numpys_cosine(n):
    samples, image, text = pairs(n)
    expected = (image * text).sum(1) / (np.linalg.norm(image, axis=1) * np.linalg.norm(text, axis=1))
    np.testing.assert_allclose(lmia_csa.CSA().score(samples), expected, atol=1e-6)


def test_laws():
    samples, *_ = pairs(50)
    before = samples.cosine.clone()
    attack = lmia_csa.CSA()
    scores = attack.score(samples)
    assert torch.equal(scores, torch.cat([attack.score(part) for part in samples.chunks(7)]))
    assert torch.equal(scores, lmia_csa.CSA().score(samples))
    scores += 1
    assert torch.equal(samples.cosine, before), "scores must not be a window on the samples"


def test_a_better_fit_scores_higher():
    two = Samples(torch.arange(2), ["a", "b"], ("identity",), {"cosine": torch.tensor([[0.1], [0.9]])})
    low, high = lmia_csa.CSA().score(two)
    assert high > low


def test_ties_stay_ties():
    same = Samples(torch.arange(3), ["a"] * 3, ("identity",), {"cosine": torch.full((3, 1), 0.5)})
    assert lmia_csa.CSA().score(same).tolist() == [0.5] * 3


def test_asks_for_the_cosine_alone():
    assert lmia_csa.CSA.needs == {"cosine"}
    assert not lmia_csa.CSA.requires
    assert lmia_csa.lmia_attacks() == [lmia_csa.CSA]
    without = Samples(torch.arange(1), ["a"], ("identity",), {"image": torch.ones(1, 2)})
    with pytest.raises(LmiaError, match="no 'cosine'"):
        lmia_csa.CSA().score(without)
