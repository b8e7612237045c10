"""JPEG compression of a picture as a frozen, picklable function.

Not kornia's codec: its matrix products round differently in batches of different sizes, and where a coefficient lies
at the edge of a quantisation step that moved pixels by 0.02 with the number of batch-mates. Here every number that is
rounded comes from single multiplications and additions in a fixed order, so a row is the same to the bit in any batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Quantisation steps of the luminance at quality 50 (ITU-T T.81, table K.1)."""

CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
"""Quantisation steps of the two colour planes at quality 50 (ITU-T T.81, table K.2)."""

COSINES = tuple(
    tuple((math.sqrt(0.125) if u == 0 else 0.5) * math.cos((2 * x + 1) * u * math.pi / 16) for x in range(8))
    for u in range(8)
)
"""The orthonormal 8-point cosine transform: frequency by place."""


@dataclass(frozen=True)
class Jpeg:
    """Compress as baseline JPEG does (4:2:0, the standard tables) and decode again, without the final bytes.

    Args:
        quality: 1 to 100, as in libjpeg.

    Example:
        >>> Jpeg(50)(torch.full((1, 3, 5, 7), 0.5)).shape
        torch.Size([1, 3, 5, 7])
    """

    quality: int

    def __call__(self, pixels: Tensor) -> Tensor:
        """Compress `(b, 3, h, w)` of any h and w; the last row and column are repeated up to multiples of 16."""
        h, w = pixels.shape[-2:]
        red, green, blue = pad(pixels * 255, (0, -w % 16, 0, -h % 16), mode="replicate").unbind(1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        colours = torch.stack(((blue - luma) / 1.772, (red - luma) / 1.402), dim=1)  # (b, 2, h, w): Cb and Cr
        upper, lower = colours[..., ::2, :], colours[..., 1::2, :]
        small = (upper[..., ::2] + upper[..., 1::2] + lower[..., ::2] + lower[..., 1::2]) / 4
        small = quantised(small, steps(CHROMA, self.quality))
        cb, cr = interpolate(small, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
        luma = quantised(luma - 128, steps(LUMA, self.quality)) + 128
        decoded = (luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb)
        return torch.stack(decoded, dim=1)[..., :h, :w] / 255


def steps(table: tuple[tuple[int, ...], ...], quality: int) -> Tensor:
    """Scale a table to a quality as libjpeg does: `(8, 8)`, whole numbers from 1 to 255.

    Example:
        >>> steps(LUMA, 50)[0, :3].tolist(), steps(LUMA, 100).max().item()
        ([16.0, 11.0, 10.0], 1.0)
    """
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return torch.tensor([[float(min(max((step * scale + 50) // 100, 1), 255)) for step in row] for row in table])


def quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """Round the cosine transform of every 8 x 8 block to multiples of `steps`.

    Args:
        planes: `(..., h, w)`, both multiples of 8.
        steps: `(8, 8)`, vertical by horizontal frequency.

    Example:
        >>> quantised(torch.full((8, 8), 3.0), torch.full((8, 8), 16.0)).unique().round(decimals=4).tolist()
        [4.0]
    """
    h, w = planes.shape[-2:]
    blocks = planes.reshape(-1, h // 8, 8, w // 8, 8).permute(2, 4, 0, 1, 3)  # place first: (8, 8, n, h / 8, w / 8)
    there = planes.new_tensor(COSINES)
    sizes = steps.T.to(planes.device)[:, :, None]
    waves = _mixed(there, _mixed(there, blocks.flatten(2)).transpose(0, 1))  # horizontal by vertical frequency
    waves = (waves / sizes).round() * sizes
    places = _mixed(there.T, _mixed(there.T, waves).transpose(0, 1))
    return places.reshape(blocks.shape).permute(2, 3, 0, 4, 1).reshape(planes.shape)


def _mixed(weights: Tensor, blocks: Tensor) -> Tensor:
    """`weights @ blocks` over the first axis, `(8, 8)` and `(8, 8, r)`, in an order that r does not change."""
    total = weights[:, 0, None, None] * blocks[0]
    for i in range(1, 8):
        total = total + weights[:, i, None, None] * blocks[i]
    return total
