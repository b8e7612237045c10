"""What an attack measures on the model itself while the pictures pass, as with gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import torch
from numpy.typing import NDArray

from lmia.attack import Attack, Batch
from lmia.contained import contained
from lmia.errors import LmiaError
from lmia.returned import told
from lmia.samples import Samples
from lmia.settings import digest, made_by, plain
from lmia.target import Target


@dataclass(frozen=True)
class Measurement:
    """A white-box measurement to take in the pass: an attack's `measure`, with its bank of anchors if it wants one."""

    attack: Attack
    anchors: Samples | None = None

    @cached_property
    def array(self) -> str:
        """Its name in the store: changes with the attack's version and settings, and with who its anchors are."""
        bank = [] if self.anchors is None else _who(self.anchors)
        return "measured@" + digest(plain(self.attack), made_by(self.attack), bank)[:16]

    def take(self, target: Target, batch: Batch) -> Mapping[str, NDArray[Any]]:
        """Measure a batch, with gradients on and autocast off.

        Raises:
            LmiaError: the attack did not return one row a pair, or changed the model or the batch.
        """
        name, before = type(self.attack).__name__, _state(target, batch)
        device = batch.pixels.device.type
        with contained(f"{name}.measure"), torch.enable_grad(), torch.autocast(device, enabled=False):
            found = self.attack.measure(target, batch, self.anchors)
        wrong = {name: told(value) for name, value in found.items() if len(value) != len(batch.rows)}
        if wrong:
            raise LmiaError(
                f"{name}.measure returned {wrong} for {len(batch.rows)} pairs.",
                "Every measurement needs one row a pair; tell the attack's author.",
            )
        if before != _state(target, batch):
            remedy = (
                "All that comes after it would be of another model: it must put back what it sets; tell its author."
            )
            raise LmiaError(f"{name}.measure changed the model's weights or mode, or the batch.", remedy)
        return {name: value.detach().float().cpu().numpy() for name, value in found.items()}


def _who(anchors: Samples) -> list[str]:
    """Digest what a bank holds, array by array: its ids only count it."""
    arrays = [blake2b(anchors.arrays[name].numpy().tobytes()).hexdigest() for name in sorted(anchors.arrays)]
    return [digest(list(anchors.captions)), *arrays]


def _state(target: Target, batch: Batch) -> tuple[object, ...]:
    """Tell whether the model and the batch are as they were: the mode, and how often each tensor was written to."""
    tensors = (*target.parameters(), *target.buffers(), batch.pixels, batch.tokens)
    return target.training, *(tensor._version for tensor in tensors)
