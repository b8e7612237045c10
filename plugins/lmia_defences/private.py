"""Steps under differential privacy, as far as a contrastive loss lets them be."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lmia import Defence, LmiaError, Trainable
from lmia_defences.bounds import bounded

_ORDERS = [1 + x / 10 for x in range(1, 100)] + [*range(12, 64), 96, 128, 192, 256, 384, 512, 768, 1024]
"""Orders of Renyi divergence: opacus' own, and larger ones for much noise."""


class DPSGD(Defence):
    """Clips the gradient of every batch and adds Gaussian noise, and says what epsilon that is worth.

    A contrastive loss makes the pairs of a batch one another's negatives, so there is no gradient of one pair to clip. What
    is clipped is the whole batch's, to the norm `clip`; with or without one pair it is some vector of at most that norm, so
    a pair moves it by at most twice `clip`. Noise of standard deviation `noise` x `clip` thus counts as a noise multiplier
    of `noise` / 2, and no size of the batch dilutes it: good epsilons cost far more use than where pairs are clipped singly.

    What is known: Dp-CLIP (arXiv 2306.08173) clips by batch too, and claims parity with training without it on its tasks.
    It costs use, and next to no time.

    What the epsilon does not hold for:

    - it counts on batches that are drawn afresh for each step, every pair by its own lot (Poisson sampling), while an epoch
      here goes through all pairs in a shuffled order: the true epsilon may be larger;
    - a pair that an epoch shows several times has a larger one;
    - whoever knows the seed can subtract the noise, and torch's generator is no cryptographic one: keep the seed, and
      publish no training.json that tells it;
    - it is about the weights, not about figures of members that are published beside them (metrics.csv), nor about what
      another defence draws from the pairs, such as `dedup`.

    Args:
        clip: the norm of a batch's gradient is at most this.
        noise: standard deviation of the noise in units of `clip`; 0 is clipping alone, without any promise.
        delta: of the promise; one over the number of pairs unless given.

    Raises:
        LmiaError: an option is out of range; opacus is not installed; or the towers have batch normalisation, whose running
            means take in pairs without any noise; or, in training, a gradient is no number.
    """

    def __init__(self, clip: float = 1.0, noise: float = 1.0, delta: float | None = None) -> None:
        bounded(self, "clip", clip, 1e-9)
        bounded(self, "noise", noise, 0)
        if delta is not None:
            bounded(self, "delta", delta, 1e-300, 1, below=True)
        self.clip, self.noise, self.delta = clip, noise, delta

    def adapt(self, towers: Trainable) -> None:
        """Refuse what cannot be promised, before the training rather than after it."""
        if self.noise:
            _need_opacus()
        if any(isinstance(module, _BatchNorm) for module in towers.modules()):
            problem = "The towers have batch normalisation, whose running means take in pairs without noise."
            raise LmiaError(problem, "Take towers with layer normalisation, such as a ViT's.")

    def gradients(self, towers: Trainable, generator: torch.Generator) -> None:
        """Clip the gradient of all parameters together, then add noise to each number of it."""
        found = [parameter.grad for parameter in towers.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm(found)
        if not norm.isfinite():
            raise LmiaError(f"The gradient of a batch has norm {norm.item()}.", "Lower the learning rate.")
        for gradient in found:
            gradient.mul_((self.clip / norm).clamp(max=1))
            if self.noise:
                drawn = torch.randn(gradient.shape, generator=generator, device=generator.device)
                gradient.add_(drawn.to(gradient), alpha=self.noise * self.clip)

    def promise(self, pairs: int, batch: int, steps: int) -> Mapping[str, float]:
        """Return `epsilon` at `delta`, and the noise multiplier and sampling rate that it was computed from."""
        if not self.noise:
            return {}
        delta, rate = self.delta or 1 / pairs, min(1.0, batch / pairs)
        epsilon = spent(self.noise / 2, rate, steps, delta)
        return {"epsilon": epsilon, "delta": delta, "noise multiplier": self.noise / 2, "sampling rate": rate}


def spent(multiplier: float, rate: float, steps: int, delta: float) -> float:
    """Return the epsilon of a sampled Gaussian mechanism by opacus' accountant (Mironov, Talwar and Zhang, arXiv 1908.10530).

    Args:
        multiplier: standard deviation of the noise over the most that one pair can change.
        rate: the chance of a pair to be in a step.
        steps: how many.
        delta: the chance that the bound does not hold.

    Raises:
        LmiaError: opacus is not installed.
    """
    _need_opacus()
    from opacus.accountants.analysis import rdp

    if not steps:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # at the first or last order: the bound holds, and might be less
        renyi = rdp.compute_rdp(q=rate, noise_multiplier=multiplier, steps=steps, orders=_ORDERS)
        epsilon, _ = rdp.get_privacy_spent(orders=_ORDERS, rdp=renyi, delta=delta)
    return float(epsilon)


def _need_opacus() -> None:
    if importlib.util.find_spec("opacus") is None:
        raise LmiaError("dpsgd's epsilon needs the package opacus.", "Install it: pip install 'lmia[private]'.")
