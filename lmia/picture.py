"""From a `Pair` to pixels and facts: decoding, hashing and guarding, while the image is in hand."""

from __future__ import annotations

import io
from dataclasses import dataclass
from hashlib import blake2b, sha256

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lmia.source import Pair, Rejected

MAX_PIXELS = 50_000_000
"""Pictures that claim more pixels than this are refused before they are decoded."""
_SAMPLED = 128
MAX_ASPECT = 200
"""Longer strips are refused: resized to a model's height, one would fill the memory."""
STATISTICS = 36
"""How many numbers are kept of a picture's pixels, for baselines that never see the model."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_ROWS = np.kron(np.eye(4, dtype=np.float32), np.full((1, 8), 1 / 8, np.float32))  # means of 8 neighbours each
_PATCH = 48
_STEEP = 32.0


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
        pixels: `STATISTICS` float32 numbers; see `statistics`.
    """

    sha256: str
    phash: str
    width: int
    height: int
    bytes: int
    format: str
    tables: str
    url: str
    pixels: tuple[float, ...]


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
    small = _small(pixels)
    return Facts(
        sha256=sha256(raw).hexdigest(),
        phash=np.packbits(imagehash.phash(small).hash.ravel()).tobytes().hex(),
        width=pixels.width,
        height=pixels.height,
        bytes=len(raw),
        format=kind,
        tables=tables,
        url=pair.url or "",
        pixels=tuple(statistics(small, _patch(pixels)).tolist()),
    )


def _small(pixels: Image.Image) -> Image.Image:
    """Shrink a picture to its looks; of a large one every so manieth pixel does, at a tenth of the cost and a bit."""
    if min(pixels.size) > _SAMPLED:
        pixels = pixels.resize((_SAMPLED, _SAMPLED), Image.Resampling.NEAREST)
    return pixels.resize((32, 32), Image.Resampling.BOX)


def _patch(pixels: Image.Image) -> Image.Image:
    """Cut out the middle as it is: the finest detail is lost in every smaller picture."""
    left, top = max(0, (pixels.width - _PATCH) // 2), max(0, (pixels.height - _PATCH) // 2)
    return pixels.crop((left, top, min(pixels.width, left + _PATCH), min(pixels.height, top + _PATCH)))


def statistics(small: Image.Image, patch: Image.Image) -> NDArray[np.float32]:
    """Describe a picture's pixels without seeing what it shows.

    Args:
        small: the picture at 32 x 32, RGB.
        patch: a piece of it at its own resolution, RGB.

    Returns:
        `(STATISTICS,)`, on the scale of 0 to 255 or as shares: means (3) and standard deviations (3) of red, green and
        blue; the luminance of 4 x 4 fields, row by row (16); the shares of the eight halved-cube colours (8);
        the mean step of luminance across (1) and down (1); the shares of steep steps (1), pure white (1) and pure
        black (1); the mean step across in the patch (1).

    Example:
        >>> grey = Image.new("RGB", (32, 32), (100, 100, 100))
        >>> found = statistics(grey, grey)
        >>> found.shape, found[:3].tolist(), float(found[-1])
        ((36,), [100.0, 100.0, 100.0], 0.0)
    """
    colours = np.asarray(small).reshape(-1, 3)
    flat = colours.astype(np.float32)
    means = flat.sum(0) / len(flat)
    luma = (flat @ _LUMA).reshape(32, 32)
    across, down = np.abs(luma[:, 1:] - luma[:, :-1]), np.abs(luma[1:] - luma[:-1])
    high = colours > 127
    cube = np.bincount(high[:, 0] * 4 + high[:, 1] * 2 + high[:, 2], minlength=8) / len(flat)
    steep = (np.count_nonzero(across > _STEEP) + np.count_nonzero(down > _STEEP)) / (across.size + down.size)
    white, black = np.count_nonzero(luma > 254.5) / luma.size, np.count_nonzero(luma < 0.5) / luma.size
    spread = np.sqrt(np.maximum(0, (flat * flat).sum(0) / len(flat) - means**2))
    fields = (_ROWS @ luma @ _ROWS.T).ravel()
    edges = [across.sum() / across.size, down.sum() / down.size, steep, white, black, _fine(patch)]
    return np.concatenate([means, spread, fields, cube, edges]).astype(np.float32)


def _fine(patch: Image.Image) -> float:
    green = np.asarray(patch.getchannel(1)).astype(np.int16)
    return float(np.abs(green[:, 1:] - green[:, :-1]).sum()) / (green.size - patch.height) if patch.width > 1 else 0.0
