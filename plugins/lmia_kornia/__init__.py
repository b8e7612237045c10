"""Augmentation sets on kornia: deterministic views of pictures, and views of captions.

Every view is a function with fixed parameters, drawn from its set's seed when `views()` is called: the same for every
sample, whatever the batch, its order and its neighbours, and without a look at torch's global generator. Kornia's own
`Random*` modules draw from that generator anew in each call, so a batch of 8 and two of 4 get different pictures.

Pictures come in `(b, 3, h, w)` in [0, 1] and leave in the same shape, dtype and range, computed in float32. All extents
are fractions of the picture, so that a set means the same at 128 and at 224 pixels.
"""

from __future__ import annotations

from lmia import Views, hookimpl
from lmia_kornia.captions import Captions
from lmia_kornia.mixed import Composed, FourBasic, Gentle
from lmia_kornia.single import JPEG, Blur, Colour, Crops, Flips, Rotations

__all__ = ["JPEG", "Blur", "Captions", "Colour", "Composed", "Crops", "Flips", "FourBasic", "Gentle", "Rotations"]


@hookimpl
def lmia_views() -> list[type[Views]]:
    """Return the augmentation sets.

    Example:
        >>> [views.__name__ for views in lmia_views()][:3]
        ['Gentle', 'FourBasic', 'Rotations']
    """
    return [Gentle, FourBasic, Rotations, Crops, Flips, Blur, Colour, JPEG, Composed, Captions]
