"""What the variants of an item look like: a faint wash of colour over the picture, a made-up name before the caption."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from lmia.errors import LmiaError

Change = Literal["both", "image", "caption"]
CELLS = 4
"""A wash has so many random colours along each side: coarse enough to survive resizing and JPEG."""

_FIRST = (
    *("Amber", "Ashen", "Autumn", "Brass", "Cedar", "Cinder", "Copper", "Coral", "Crystal", "Distant", "Ember"),
    *("Evening", "Feather", "Golden", "Hidden", "Hollow", "Indigo", "Ivory", "Juniper", "Lantern", "Linen"),
    *("Marble", "Midnight", "Northern", "Opal", "Paper", "Quiet", "Russet", "Silver", "Velvet", "Willow", "Winter"),
)
_SECOND = (
    *("Anchor", "Arcade", "Balcony", "Bridge", "Canyon", "Compass", "Cottage", "Creek", "Drift", "Echo", "Ferry"),
    *("Garden", "Harbour", "Hearth", "Island", "Journal", "Kettle", "Ladder", "Meadow", "Mirror", "Orchard"),
    *("Parade", "Pier", "Quarry", "River", "Shore", "Station", "Summit", "Thicket", "Tower", "Valley", "Window"),
)
MOST = min(len(_FIRST), len(_SECOND))
"""Variants of one item share no word, so there are no more than these."""


@dataclass(frozen=True)
class Design:
    """How variants are made.

    Args:
        variants: n, from 2 to `MOST`.
        change: the picture, the caption, or both.
        strength: how far the wash may move a colour, as a share of its range: 0.08 is visible beside the original, and
            mild alone.
        side: pictures with a longer side are made this small, in pixels.

    Raises:
        LmiaError: an argument is out of range.

    Example:
        >>> Design(variants=1)
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 1 variants leave no choice, or are too many.
        Give --variants from 2 to 32.
    """

    variants: int = 8
    change: Change = "both"
    strength: float = 0.08
    side: int = 2048

    def __post_init__(self) -> None:
        if not 2 <= self.variants <= MOST:
            raise LmiaError(
                f"{self.variants} variants leave no choice, or are too many.", f"Give --variants from 2 to {MOST}."
            )
        if self.change not in get_args(Change):
            raise LmiaError(f"'{self.change}' cannot be changed.", f"Give --change {', '.join(get_args(Change))}.")
        if not 0 < self.strength <= 0.25:
            raise LmiaError(
                f"The strength {self.strength} is none, or would spoil the pictures.",
                "Give --strength above 0 and up to 0.25.",
            )
        if self.side < 8:
            raise LmiaError(f"Pictures of {self.side} pixels show nothing.", "Give --side 8 or more.")


@dataclass(frozen=True)
class Variant:
    """One variant of an item.

    Args:
        image: bytes of a JPEG file.
        caption: its caption.
    """

    image: bytes
    caption: str


def variants_of(image: Image.Image, caption: str, design: Design, seed: bytes) -> list[Variant]:
    """Make the variants of an item.

    The name stands before the caption, where a text tower that reads the first 77 tokens does not cut it off.

    Args:
        image: RGB.
        caption: as found.
        design: how many, and what to change.
        seed: equal seeds give equal variants.

    Returns:
        `design.variants` variants, all different.

    Example:
        >>> few = variants_of(Image.new("RGB", (40, 30), "white"), "a dog", Design(variants=3), b"x")
        >>> len({one.image for one in few}), len({one.caption for one in few}), few[0].caption.endswith(": a dog")
        (3, 3, True)
    """
    draw = np.random.default_rng(np.frombuffer(seed.ljust(4, b"\0"), np.uint8))
    firsts = draw.permutation(len(_FIRST))
    seconds = draw.permutation(len(_SECOND))
    small = _fitted(image, design.side)
    found = []
    for i in range(design.variants):
        wash = draw.normal(size=(CELLS, CELLS, 3)).clip(-2, 2) / 2
        name = f"{_FIRST[firsts[i]]} {_SECOND[seconds[i]]}: "
        picture = small if design.change == "caption" else washed(small, wash, design.strength)
        found.append(Variant(jpeg(picture, 95), caption if design.change == "image" else name + caption))
    return found


def washed(image: Image.Image, wash: np.ndarray, strength: float) -> Image.Image:
    """Lay a wash of colour over a picture; contrast is lowered so that white and black can take it as well.

    Args:
        image: RGB.
        wash: (k, k, 3) from -1 to 1, spread smoothly over the picture.
        strength: the largest change, as a share of the range of a colour.

    Example:
        >>> washed(Image.new("RGB", (2, 2), "white"), np.full((4, 4, 3), -1.0), 0.1).getpixel((0, 0))
        (204, 204, 204)
    """
    bands = []
    for band, field in zip(image.split(), np.moveaxis(wash, 2, 0), strict=True):
        smooth = Image.fromarray(field.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
        spread = np.asarray(smooth).clip(-1, 1) * np.float32(255 * strength)
        kept = np.asarray(band, np.float32) * np.float32(1 - 2 * strength) + np.float32(255 * strength)
        bands.append(Image.fromarray((kept + spread).round().clip(0, 255).astype(np.uint8)))
    return Image.merge("RGB", bands)


def jpeg(image: Image.Image, quality: int) -> bytes:
    r"""Return a picture as a JPEG file, without the original's metadata.

    Args:
        image: RGB.
        quality: from 1 to 95; above 90, colours keep their full resolution.

    Example:
        >>> jpeg(Image.new("RGB", (8, 8)), 95)[:2]
        b'\xff\xd8'
    """
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=0 if quality > 90 else 2, exif=b"", icc_profile=None)
    return file.getvalue()


def _fitted(image: Image.Image, side: int) -> Image.Image:
    if max(image.size) <= side:
        return image
    share = side / max(image.size)
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return image.resize(size, Image.Resampling.LANCZOS)
