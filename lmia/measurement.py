"""What an attack measures on the model itself while the pictures pass, as with gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.attack import Attack, Batch
from lmia.contained import bits, contained
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
            LmiaError: the attack did not return one row a pair, or changed the model, the batch or the anchors.
        """
        name, before = type(self.attack).__name__, self._state(target, batch)
        device = batch.pixels.device.type
        with contained(f"{name}.measure"), torch.enable_grad(), torch.autocast(device, enabled=False):
            found: object = self.attack.measure(target, batch, self.anchors)
        rows = _rows(found, name, len(batch.rows))
        if before != self._state(target, batch):
            remedy = (
                "All that comes after it would be of another model: it must put back what it sets; tell its author."
            )
            raise LmiaError(f"{name}.measure changed the model's weights or mode, the batch or the anchors.", remedy)
        return {name: value.detach().float().cpu().numpy() for name, value in rows.items()}

    def _state(self, target: Target, batch: Batch) -> tuple[object, ...]:
        """Tell whether all that a measurement is lent is as it was: the mode, how often each tensor was written to, its sum.

        Before and after every batch, since a shard may be committed behind each: of weights this is one reading, and a
        batch's gradients are some hundred times that.
        """
        bank = self.anchors.arrays.values() if self.anchors else ()
        lent = (*target.parameters(), *target.buffers(), batch.pixels, batch.tokens, *bank)
        sums = torch.stack([bits(one).sum().to(batch.pixels.device) for one in lent])  # fetched once, of all
        return target.training, *(one._version for one in lent), *sums.tolist()


def _rows(found: object, name: str, n: int) -> Mapping[str, Tensor]:
    """Return what was measured of n pairs, once it is named tensors with one row a pair."""
    remedy = "It must be tensors by name, each with one row a pair; tell the attack's author."
    if not isinstance(found, Mapping):
        raise LmiaError(f"{name}.measure returned {told(found)} for {n} pairs.", remedy)
    right = {key: value for key, value in found.items() if isinstance(key, str) and _fits(value, n)}
    if wrong := {key: told(value) for key, value in found.items() if key not in right}:
        raise LmiaError(f"{name}.measure returned {wrong} for {n} pairs.", remedy)
    return right


def _fits(value: object, n: int) -> bool:
    return isinstance(value, Tensor) and value.shape[:1] == (n,)


def _who(anchors: Samples) -> list[str]:
    """Digest what a bank holds, array by array: its ids only count it."""
    arrays = [blake2b(anchors.arrays[name].numpy().tobytes()).hexdigest() for name in sorted(anchors.arrays)]
    return [digest(list(anchors.captions)), *arrays]
