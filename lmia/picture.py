"""From a `Pair` to pixels and facts: decoding and guarding, while the image is in hand."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import blake2b, sha256
from itertools import islice
from typing import NamedTuple, TypeVar

from PIL import Image

from lmia import looks
from lmia.source import MAX_KEY, MAX_URL, Pair, Rejected

T = TypeVar("T")

MAX_PIXELS = 50_000_000
"""Pictures that claim more pixels than this, in all or in one tile, are refused before they are decoded."""
MAX_SCANS = 100
"""JPEGs that go over their picture more often are refused: cameras and encoders need a dozen, each takes as long."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""What is decoded. Pillow knows more, and would hand EPS to another program, Ghostscript, to run."""
MAX_CAPTION = 1 << 20
"""Longer captions, in letters, are refused: no model reads a thousandth of them."""
MAX_ASPECT = 200
"""Longer strips are refused: resized to a model's height, one would fill the memory."""
_MARKER, _BARE = re.compile(rb"\xff+([\x01-\xfe])"), re.compile(rb"[\x01\xd0-\xd8]")
_SCAN, _END, _LIKELY = b"\xda", b"\xd9", re.compile(rb"\xff\xda")
"""Of a JPEG: markers, those without a segment, the two that begin a scan and end the picture, and what may begin one."""
_TIFFS = {
    b"II*\0": ("<", 4, "I", "H", "HHI4s"),
    b"MM\0*": (">", 4, "I", "H", "HHI4s"),
    b"II+\0": ("<", 8, "Q", "Q", "HHQ8s"),
}
"""Of a TIFF, by its head: the order of bytes, where the place of its directory is, and how that is written."""
_SIDES = (322, 323)
_WHOLE = {(3, 1): "H", (4, 1): "I", (16, 1): "Q"}
"""Tags of a tile's width and length, and how the types are read that they may have; others are damage."""


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
        The RGB image and its facts, or `Rejected` with one of the reasons `key too long`, `address too long`,
        `empty caption`, `caption is not Unicode`, `caption too long`, `decompression bomb`, `extreme aspect ratio`,
        `image does not decode`.

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
    if reason := _unreadable(pair):
        return Rejected(pair.key, reason)
    file = b"" if isinstance(pair.image, Image.Image) else pair.image
    try:
        image = pair.image if isinstance(pair.image, Image.Image) else Image.open(io.BytesIO(file), formats=FORMATS)
        if reason := _unfit(image.size, max_pixels) or _hidden(file, max_pixels):
            return Rejected(pair.key, reason)
        tables, kind = (_tables(image), image.format or "unknown") if file else ("", "pixels")
        image.load()
        # Converting copies: a file's pixels need no copy, and a source may give its own again.
        pixels = image if file and image.mode == "RGB" else image.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Rejected(pair.key, "decompression bomb")
    except MemoryError:  # the machine's fault, or a file's that asks for absurdly much
        bytearray(4 * MAX_PIXELS)  # where a large picture has no room, it is the machine's
        return Rejected(pair.key, "image does not decode")
    except Exception:  # hostile bytes: Pillow's decoders raise what they like
        return Rejected(pair.key, "image does not decode")
    return pixels, _of_file(pair, pixels, file or pixels.tobytes(), kind, tables)


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


def _unreadable(pair: Pair) -> str | None:
    if len(pair.key) > MAX_KEY:
        return "key too long"
    if len(pair.url or "") > MAX_URL:
        return "address too long"
    if len(pair.caption) > MAX_CAPTION:
        return "caption too long"
    try:
        pair.caption.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates, from JSON escapes
        return "caption is not Unicode"
    return None if pair.caption.strip() else "empty caption"


def _unfit(size: tuple[int, int], max_pixels: int) -> str | None:
    """Say why a picture that claims to be so large is not decoded."""
    width, height = size
    if not width or not height:
        return "image does not decode"
    if width * height > max_pixels:
        return "decompression bomb"
    return "extreme aspect ratio" if max(size) > MAX_ASPECT * min(size) else None


def _hidden(file: bytes, max_pixels: int) -> str | None:
    """Say why a file is not decoded that takes more room or time than the size it claims."""
    if file.startswith((b"P1", b"P2", b"P3")):  # PPM in plain text, which Pillow reads in Python
        return "image does not decode"
    if file.startswith(b"\xff\xd8"):
        return "decompression bomb" if _many_scans(file) else None
    if file.startswith((b"II", b"MM")):
        return "decompression bomb" if _tile(file) > max_pixels else None
    return None


def _many_scans(jpeg: bytes) -> bool:
    """Tell whether a JPEG has more than `MAX_SCANS`."""
    likely = sum(1 for _ in islice(_LIKELY.finditer(jpeg), MAX_SCANS + 1))  # in a third of the time of bytes.count
    if likely <= MAX_SCANS:  # few files have more by chance: those with a film behind them
        return False
    scans, place = 0, 0
    while scans <= MAX_SCANS and (found := _MARKER.search(jpeg, place)) and found[1] != _END:
        scans += found[1] == _SCAN
        place = found.end()
        place += 0 if _BARE.fullmatch(found[1]) else int.from_bytes(jpeg[place : place + 2])
    return scans > MAX_SCANS


def _tile(tiff: bytes) -> int:
    """Return the pixels of a TIFF's tile, 0 where there is none; of sides named twice the larger counts."""
    sides = dict.fromkeys(_SIDES, 0)
    for tag, side in _sides(tiff):
        sides[tag] = max(sides[tag], side)
    return math.prod(sides.values())


def _sides(tiff: bytes) -> Iterator[tuple[int, int]]:
    """Read a tile's sides from the directory itself: Pillow passes over types that libtiff reads."""
    order, place, first, many, entry = _TIFFS[tiff[:4]]
    (place,) = struct.unpack_from(order + first, tiff, place)
    (entries,) = struct.unpack_from(order + many, tiff, place)
    place, size = place + struct.calcsize(order + many), struct.calcsize(order + entry)
    for at in range(place, min(place + entries * size, len(tiff) - size + 1), size):
        tag, kind, count, value = struct.unpack_from(order + entry, tiff, at)
        if tag in _SIDES:
            (side,) = struct.unpack_from(order + _WHOLE[kind, count], value)
            yield tag, side


def _tables(image: Image.Image) -> str:
    tables = getattr(image, "quantization", None)
    return blake2b(repr(sorted(tables.items())).encode(), digest_size=8).hexdigest() if tables else ""
