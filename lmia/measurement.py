"""What an attack measures on the model itself while the pictures pass, as with gradients."""

from __future__ import annotations

from dataclasses import dataclass

from lmia.attack import Attack
from lmia.samples import Samples
from lmia.settings import digest, made_by, plain


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
