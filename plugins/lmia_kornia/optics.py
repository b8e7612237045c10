"""What changes the pixels of a picture in their places: frozen, picklable functions of `(b, 3, h, w)` float32 in [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from kornia.filters import get_gaussian_kernel1d
from numpy.typing import NDArray
from torch import Tensor


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
        down, across = (_mixture(sigma, radius, size).to(pixels.device) for size in pixels.shape[-2:])
        return down.T @ (pixels @ across)


def _mixture(sigma: float, radius: int, size: int) -> Tensor:
    """The blur of a line of `size` pixels as one matrix, borders included: faster than kornia's two convolutions."""
    return torch.from_numpy(_weights(sigma, radius, size))


@lru_cache(maxsize=64)  # a view is made for every batch anew, with the same numbers
def _weights(sigma: float, radius: int, size: int) -> NDArray[np.float32]:
    kernel = get_gaussian_kernel1d(2 * radius + 1, sigma)[0].numpy()
    mirrored = np.pad(np.eye(size, dtype=np.float32), ((0, 0), (radius, radius)), mode="reflect")
    return np.asarray(sum(weight * mirrored[:, i : i + size] for i, weight in enumerate(kernel)))


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
        # All four work in the same memory, whose pages cost as much as the sums; gradients need each step's own.
        out = None if pixels.requires_grad else torch.empty_like(pixels)
        for what in self.order:
            if what == "brightness" and self.brightness != 1:
                pixels = torch.mul(pixels, self.brightness, out=out).clamp_(0, 1)
            elif what == "contrast" and self.contrast != 1:
                mean = grey(pixels).mean((-2, -1), keepdim=True)
                pixels = torch.lerp(mean, pixels, self.contrast, out=out).clamp_(0, 1)
            elif what == "saturation" and self.saturation != 1:
                pixels = torch.lerp(grey(pixels), pixels, self.saturation, out=out).clamp_(0, 1)
            elif what == "hue" and self.hue != 0:
                pixels = turned(pixels, self.hue)
        return pixels


def grey(pixels: Tensor) -> Tensor:
    """Take the luminance of `(b, 3, h, w)`, `(b, 1, h, w)`: kornia's `rgb_to_grayscale` to rounding, as one product.

    The steps of `Jitter` that use it are kornia's `adjust_*_with_*_subtraction` in half their time.

    Example:
        >>> grey(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)).item()
        0.29899999499320984
    """
    weights = pixels.new_tensor([[0.299, 0.587, 0.114]])
    flat: Tensor = weights @ pixels.flatten(2)
    return flat.reshape(len(pixels), 1, *pixels.shape[-2:])


def turned(pixels: Tensor, turn: float) -> Tensor:
    """Turn the colour circle of `(b, 3, h, w)`: kornia's `adjust_hue` to rounding, in an eighth of its time.

    With value v, chroma c and hue t in sixths of the circle, -1 to 5, a channel is v - c max(0, min(k, 4 - k, 1)), where
    k = (n + t) mod 6 and n = 5, 3, 1 for red, green, blue: a tent about k = 2, whose foot is 2 wide. The distance to its
    top along the circle is 3 - ||n + t - 2| - 3|, with n moved by whole circles so that n + t - 2 lies within one.

    Example:
        >>> turned(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), 1 / 3).flatten().round().tolist()
        [0.0, 1.0, 0.0]
    """
    red, green, blue = pixels.unbind(1)
    value = pixels.amax(1)
    chroma = value - pixels.amin(1)
    # Into memory that is there: fresh pages cost several times what is computed here.
    other = torch.sub(blue, red).add_(chroma, alpha=2)
    sixths = torch.sub(red, green).add_(chroma, alpha=4)
    # lerp with a weight of 0 or 1 is exact, and twice as fast as torch.where on a mask that no processor can guess.
    weight = torch.eq(value, green, out=torch.empty_like(value))
    sixths.lerp_(other, weight)
    sixths.lerp_(torch.sub(green, blue, out=other), torch.eq(value, red, out=weight))
    sixths.div_(torch.clamp(chroma, min=1e-12, out=weight))
    out = torch.empty_like(pixels)
    for n, channel in zip((5, 3, 1), out.unbind(1), strict=True):
        share = torch.add(sixths, (n + 3 + 6 * turn) % 6 - 5, out=other).abs_().sub_(3).abs_().sub_(1).clamp_(0, 1)
        torch.addcmul(value, share, chroma, value=-1, out=channel)
    return out
