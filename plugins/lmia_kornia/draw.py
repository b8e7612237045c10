"""Drawing the parameters of a step from a seed: the widest range at strength 1, nothing at strength 0.

Only `Random.random` is used, whose numbers Python promises to keep the same in all its versions.
"""

from __future__ import annotations

from random import Random

from lmia_kornia.geometry import Affine, Crop
from lmia_kornia.jpeg import Jpeg
from lmia_kornia.optics import Blurring, Jitter


def crop(draw: Random, strength: float, smallest: float, ratio: float) -> Crop:
    """Draw a box anywhere in the picture, as RandomResizedCrop does, but cut at the edges where that draws again.

    Args:
        draw: where the numbers come from.
        strength: 0 to 1.
        smallest: its least share of the picture's area at strength 1; the area is uniform.
        ratio: its widest aspect ratio at strength 1, the narrowest is 1 / ratio; uniform in the logarithm.

    Example:
        >>> crop(Random(0), 0.0, 0.08, 4 / 3)
        Crop(top=0.0, left=0.0, height=1.0, width=1.0)
    """
    area = 1 - strength * (1 - smallest) * draw.random()
    aspect = ratio ** (strength * _sign(draw))
    height, width = min((area / aspect) ** 0.5, 1.0), min((area * aspect) ** 0.5, 1.0)
    return Crop((1 - height) * draw.random(), (1 - width) * draw.random(), height, width)


def rotation(draw: Random, strength: float, degrees: float) -> Affine:
    """Draw a rotation of up to `degrees` at strength 1, either way, uniform.

    Example:
        >>> abs(rotation(Random(0), 1.0, 45).angle) <= 45
        True
    """
    return Affine(degrees * strength * _sign(draw))


def affine(draw: Random, strength: float, degrees: float, shift: float, scale: float) -> Affine:
    """Draw a rotation, a shift and a scale, each uniform.

    Args:
        draw: where the numbers come from.
        strength: 0 to 1.
        degrees: the largest angle at strength 1, either way.
        shift: the largest shift at strength 1, as a fraction of width and height, either way.
        scale: the largest change of size at strength 1: 0.25 is a factor of 0.75 to 1.25.

    Example:
        >>> affine(Random(0), 0.0, 30, 0.1, 0.25).scale
        1.0
    """
    angle, right, down, size = (strength * _sign(draw) for _ in range(4))
    return Affine(degrees * angle, shift * right, shift * down, 1 + scale * size)


def jitter(draw: Random, strength: float, light: float, hue: float) -> Jitter:
    """Draw brightness, contrast, saturation and hue, each uniform, and their order.

    Args:
        draw: where the numbers come from.
        strength: 0 to 1.
        light: the largest change of the first three at strength 1: 0.5 is a factor of 0.5 to 1.5.
        hue: the largest turn of the colour circle at strength 1, either way.

    Example:
        >>> jitter(Random(0), 0.0, 0.5, 0.5).contrast
        1.0
    """
    brightness, contrast, saturation = (1 + light * strength * _sign(draw) for _ in range(3))
    turn = hue * strength * _sign(draw) + 0.0  # no -0.0 in the repr
    keys = {name: draw.random() for name in ("brightness", "contrast", "saturation", "hue")}
    return Jitter(brightness, contrast, saturation, turn, tuple(sorted(keys, key=keys.__getitem__)))


def blur(draw: Random, strength: float) -> Blurring:
    """Draw a blur with a sigma of up to 1/112 of the shorter side at strength 1 (2 pixels of 224), uniform.

    Example:
        >>> blur(Random(0), 1.0).sigma < 1 / 112
        True
    """
    return Blurring(strength * draw.random() / 112)


def jpeg(draw: Random, strength: float, worst: int) -> Jpeg:
    """Draw a JPEG quality from 100 down to `worst` at strength 1, uniform.

    Example:
        >>> 60 <= jpeg(Random(0), 1.0, 60).quality <= 100
        True
    """
    return Jpeg(100 - round((100 - worst) * strength * draw.random()))


def _sign(draw: Random) -> float:
    return 2 * draw.random() - 1
