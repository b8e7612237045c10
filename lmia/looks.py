"""How pictures look, in a hash and a few numbers: for finding copies, and for baselines that never see the model.

Many pictures are described at once, in whole numbers up to the last division: so a picture's description is the same to
the last bit whatever other pictures stand beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STATISTICS = 36
"""How many numbers are kept of a picture's pixels, for baselines that never see the model."""
SIDE = 32
_SAMPLED = 128
_PATCH = 48
_LUMA = (299, 587, 114)  # ITU-R BT.601, in thousandths
_GREY = np.array([19595, 38470, 7471]) / 65536  # the same as Pillow has it, in binary fractions
_STEEP = 32_000
_SCALE = 1 << 16
_COSINES = np.rint(_SCALE * np.cos(np.pi / SIDE * np.outer(np.arange(8), np.arange(SIDE) + 0.5)))
_ONES = np.ones((1, SIDE * SIDE))

Bytes = NDArray[np.uint8]


class Look(NamedTuple):
    """A picture reduced to its looks.

    Args:
        small: the whole of it, 32 x 32 RGB bytes, row by row.
        patch: its middle at its own resolution, at most 48 a side, likewise.
        width: of the patch.
    """

    small: bytes
    patch: bytes
    width: int


def look(picture: Image.Image) -> Look:
    """Reduce an RGB picture; of a large one every so manieth pixel stands for it, at a tenth of the cost and a bit.

    Example:
        >>> look(Image.new("RGB", (100, 40), "red")).width
        48
    """
    near, (width, height) = Image.Resampling.NEAREST, picture.size
    left, top = max(0, (width - _PATCH) // 2), max(0, (height - _PATCH) // 2)
    side = min(width, _PATCH), min(height, _PATCH)
    middle = (left, top, left + side[0], top + side[1])
    patch = picture.resize(side, near, middle)  # as it is: the finest detail is lost in every smaller picture
    if min(picture.size) > _SAMPLED:
        small = picture.resize((_SAMPLED, _SAMPLED), near).reduce(_SAMPLED // SIDE)
    else:
        small = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return Look(small.tobytes(), patch.tobytes(), side[0])


def _smalls(looks: Sequence[Look]) -> Bytes:
    """All small pictures, `(b, 32, 32, 3)`."""
    return np.frombuffer(b"".join(one.small for one in looks), np.uint8).reshape(-1, SIDE, SIDE, 3)


def hashes(looks: Sequence[Look]) -> list[str]:
    """Return the perceptual hash of each look: 16 hexadecimal digits.

    As `imagehash.phash` of the small picture: the 8 x 8 lowest frequencies of a cosine transform, each above their median
    or not. The cosines are rounded to 16 binary digits, so that every sum is exact; a bit differs from `imagehash`'s only
    where a frequency lies that close to the median.

    Example:
        >>> hashes([look(Image.new("RGB", (64, 64), "red"))])
        ['8000000000000000']
    """
    if not looks:
        return []
    grey = _grey(_smalls(looks))
    low = (_COSINES @ (grey @ _COSINES.T)).reshape(len(looks), 64)  # sums below 2^53
    bits = low > np.median(low, axis=1, keepdims=True)
    return [row.tobytes().hex() for row in np.packbits(bits, axis=1)]


def _grey(colours: Bytes) -> NDArray[np.float64]:
    """Take the colour away to the last bit as Pillow does."""
    grey: NDArray[np.float64] = np.floor(colours.astype(np.float64) @ _GREY + 0.5)
    return grey


def statistics(looks: Sequence[Look]) -> NDArray[np.float32]:
    """Describe the pixels of b looks without seeing what they show.

    Returns:
        `(b, STATISTICS)`, on the scale of 0 to 255 or as shares: means (3) and standard deviations (3) of red, green and
        blue; the luminance of 4 x 4 fields, row by row (16); the shares of the eight halved-cube colours (8);
        the mean step of luminance across (1) and down (1); the shares of steep steps (1), pure white (1) and pure
        black (1); the mean step across in the patch (1).

    Example:
        >>> found = statistics([look(Image.new("RGB", (32, 32), (100, 100, 100)))])
        >>> found.shape, found[0, :3].tolist(), float(found[0, -1])
        ((1, 36), [100.0, 100.0, 100.0], 0.0)
    """
    if not looks:
        return np.zeros((0, STATISTICS), np.float32)
    colours = _smalls(looks)
    wide = colours.astype(np.int32)
    luma = wide[..., 0] * _LUMA[0] + wide[..., 1] * _LUMA[1] + wide[..., 2] * _LUMA[2]
    parts = [*_moments(colours), _fields(luma), _cube(colours), *_edges(luma), _fine(looks)[:, None]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _moments(colours: Bytes) -> list[NDArray[np.float64]]:
    """Means and standard deviations, each `(b, 3)`; float64 holds every sum of these exactly, whatever its order."""
    flat, count = colours.reshape(len(colours), -1, 3).astype(np.float64), SIDE * SIDE
    sums, squares = _ONES @ flat, _ONES @ (flat * flat)
    return [sums[:, 0] / count, (np.sqrt(count * squares - sums**2) / count)[:, 0]]


def _fields(luma: NDArray[np.int32]) -> NDArray[np.float64]:
    fields: NDArray[np.float64] = luma.reshape(-1, 4, 8, 4, 8).sum((2, 4)).reshape(-1, 16) / 64_000
    return fields


def _cube(colours: Bytes) -> NDArray[np.float64]:
    red, green, blue = (colours >> 7).reshape(-1, SIDE**2, 3).transpose(2, 0, 1)
    corner = (4 * red + 2 * green + blue) + 8 * np.arange(len(colours))[:, None]
    shares: NDArray[np.float64] = np.bincount(corner.ravel(), minlength=8 * len(colours)).reshape(-1, 8) / SIDE**2
    return shares


def _edges(luma: NDArray[np.int32]) -> list[NDArray[np.float64]]:
    """Mean steps across and down, and the shares of steep steps, white and black, each `(b, 1)`."""
    steps = [np.abs(np.diff(luma, axis=axis)).reshape(len(luma), -1) for axis in (2, 1)]
    each = steps[0].shape[1]
    counts = [sum(np.count_nonzero(one > _STEEP, axis=1) for one in steps) / (2 * each)]
    flat = luma.reshape(len(luma), -1)
    counts += [np.count_nonzero(flat > 254_500, axis=1) / SIDE**2, np.count_nonzero(flat < 500, axis=1) / SIDE**2]
    return [one[:, None] for one in (*(step.sum(1, dtype=np.int64) / (1000 * each) for step in steps), *counts)]


def _fine(looks: Sequence[Look]) -> NDArray[np.float64]:
    """Mean steps of green across the patches, `(b,)`; most are of one shape."""
    found = np.zeros(len(looks))
    shapes = [(one.width, len(one.patch)) for one in looks]
    for width, size in set(shapes):
        rows = [row for row, shape in enumerate(shapes) if shape == (width, size)]
        patches = np.frombuffer(b"".join(looks[row].patch for row in rows), np.uint8)
        green = patches[1::3].reshape(len(rows), -1, width).astype(np.int16)
        steps = np.abs(green[..., 1:] - green[..., :-1]).sum((1, 2), dtype=np.int64)
        found[rows] = steps / max(1, size // 3 - size // 3 // width)
    return found
