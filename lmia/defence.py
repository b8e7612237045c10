"""What makes a model leak less, as a contract: something done to the training, or to the answers of a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.errors import LmiaError
from lmia.settings import Made
from lmia.target import Target

if TYPE_CHECKING:
    from lmia.trainable import Trainable


class Defence(Made):
    """A defence. Its typed `__init__` is its command line; it overrides what it changes, and nothing else.

    In training, in this order: `keep` once, `adapt` once, then for every batch `captions` and `pixels`, `gradients` after
    the backward pass and `settle` after the step. `around` is for a model that answers questions: `lmia audit --defence`.
    Randomness comes from the generators that are handed over, so that a run can be repeated and resumed.
    """

    def keep(self, keys: Sequence[str], captions: Sequence[str], phash: Sequence[str]) -> NDArray[np.bool_]:
        """Say which of n pairs may be trained on: all of them, unless told otherwise.

        Args:
            keys: n keys.
            captions: n captions.
            phash: n perceptual hashes of the pictures, 16 hexadecimal digits each.
        """
        return np.ones(len(keys), dtype=bool)

    def adapt(self, towers: Trainable) -> None:
        """Change the towers before they learn.

        Raises:
            LmiaError: the architecture cannot carry this defence.
        """

    def decay(self) -> float | None:
        """Return what the optimiser's weight decay is to be, where the defence is about it."""
        return None

    def captions(self, captions: Sequence[str], draw: Random) -> Sequence[str]:
        """Change the captions of a batch as they are shown this once."""
        return captions

    def pixels(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Change the pictures of a batch as they are shown this once: `(b, 3, h, w)` in [0, 1], on any device."""
        return pixels

    def gradients(self, towers: Trainable, generator: torch.Generator) -> None:
        """Change the gradients of a batch before the step."""

    def settle(self, towers: Trainable) -> None:
        """Bring parameters back after a step."""

    def enough(self, epochs: Sequence[Mapping[str, float]]) -> bool:
        """Say whether to stop, from the figures of all epochs so far: `loss`, `recall`, `auc` ... as in metrics.csv."""
        return False

    def promise(self, pairs: int, batch: int, steps: int) -> Mapping[str, float]:
        """Return what the defence promises of a training, such as an epsilon; goes into training.json.

        Args:
            pairs: how many pairs were trained on.
            batch: pairs a step.
            steps: how many steps were made.
        """
        return {}

    def around(self, target: Target) -> Target:
        """Return a target that answers in the given one's stead; the given one, where this is no defence of answers."""
        return target

    @property
    def trains(self) -> bool:
        """Whether it changes a training: it overrides something besides `around`."""
        changed = ("keep", "adapt", "captions", "pixels", "gradients", "settle", "enough", "decay")
        return any(getattr(type(self), name) is not getattr(Defence, name) for name in changed)

    @property
    def answers(self) -> bool:
        """Whether it changes the answers of a trained model."""
        return type(self).around is not Defence.around


def defended(target: Target, defences: Sequence[Defence]) -> Target:
    """Put defences of answers before a target, one before the other.

    Raises:
        LmiaError: one of them changes no answers, or returns no target.

    Example:
        >>> defended("the target itself", [])
        'the target itself'
    """
    for one in defences:
        if not one.answers:
            name = type(one).__name__.lower()
            problem = f"The defence '{name}' changes no answers, only a training."
            raise LmiaError(problem, f"Train with it, and audit what comes out: lmia fit --defence {name}")
        put: object = one.around(target)
        if not isinstance(put, Target):
            problem = f"The defence '{type(one).__name__.lower()}' put {type(put).__name__} before the target."
            raise LmiaError(problem, "Its `around` must return a target; tell its author.")
        target = put
    return target
