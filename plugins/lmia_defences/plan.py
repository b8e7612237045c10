"""Defences that are a number in the training's plan: how strongly weights decay, how sharp the loss gets, when to stop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from lmia import Defence, LmiaError, Trainable
from lmia_defences.bounds import bounded


class WeightDecay(Defence):
    """A stronger weight decay, which keeps weights small.

    What is known: it was among what was tried against memorisation in CLIP (Deja Vu, arXiv 2402.02103), with figures that
    we have not seen. It costs nothing to compute; too much keeps the model from learning.

    Args:
        strength: the optimiser's weight decay. The default is what OpenCLIP's trainer takes; beyond is ours to try.

    Raises:
        LmiaError: the strength is below 0, or no number.

    Example:
        >>> WeightDecay(0.5).decay()
        0.5
    """

    def __init__(self, strength: float = 0.2) -> None:
        bounded(self, "strength", strength, 0)
        self.strength = strength

    def decay(self) -> float:
        """Return the strength."""
        return self.strength


class Temperature(Defence):
    """Keeps the factor on cosines in the loss within bounds, so that the loss cannot grow ever sharper on what it knows.

    What is known: it was among what was tried against memorisation in CLIP (Deja Vu, arXiv 2402.02103), with figures that
    we have not seen. It costs nothing to compute. CLIP begins with a factor of 14, SigLIP with 10; CLIP's own bound is 100,
    and that a lower one helps is a guess of ours.

    Args:
        smallest: the least factor.
        largest: the largest factor.

    Raises:
        LmiaError: a bound is not above 0 or no number, or the smallest is above the largest.
    """

    def __init__(self, smallest: float = 1.0, largest: float = 20.0) -> None:
        for name, value in (("smallest", smallest), ("largest", largest)):
            bounded(self, name, value, 1e-3)
        if smallest > largest:
            problem = f"The smallest factor of temperature, {smallest:g}, is above the largest, {largest:g}."
            raise LmiaError(problem, "Swap them.")
        self.smallest, self.largest = smallest, largest

    def adapt(self, towers: Trainable) -> None:
        """Bring the factor within the bounds before the first step."""
        self.settle(towers)

    def settle(self, towers: Trainable) -> None:
        """Bring the factor back within the bounds."""
        with torch.no_grad():
            towers.temperature.clamp_(math.log(self.smallest), math.log(self.largest))


class EarlyStop(Defence):
    """Stops when use on held-out pairs has not grown for some epochs, so that little is learnt by heart after that.

    What is known: it lowered an attack's accuracy and cost use downstream (EncoderMI, on contrastive image encoders).
    It saves time, and needs pairs that are not trained on.

    Args:
        patience: how many epochs in a row may pass without a new best `recall`.

    Raises:
        LmiaError: the patience is below 1; or, in training, there is no held-out recall to go by.

    Example:
        >>> told = [{"recall": 0.3}, {"recall": 0.4}, {"recall": 0.4}, {"recall": 0.39}]
        >>> [EarlyStop(patience=2).enough(told[:n]) for n in (1, 2, 3, 4)]
        [False, False, False, True]
    """

    def __init__(self, patience: int = 3) -> None:
        bounded(self, "patience", patience, 1)
        self.patience = patience

    def enough(self, epochs: Sequence[Mapping[str, float]]) -> bool:
        """Say whether the best recall is `patience` epochs old; an equal one is no better."""
        recalls = [epoch.get("recall", math.nan) for epoch in epochs]
        if not all(map(math.isfinite, recalls)):
            problem = f"earlystop goes by held-out recall, which is {recalls[-1]} after epoch {len(recalls)}."
            raise LmiaError(problem, "Train on a smaller share of the pairs, so that some are held out.")
        return bool(recalls) and len(recalls) - 1 - recalls.index(max(recalls)) >= self.patience
