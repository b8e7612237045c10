"""What becomes of variants on the way into a training set: resized, compressed, compared with what is there already."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lmia.canary.design import jpeg

GRID = 16
NEAR = 4
"""Pictures whose 64-bit perceptual hashes differ in no more bits than this are near-copies to a de-duplicator."""
_GRAIN = 1.0


@dataclass(frozen=True)
class Survival:
    """How well the variants of one item would survive.

    Args:
        apart: variants that are still nearest to themselves after halving and JPEG of quality 50.
        variants: of how many.
        moved: mean change of a colour value from the original to the variants, of 255.
        bits: of the perceptual hash, the most that a variant is away from the original; of 64.
    """

    apart: int
    variants: int
    moved: float
    bits: int


def degraded(file: bytes) -> bytes:
    """Halve a picture's sides and save it as JPEG of quality 50.

    Args:
        file: a picture's bytes.

    Example:
        >>> Image.open(io.BytesIO(degraded(jpeg(Image.new("RGB", (9, 4)), 95)))).size
        (4, 2)
    """
    image = _opened(file)
    half = (max(1, image.width // 2), max(1, image.height // 2))
    return jpeg(image.resize(half, Image.Resampling.BICUBIC), 50)


def told_apart(files: Sequence[bytes]) -> int:
    """Count the pictures that are recognised after degrading: nearer to their own original than to any other's.

    Args:
        files: bytes of n pictures of one size; two that look the same (within one of 255 grey levels) are not told
            apart.

    Example:
        >>> red, blue = (jpeg(Image.new("RGB", (32, 32), colour), 95) for colour in ("#804040", "#404080"))
        >>> told_apart([red, blue]), told_apart([red, red])
        (2, 0)
    """
    clean = np.stack([_coarse(_opened(file)) for file in files])
    rough = np.stack([_coarse(_opened(degraded(file))) for file in files])
    count = len(files)
    away = np.sqrt(((rough[:, None] - clean[None]) ** 2).mean((2, 3, 4)))
    between = np.sqrt(((clean[:, None] - clean[None]) ** 2).mean((2, 3, 4))) + np.diag(np.full(count, np.inf))
    return int(((away.argmin(1) == np.arange(count)) & (between.min(1) > _GRAIN)).sum())


def survival(original: Image.Image, hashes: tuple[str, Sequence[str]], files: Sequence[bytes]) -> Survival:
    """Measure the variants of one item.

    Args:
        original: RGB.
        hashes: perceptual hash of the original and of each variant, hexadecimal.
        files: bytes of the variants' pictures.

    Example:
        >>> image = Image.new("RGB", (32, 32), "white")
        >>> survival(image, ("00", ["01", "03"]), [jpeg(image, 95)] * 2)
        Survival(apart=0, variants=2, moved=0.0, bits=2)
    """
    base = _coarse(original)
    moved = np.mean([np.abs(_coarse(_opened(file)) - base).mean() for file in files])
    return Survival(told_apart(files), len(files), float(moved), max(bits_between(hashes[0], h) for h in hashes[1]))


def bits_between(a: str, b: str) -> int:
    """Count the bits in which two hexadecimal hashes differ.

    Example:
        >>> bits_between("0f", "0c")
        2
    """
    return (int(a, 16) ^ int(b, 16)).bit_count()


def near_copies(hashes: Sequence[str]) -> int:
    """Count the pictures that a de-duplicator would take for a copy of another, by their perceptual hashes.

    Args:
        hashes: n hashes of 64 bits, hexadecimal.

    Example:
        >>> near_copies(["00ff", "00fe", "ff00"])
        2
    """
    if not hashes:
        return 0
    packed = np.array([int(one, 16) for one in hashes], np.uint64)
    return sum(int((np.bitwise_count(packed ^ one) <= NEAR).sum()) > 1 for one in packed)


def _opened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file)).convert("RGB")


def _coarse(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX), np.float32)
