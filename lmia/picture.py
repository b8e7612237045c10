"""From a `Pair` to pixels and facts: decoding and guarding, while the image is in hand."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b, sha256
from typing import NamedTuple, TypeVar

from PIL import Image

from lmia import looks
from lmia.source import Pair, Rejected

T = TypeVar("T")

MAX_PIXELS = 50_000_000
"""Pictures that claim more pixels than this are refused before they are decoded."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""What is decoded. Pillow knows more, and would hand EPS to another program, Ghostscript, to run."""
MAX_CAPTION = 1 << 20
"""Longer captions, in letters, are refused: no model reads a thousandth of them."""
MAX_ASPECT = 200
"""Longer strips are refused: resized to a model's height, one would fill the memory."""


class Facts(NamedTuple):
    """What is kept of an image file besides its features; a tuple, since a reading process hands over one a pair.

    Args:
        sha256: hexadecimal digest of the file's bytes (of the pixels, where there is no file).
        phash: 64-bit perceptual hash, 16 hexadecimal digits; see `lmia.looks.hashes`.
        width: in pixels.
        height: in pixels.
        bytes: size of the file; of the pixels, where there is no file.
        format: such as `JPEG`; `pixels`, where there is no file.
        tables: digest of a JPEG's quantisation tables, else empty.
        url: where the pair was published, else empty.
        pixels: `STATISTICS` float32 numbers; see `lmia.looks.statistics`.
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
        `caption too long`, `decompression bomb`, `extreme aspect ratio`, `image does not decode`.

    Example:
        >>> image, facts = open_pair(Pair("a", "a dot", Image.new("RGB", (3, 2))))
        >>> image.size, facts.width, facts.height, facts.format
        ((3, 2), 3, 2, 'pixels')
        >>> open_pair(Pair("b", " ", b"")).reason
        'empty caption'
    """
    return open_pairs([pair], lambda image: image, max_pixels)[0]


def open_pairs(
    pairs: Sequence[Pair], use: Callable[[Image.Image], T], max_pixels: int = MAX_PIXELS
) -> list[tuple[T, Facts] | Rejected]:
    """Open b pairs as `open_pair` does, each as if it were alone, at less cost.

    Args:
        pairs: b of them.
        use: what is wanted of each picture; called before the next one is decoded, so that one is held at a time.
        max_pixels: pictures that claim more are rejected.

    Example:
        >>> pairs = [Pair("a", "a dot", Image.new("RGB", (3, 2))), Pair("b", "", b"")]
        >>> [one if isinstance(one, Rejected) else one[0] for one in open_pairs(pairs, lambda image: image.size)]
        [(3, 2), Rejected(key='b', reason='empty caption')]
    """
    opened: list[tuple[T, Callable[..., Facts]] | Rejected] = []
    seen = []
    for pair in pairs:
        decoded = _decoded(pair, max_pixels)
        if isinstance(decoded, Rejected):
            opened.append(decoded)
            continue
        image, facts = decoded
        seen.append(looks.look(image))
        opened.append((use(image), facts))
    described = iter(zip(looks.hashes(seen), looks.statistics(seen).tolist(), strict=True))
    return [one if isinstance(one, Rejected) else (one[0], _whole(one[1], *next(described))) for one in opened]


def _whole(facts: Callable[..., Facts], phash: str, pixels: Sequence[float]) -> Facts:
    return facts(phash=phash, pixels=tuple(pixels))


def _decoded(pair: Pair, max_pixels: int) -> tuple[Image.Image, Callable[..., Facts]] | Rejected:
    """Decode a pair's image to RGB; its facts still lack its looks."""
    if reason := _unreadable(pair.caption):
        return Rejected(pair.key, reason)
    if isinstance(pair.image, Image.Image):
        pixels = pair.image.convert("RGB")
        return pixels, _of_file(pair, pixels, pixels.tobytes(), "pixels", "")
    try:
        image = Image.open(io.BytesIO(pair.image), formats=FORMATS)
        if image.width * image.height > max_pixels:
            return Rejected(pair.key, "decompression bomb")
        if max(image.size) > MAX_ASPECT * min(image.size):
            return Rejected(pair.key, "extreme aspect ratio")
        tables, kind = _tables(image), image.format or "unknown"
        image.load()
        pixels = image if image.mode == "RGB" else image.convert("RGB")  # which would copy
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Rejected(pair.key, "decompression bomb")
    except MemoryError:  # the machine's fault, or a file's that asks for absurdly much
        bytearray(4 * MAX_PIXELS)  # where a large picture has no room, it is the machine's
        return Rejected(pair.key, "image does not decode")
    except Exception:  # hostile bytes: Pillow's decoders raise what they like
        return Rejected(pair.key, "image does not decode")
    return pixels, _of_file(pair, pixels, pair.image, kind, tables)


def _of_file(pair: Pair, pixels: Image.Image, raw: bytes, kind: str, tables: str) -> Callable[..., Facts]:
    return partial(
        Facts,
        sha256=sha256(raw).hexdigest(),
        width=pixels.width,
        height=pixels.height,
        bytes=len(raw),
        format=kind,
        tables=tables,
        url=pair.url or "",
    )


def _unreadable(caption: str) -> str | None:
    if len(caption) > MAX_CAPTION:
        return "caption too long"
    try:
        caption.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates, from JSON escapes
        return "caption is not Unicode"
    return None if caption.strip() else "empty caption"


def _tables(image: Image.Image) -> str:
    tables = getattr(image, "quantization", None)
    return blake2b(repr(sorted(tables.items())).encode(), digest_size=8).hexdigest() if tables else ""
