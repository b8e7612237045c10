"""Noise on gradients, and the epsilon that it is worth."""

import sys

import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.stats import kstest, norm
from torch import nn

from lmia import LmiaError
from lmia_defences import DPSGD
from lmia_defences.private import spent
from plugins.defended_towers import RESNET, towers


class Given(nn.Module):
    """Parameters with gradients that are given."""

    def __init__(self, *gradients):
        super().__init__()
        self.weights = nn.ParameterList(torch.zeros(len(g)) for g in gradients)
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = torch.tensor(gradient)
        self.unused = nn.Parameter(torch.zeros(2))

    def gradient(self):
        return torch.cat([weight.grad for weight in self.weights])


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [
        (([3.0], [4.0]), [0.6, 0.8]),  # longer than 1: scaled as a whole
        (([0.3], [0.4]), [0.3, 0.4]),  # shorter: left as it is
        (([0.0, 0.0], [0.0]), [0.0, 0.0, 0.0]),
    ],
)
def test_the_gradient_of_the_batch_is_clipped_as_a_whole(gradients, expected):
    made = Given(*gradients)
    DPSGD(clip=1.0, noise=0.0).gradients(made, drawn())
    assert made.gradient().tolist() == pytest.approx(expected)
    assert made.unused.grad is None


def test_the_noise_is_gaussian_of_its_size_and_by_the_generator_alone():
    size, clip, noise = 40_000, 2.0, 1.5
    made, again, other = (Given([1e-3] * size) for _ in range(3))
    defence = DPSGD(clip, noise)
    for one, seed in ((made, 0), (again, 0), (other, 1)):
        defence.gradients(one, drawn(seed))
    assert torch.equal(made.gradient(), again.gradient())
    assert not torch.equal(made.gradient(), other.gradient())
    found = made.gradient().numpy() - 1e-3
    assert kstest(found, norm(scale=clip * noise).cdf).pvalue > 0.01


def test_one_pair_moves_what_is_clipped_by_twice_the_clip_at_most():
    """The sensitivity that the promise counts on, reached by opposite gradients."""
    random = np.random.default_rng(0)
    moved = []
    for scale in (0.1, 1.0, 100.0):
        for _ in range(20):
            sides = [Given((scale * random.normal(size=5)).astype(np.float32).tolist()) for _ in range(2)]
            for one in sides:
                DPSGD(1.0, 0.0).gradients(one, drawn())
            moved.append((sides[0].gradient() - sides[1].gradient()).norm().item())
    assert max(moved) <= 2 + 1e-5
    assert max(moved) > 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_is_said(bad):
    with pytest.raises(LmiaError, match="The gradient of a batch has norm"):
        DPSGD(noise=0.0).gradients(Given([1.0, bad]), drawn())


def reference(multiplier, rate, steps, delta):
    """Epsilon from the divergence itself, integrated: E[(1 - q + q exp((2 x - 1) / 2 s^2))^a] under N(0, s)."""
    orders = np.linspace(1.1, 20, 190)
    x = np.linspace(-40 * multiplier, 40 + 40 * multiplier, 20_001)
    with np.errstate(divide="ignore"):
        ratio = np.logaddexp(np.log1p(-rate), np.log(rate) + (2 * x - 1) / (2 * multiplier**2))
    weight = norm.logpdf(x, scale=multiplier)
    moments = np.array([trapezoid(np.exp(order * ratio + weight), x) for order in orders])
    renyi = steps * np.log(moments) / (orders - 1)
    # Canonne, Kamath and Steinke (arXiv 2004.00010), proposition 12
    return (renyi + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)).min()


@pytest.mark.parametrize(
    ("multiplier", "rate", "steps", "delta"),
    [(1.0, 0.01, 1000, 1e-5), (2.0, 0.05, 300, 1e-3), (0.8, 0.1, 50, 1e-4), (5.0, 1.0, 10, 1e-5)],
)
def test_epsilon_agrees_with_the_divergence_integrated(multiplier, rate, steps, delta):
    pytest.importorskip("opacus")
    found, expected = spent(multiplier, rate, steps, delta), reference(multiplier, rate, steps, delta)
    assert found == pytest.approx(expected, rel=5e-3)


def test_epsilon_agrees_with_opacus_own_accountant():
    accountants = pytest.importorskip("opacus.accountants")
    accountant = accountants.RDPAccountant()
    for _ in range(200):
        accountant.step(noise_multiplier=0.75, sample_rate=0.05)
    promised = DPSGD(noise=1.5).promise(pairs=1000, batch=50, steps=200)
    assert promised == {
        "epsilon": pytest.approx(accountant.get_epsilon(delta=1e-3)),
        "delta": 1e-3,
        "noise multiplier": 0.75,
        "sampling rate": 0.05,
    }


def test_epsilon_goes_where_it_should():
    pytest.importorskip("opacus")
    at = {"multiplier": 1.0, "rate": 0.05, "steps": 100, "delta": 1e-4}
    base = spent(**at)
    assert spent(**{**at, "steps": 0}) == 0.0
    assert spent(**{**at, "multiplier": 2.0}) < base < spent(**{**at, "steps": 200})
    assert spent(**{**at, "rate": 0.01}) < base < spent(**{**at, "delta": 1e-6})
    assert spent(**{**at, "multiplier": 400.0}) < 0.1  # the orders reach far enough for much noise


@pytest.mark.parametrize(("delta", "expected"), [(None, 1 / 30), (1e-6, 1e-6)])
def test_a_batch_of_all_pairs_is_sampled_with_certainty(delta, expected):
    pytest.importorskip("opacus")
    promised = DPSGD(noise=4.0, delta=delta).promise(pairs=30, batch=50, steps=3)
    assert (promised["sampling rate"], promised["delta"]) == (1.0, expected)
    assert promised["epsilon"] > 0


def test_clipping_alone_promises_nothing():
    assert DPSGD(noise=0.0).promise(100, 10, 10) == {}


def test_without_the_accountant_it_is_said_before_the_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(LmiaError, match=r"pip install 'lmia\[private\]'"):
        DPSGD().adapt(Given([1.0]))
    DPSGD(noise=0.0).adapt(Given([1.0]))


def test_batch_normalisation_lets_pairs_in_without_noise(tmp_path):
    with pytest.raises(LmiaError, match="batch normalisation"):
        DPSGD(noise=0.0).adapt(towers(tmp_path / "resnet", RESNET))
