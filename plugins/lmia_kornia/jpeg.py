"""JPEG compression of a picture as a frozen, picklable function.

Not kornia's codec: its matrix products round differently in batches of different sizes, and where a coefficient lies
at the edge of a quantisation step that moved pixels by 0.02 with the number of batch-mates. Here every number that is
rounded comes from single multiplications and additions in a fixed order, so a row is the same to the bit in any batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
        luma, small = quantised((luma - 128, small), (steps(LUMA, self.quality), steps(CHROMA, self.quality)))
        cb, cr = interpolate(small, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
        luma = luma + 128
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


def quantised(planes: Sequence[Tensor], steps: Sequence[Tensor]) -> list[Tensor]:
    """Round the cosine transform of every 8 x 8 block to multiples of its plane's `steps`.

    Args:
        planes: each `(..., h, w)`, both multiples of 8.
        steps: as many times `(8, 8)`, vertical by horizontal frequency.

    Example:
        >>> quantised([torch.full((8, 8), 3.5)], [torch.full((8, 8), 16.0)])[0].unique().round(decimals=4).tolist()
        [4.0]
    """
    there = planes[0].new_tensor(COSINES)
    blocks = [_blocks(plane) for plane in planes]
    counts = [one.shape[2] for one in blocks]
    # All planes at once: the transform of a few small blocks takes as long as that of many.
    waves = _there(there, _there(there, torch.cat(blocks, dim=2)).transpose(0, 1))  # horizontal by vertical frequency
    for part, sizes in zip(torch.split(waves, counts, dim=2), steps, strict=True):
        each = sizes.T.to(part.device)[:, :, None]
        part.div_(each).round_().mul_(each)
    places = _back(there, _back(there, waves).transpose(0, 1))
    parts = torch.split(places, counts, dim=2)
    return [_plane(part, plane.shape) for part, plane in zip(parts, planes, strict=True)]


def _blocks(plane: Tensor) -> Tensor:
    """Cut `(..., h, w)` into blocks, place first: `(8, 8, r)`."""
    h, w = plane.shape[-2:]
    return plane.reshape(-1, h // 8, 8, w // 8, 8).permute(2, 4, 0, 1, 3).flatten(2)


def _plane(blocks: Tensor, shape: torch.Size) -> Tensor:
    """Join blocks again, the inverse of `_blocks`."""
    h, w = shape[-2:]
    return blocks.reshape(8, 8, -1, h // 8, w // 8).permute(2, 3, 0, 4, 1).reshape(shape)


def _there(cosines: Tensor, places: Tensor) -> Tensor:
    """`cosines @ places` over the first axis, `(8, 8)` and `(8, ..., r)`, by symmetry in half the work.

    Even cosines see the sums of mirrored places, odd ones their differences.
    """
    near, far = places[:4], places[4:].flip(0)
    waves = places.new_empty(places.shape)
    waves[::2] = _mixed(cosines[::2, :4], near + far)
    waves[1::2] = _mixed(cosines[1::2, :4], near - far)
    return waves


def _back(cosines: Tensor, waves: Tensor) -> Tensor:
    """`cosines.T @ waves`, the inverse of `_there`, by the same symmetry."""
    even, odd = _mixed(cosines[::2, :4].T, waves[::2]), _mixed(cosines[1::2, :4].T, waves[1::2])
    return torch.cat((even + odd, (even - odd).flip(0)))


def _mixed(weights: Tensor, parts: Tensor) -> Tensor:
    """`weights @ parts` over the first axis, `(4, 4)` and `(4, ..., r)`, in an order that r does not change."""
    columns = weights.T.reshape(4, 4, *(1,) * (parts.ndim - 1))
    total = columns[0] * parts[0]
    for column, part in zip(columns[1:], parts[1:], strict=True):
        total += column * part
    return total
