"""What an attack measures on the model itself while the pictures pass, as with gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from lmia.attack import Attack, Batch
from lmia.errors import LmiaError
from lmia.samples import Samples
from lmia.settings import digest, made_by, plain
from lmia.target import Target


@dataclass(frozen=True)
class Measurement:
    """A white-box measurement to take in the pass: an attack's `measure`, with its bank of anchors if it wants one."""

    attack: Attack
    anchors: Samples | None = None

    @property
    def array(self) -> str:
        """Its name in the store: changes with the attack's code version, settings and anchors."""
        bank = [] if self.anchors is None else self.anchors.ids.tolist()
        return "measured@" + digest(plain(self.attack), made_by(self.attack), bank)[:16]

    def take(self, target: Target, batch: Batch) -> Mapping[str, NDArray[Any]]:
        """Measure a batch, with gradients on and autocast off.

        Raises:
            LmiaError: the attack did not return one row a pair.
        """
        with torch.enable_grad(), torch.autocast(batch.pixels.device.type, enabled=False):
            found = self.attack.measure(target, batch, self.anchors)
        wrong = {name: tuple(value.shape) for name, value in found.items() if len(value) != len(batch.rows)}
        if wrong:
            raise LmiaError(
                f"{type(self.attack).__name__}.measure returned {wrong} for {len(batch.rows)} pairs.",
                "Every measurement needs one row a pair; tell the attack's author.",
            )
        return {name: value.detach().float().cpu().numpy() for name, value in found.items()}
