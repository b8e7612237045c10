"""What can be done to a picture: frozen, picklable functions of `(b, 3, h, w)`, each with its parameters in its repr."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_saturation_with_gray_subtraction,
    jpeg_codec_differentiable,
)
from kornia.filters import get_gaussian_kernel1d
from kornia.geometry.transform import get_affine_matrix2d, resize, warp_affine
from torch import Tensor
from torch.nn.functional import conv1d, pad

Step = Callable[[Tensor], Tensor]
"""`(b, 3, h, w)` float32 in [0, 1] to the same shape, row by row."""

CACHED = 2**20
"""Numbers worked on at once on a CPU: more fall out of its cache between two steps (blur and JPEG: 3 times slower)."""


@dataclass(frozen=True)
class Crop:
    """Cut one box out of every picture and enlarge it to the full size, bilinearly.

    Args:
        top: upper edge, as a fraction of the height.
        left: left edge, as a fraction of the width.
        height: of the box, as a fraction of the picture's.
        width: of the box, as a fraction of the picture's.

    Example:
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
        enlarged: Tensor = resize(box, (h, w), interpolation="bilinear", align_corners=False, antialias=False)
        return enlarged


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
        >>> Flip(horizontal=True)(torch.arange(3.0).expand(1, 3, 1, 3))[0, 0].tolist()
        [[2.0, 1.0, 0.0]]
    """

    horizontal: bool = False
    vertical: bool = False

    def __call__(self, pixels: Tensor) -> Tensor:
        """Mirror `(b, 3, h, w)`."""
        return pixels.flip([axis for axis, wanted in ((-1, self.horizontal), (-2, self.vertical)) if wanted])


@dataclass(frozen=True)
class Blurring:
    """Gaussian blur, cut at three standard deviations, with mirrored borders.

    Args:
        sigma: standard deviation, as a fraction of the shorter side.

    Example:
        >>> Blurring(1 / 56)(torch.ones(1, 3, 8, 8)).mean().round(decimals=4).item()
        1.0
    """

    sigma: float

    def __call__(self, pixels: Tensor) -> Tensor:
        """Blur `(b, 3, h, w)`."""
        side = min(pixels.shape[-2:])
        sigma = self.sigma * side
        radius = min(math.ceil(3 * sigma), side - 1)
        if radius == 0:
            return pixels
        kernel = get_gaussian_kernel1d(2 * radius + 1, sigma, device=pixels.device)  # (1, 2 radius + 1)
        down, across = (_mixture(kernel, size) for size in pixels.shape[-2:])
        return down.T @ (pixels @ across)


def _mixture(kernel: Tensor, size: int) -> Tensor:
    """The blur of a line of `size` pixels as one matrix, borders included: faster than kornia's two convolutions."""
    lines = torch.eye(size, device=kernel.device)[:, None]
    margin = kernel.shape[1] // 2
    return conv1d(pad(lines, (margin, margin), mode="reflect"), kernel[None])[:, 0]


@dataclass(frozen=True)
class Jitter:
    """Change the colours: torchvision's ColorJitter, with its factors given instead of drawn.

    Args:
        brightness: factor on all channels.
        contrast: factor on the distance to the picture's mean grey.
        saturation: factor on the distance to each pixel's grey.
        hue: turn of the colour circle, 0.5 is the complementary colour.
        order: in which of the four is done when.

    Example:
        >>> Jitter(brightness=2.0)(torch.full((1, 3, 1, 1), 0.25)).flatten().tolist()
        [0.5, 0.5, 0.5]
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    order: tuple[str, ...] = ("brightness", "contrast", "saturation", "hue")

    def __call__(self, pixels: Tensor) -> Tensor:
        """Recolour `(b, 3, h, w)`; clamped to [0, 1] after each of the four."""
        for what in self.order:
            if what == "brightness" and self.brightness != 1:
                pixels = adjust_brightness_accumulative(pixels, self.brightness)
            elif what == "contrast" and self.contrast != 1:
                pixels = adjust_contrast_with_mean_subtraction(pixels, self.contrast)
            elif what == "saturation" and self.saturation != 1:
                pixels = adjust_saturation_with_gray_subtraction(pixels, self.saturation)
            elif what == "hue" and self.hue != 0:
                pixels = turned(pixels, self.hue)
        return pixels


def turned(pixels: Tensor, turn: float) -> Tensor:
    """Turn the colour circle of `(b, 3, h, w)`: kornia's `adjust_hue` to rounding, in a quarter of its time.

    With value v, chroma c and hue t in sixths of the circle, a channel is v - c max(0, min(k, 4 - k, 1)), where
    k = (n + t) mod 6 and n = 5, 3, 1 for red, green, blue.

    Example:
        >>> turned(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), 1 / 3).flatten().round().tolist()
        [0.0, 1.0, 0.0]
    """
    red, green, blue = pixels.split(1, dim=1)
    value = pixels.amax(1, keepdim=True)
    chroma = value - pixels.amin(1, keepdim=True)
    after_green = torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma)
    sixths = torch.where(value == red, green - blue, after_green) / chroma.clamp(min=1e-12)
    offsets = pixels.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1) + 6 * turn
    k = torch.remainder(sixths + offsets, 6)
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


@dataclass(frozen=True)
class Jpeg:
    """Compress as JPEG and decode again (4:2:0, standard tables; kornia's codec, whose rounding is a smooth one).

    Args:
        quality: 1 to 100, as in libjpeg.

    Example:
        >>> Jpeg(50)(torch.full((1, 3, 5, 7), 0.5)).shape
        torch.Size([1, 3, 5, 7])
    """

    quality: int

    def __call__(self, pixels: Tensor) -> Tensor:
        """Compress `(b, 3, h, w)` of any h and w; padded to multiples of 16 inside."""
        decoded: Tensor = jpeg_codec_differentiable(pixels, torch.tensor([float(self.quality)]))
        return decoded


@dataclass(frozen=True)
class Chain:
    """One view of a picture: steps one after the other, computed in float32 whatever comes in.

    Args:
        steps: what to do, in order.

    Raises:
        TypeError: the pixels are whole numbers, so that [0, 1] cannot be meant.

    Example:
        >>> view = Chain((Flip(horizontal=True), Jitter(brightness=1.5)))
        >>> view(torch.full((2, 3, 4, 4), 0.9, dtype=torch.bfloat16))[0, 0, 0, 0]
        tensor(1., dtype=torch.bfloat16)
    """

    steps: tuple[Step, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Transform `(b, 3, h, w)` in [0, 1] into the same shape, dtype, device and range."""
        if not pixels.is_floating_point():
            raise TypeError(f"A view needs float pixels in [0, 1], got {pixels.dtype}.")
        if not len(pixels):  # kornia's codec refuses an empty batch
            return pixels
        size = len(pixels) if pixels.is_cuda else max(1, CACHED // pixels[0].numel())
        with torch.autocast(pixels.device.type, enabled=False):
            return torch.cat([self._run(part.float()).to(pixels.dtype) for part in pixels.split(size)])

    def _run(self, pixels: Tensor) -> Tensor:
        for step in self.steps:
            pixels = step(pixels)
        return pixels.clamp(0, 1)
