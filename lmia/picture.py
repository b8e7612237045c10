"""From a `Pair` to pixels and facts: decoding, hashing and guarding, while the image is in hand."""

from __future__ import annotations

import io
from dataclasses import dataclass
from hashlib import blake2b, sha256

import imagehash
import numpy as np
from PIL import Image

from lmia.source import Pair, Rejected

MAX_PIXELS = 50_000_000
"""Pictures that claim more pixels than this are refused before they are decoded."""
_SAMPLED = 128
MAX_ASPECT = 200
"""Longer strips are refused: resized to a model's height, one would fill the memory."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is kept of an image file besides its features.

    Args:
        sha256: hexadecimal digest of the file's bytes (of the pixels, where there is no file).
        phash: 64-bit perceptual hash, 16 hexadecimal digits.
        width: in pixels.
        height: in pixels.
        bytes: size of the file; of the pixels, where there is no file.
        format: such as `JPEG`; `pixels`, where there is no file.
        tables: digest of a JPEG's quantisation tables, else empty.
        url: where the pair was published, else empty.
    """

    sha256: str
    phash: str
    width: int
    height: int
    bytes: int
    format: str
    tables: str
    url: str


def open_pair(pair: Pair, max_pixels: int = MAX_PIXELS) -> tuple[Image.Image, Facts] | Rejected:
    """Decode a pair's image to RGB and take its facts.

    Returns:
        The RGB image and its facts, or `Rejected` with one of the reasons `empty caption`, `caption is not Unicode`,
        `decompression bomb`, `extreme aspect ratio`, `image does not decode`.

    Example:
        >>> image, facts = open_pair(Pair("a", "a dot", Image.new("RGB", (3, 2))))
        >>> image.size, facts.width, facts.height, facts.format
        ((3, 2), 3, 2, 'pixels')
        >>> open_pair(Pair("b", " ", b"")).reason
        'empty caption'
    """
    if reason := _unreadable(pair.caption):
        return Rejected(pair.key, reason)
    if isinstance(pair.image, Image.Image):
        pixels = pair.image.convert("RGB")
        raw = pixels.tobytes()
        return pixels, _facts(pair, pixels, raw, "pixels", "")
    try:
        image = Image.open(io.BytesIO(pair.image))
        if image.width * image.height > max_pixels:
            return Rejected(pair.key, "decompression bomb")
        if max(image.size) > MAX_ASPECT * min(image.size):
            return Rejected(pair.key, "extreme aspect ratio")
        tables, kind = _tables(image), image.format or "unknown"
        image.load()
        pixels = image if image.mode == "RGB" else image.convert("RGB")  # which would copy
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Rejected(pair.key, "decompression bomb")
    except Exception:  # hostile bytes: Pillow's decoders raise what they like
        return Rejected(pair.key, "image does not decode")
    return pixels, _facts(pair, pixels, pair.image, kind, tables)


def _unreadable(caption: str) -> str | None:
    try:
        caption.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates, from JSON escapes
        return "caption is not Unicode"
    return None if caption.strip() else "empty caption"


def _tables(image: Image.Image) -> str:
    tables = getattr(image, "quantization", None)
    return blake2b(repr(sorted(tables.items())).encode(), digest_size=8).hexdigest() if tables else ""


def _facts(pair: Pair, pixels: Image.Image, raw: bytes, kind: str, tables: str) -> Facts:
    return Facts(
        sha256=sha256(raw).hexdigest(),
        phash=_looks(pixels),
        width=pixels.width,
        height=pixels.height,
        bytes=len(raw),
        format=kind,
        tables=tables,
        url=pair.url or "",
    )


def _looks(pixels: Image.Image) -> str:
    """Hash a picture's looks; of a large one every so manieth pixel does, which costs a tenth and moves a bit or two."""
    if min(pixels.size) > _SAMPLED:
        pixels = pixels.resize((_SAMPLED, _SAMPLED), Image.Resampling.NEAREST)
    small = pixels.resize((32, 32), Image.Resampling.BOX)
    return np.packbits(imagehash.phash(small).hash.ravel()).tobytes().hex()
