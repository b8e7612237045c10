"""Defences: what may make a CLIP leak less, in its training or in its answers.

None is known to be enough, and most cost use: each docstring says what is known. `lmia fit` trains with them, and an audit
of what comes out says what they were worth; `lmia audit --defence` judges a model behind those that change answers.
"""

from __future__ import annotations

from lmia import Defence, hookimpl
from lmia_defences.augment import Augment
from lmia_defences.dedup import Dedup
from lmia_defences.dropout import Dropout
from lmia_defences.masking import MaskCaptions
from lmia_defences.noise import Noise
from lmia_defences.patches import PatchDropout
from lmia_defences.plan import EarlyStop, Temperature, WeightDecay
from lmia_defences.private import DPSGD
from lmia_defences.rounding import Rounding
from lmia_defences.tower import OneTower

__all__ = [
    "DPSGD",
    "Augment",
    "Dedup",
    "Dropout",
    "EarlyStop",
    "MaskCaptions",
    "Noise",
    "OneTower",
    "PatchDropout",
    "Rounding",
    "Temperature",
    "WeightDecay",
]


@hookimpl
def lmia_defences() -> list[type[Defence]]:
    """Return the defences: of the training first, of the answers last.

    Example:
        >>> [defence.__name__ for defence in lmia_defences()][-3:]
        ['Rounding', 'Noise', 'OneTower']
    """
    training = [Dropout, PatchDropout, WeightDecay, Augment, MaskCaptions, Temperature, EarlyStop, Dedup, DPSGD]
    return [*training, Rounding, Noise, OneTower]
