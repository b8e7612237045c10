"""What moves the pixels of a picture: frozen, picklable functions of `(b, 3, h, w)` float32, extents as fractions of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from kornia.geometry.transform import get_affine_matrix2d, warp_affine
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class Crop:
    """Cut one box out of every picture and enlarge it to the full size, bilinearly.

    Args:
        top: upper edge, as a fraction of the height.
        left: left edge, as a fraction of the width.
        height: of the box, as a fraction of the picture's.
        width: of the box, as a fraction of the picture's.

    Example:
        >>> import torch
        >>> picture = torch.arange(4.0).expand(1, 3, 4, 4) / 4
        >>> Crop(0.0, 0.5, 1.0, 0.5)(picture)[0, 0, 0].tolist()
        [0.5, 0.5625, 0.6875, 0.75]
    """

    top: float
    left: float
    height: float
    width: float

    def __call__(self, pixels: Tensor) -> Tensor:
        """Crop `(b, 3, h, w)`; edges are rounded to whole pixels, one pixel at least."""
        h, w = pixels.shape[-2:]
        top, bottom = _edges(self.top, self.height, h)
        left, right = _edges(self.left, self.width, w)
        box = pixels[..., top:bottom, left:right]
        down, across = _enlarging(bottom - top, h), _enlarging(right - left, w)
        return down.to(pixels.device).T @ (box @ across.to(pixels.device))


def _enlarging(few: int, many: int) -> Tensor:
    """Bilinear interpolation of a line as one matrix, `(few, many)`: twice as fast as torch's on small pictures."""
    return torch.from_numpy(_weights(few, many))


@lru_cache(maxsize=64)  # a box is the same for every batch
def _weights(few: int, many: int) -> NDArray[np.float32]:
    line: Tensor = interpolate(torch.eye(few)[None], many, mode="linear", align_corners=False)
    return np.asarray(line[0].numpy())


def _edges(start: float, extent: float, size: int) -> tuple[int, int]:
    first = min(round(start * size), size - 1)
    return first, min(max(round((start + extent) * size), first + 1), size)


@dataclass(frozen=True)
class Affine:
    """Rotate and scale about the centre, then shift; bilinear, black where there was no picture.

    Args:
        angle: degrees, counter-clockwise.
        right: shift to the right, as a fraction of the width.
        down: shift downwards, as a fraction of the height.
        scale: factor of size, above 1 enlarges.

    Example:
        >>> import torch
        >>> picture = torch.eye(2).expand(1, 3, 2, 2)
        >>> Affine(angle=90)(picture)[0, 0].round().tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    angle: float = 0.0
    right: float = 0.0
    down: float = 0.0
    scale: float = 1.0

    def __call__(self, pixels: Tensor) -> Tensor:
        """Transform `(b, 3, h, w)`."""
        b, c, h, w = pixels.shape
        # Kornia's get_affine_matrix2d turns clockwise for positive angles, its rotate the other way.
        matrix = get_affine_matrix2d(
            pixels.new_tensor([[self.right * w, self.down * h]]),
            pixels.new_tensor([[(w - 1) / 2, (h - 1) / 2]]),
            pixels.new_tensor([[self.scale, self.scale]]),
            pixels.new_tensor([-self.angle]),
        )[:, :2]
        # One picture of b * c channels: the matrix is the same for all, so one grid serves them.
        folded: Tensor = warp_affine(pixels.reshape(1, b * c, h, w), matrix, (h, w))
        return folded.reshape(b, c, h, w)


@dataclass(frozen=True)
class Flip:
    """Mirror the picture.

    Args:
        horizontal: swap left and right.
        vertical: swap top and bottom.

    Example:
        >>> import torch
        >>> Flip(horizontal=True)(torch.arange(3.0).expand(1, 3, 1, 3))[0, 0].tolist()
        [[2.0, 1.0, 0.0]]
    """

    horizontal: bool = False
    vertical: bool = False

    def __call__(self, pixels: Tensor) -> Tensor:
        """Mirror `(b, 3, h, w)`."""
        return pixels.flip([axis for axis, wanted in ((-1, self.horizontal), (-2, self.vertical)) if wanted])
