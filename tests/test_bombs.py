"""Pictures made to hurt who opens them: none is decoded beyond its limits, and none reaches another program."""

import io
import struct
import tracemalloc
import zlib
from contextlib import contextmanager, suppress
from subprocess import CalledProcessError

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from lmia.picture import FORMATS, open_pair
from lmia.source import Pair, Rejected
from worlds import picture, png

MIB = 1 << 20
SMALL = picture(1)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(kind, head, size, times=1):
    """A PNG with chunks that unpack to so many bytes, before its pixels."""
    whole = png(SMALL)
    extra = b"".join(chunk(kind, head(i) + zlib.compress(bytes(size), 9)) for i in range(times))
    return whole[:33] + extra + whole[33:]


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def many(kind, frames):
    """A file of one picture a frame, of which the first is SMALL."""
    others = [Image.new("RGB", (8, 8), (i % 256, i // 256, 99)) for i in range(1, frames)]
    exact = {"lossless": True} if kind == "WEBP" else {}
    return encoded(SMALL, kind, save_all=True, append_images=others, **exact)


def jpeg_of(width, height):
    """A JPEG that claims to be so large; a few hundred bytes."""
    data = bytearray(encoded(SMALL, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff_of(width, height):
    """A TIFF of the same kind, deflated."""
    data = bytearray(encoded(SMALL, "TIFF", compression="tiff_adobe_deflate"))
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack(f"{order}I", data[4:8])
    for i in range(struct.unpack(f"{order}H", data[at : at + 2])[0]):
        place = at + 2 + 12 * i
        (tag,) = struct.unpack(f"{order}H", data[place : place + 2])
        if tag in (256, 257, 278):
            value = {256: width, 257: height, 278: height}[tag]
            data[place + 2 : place + 12] = struct.pack(f"{order}HII", 4, 1, value)
    return bytes(data)


def gif_of(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + encoded(SMALL, "GIF")[10:]


@contextmanager
def at_most(size):
    """What Python holds meanwhile stays below a size."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def opened(data):
    return open_pair(Pair("k", "a caption", data))


def test_the_limit_sees_what_is_held():
    """The tests below prove nothing if this fails."""
    with pytest.raises(AssertionError), at_most(90 * MIB):
        zlib.decompress(zlib.compress(bytes(100 * MIB)))


UNPACKED = {
    "a colour profile": with_chunk(b"iCCP", lambda i: b"x\0\0", 200 * MIB),
    "a text": with_chunk(b"zTXt", lambda i: b"Comment\0\0", 200 * MIB),
    "a text of other languages": with_chunk(b"iTXt", lambda i: b"Comment\0\1\0\0\0", 200 * MIB),
    "many texts": with_chunk(b"zTXt", lambda i: b"c%d\0\0" % i, MIB - 1, 200),
}


@pytest.mark.parametrize("data", UNPACKED.values(), ids=UNPACKED)
def test_a_png_whose_chunks_unpack_to_hundreds_of_mebibytes(data):
    assert len(data) < MIB
    with at_most(90 * MIB):
        found = opened(data)
    assert found == Rejected("k", "image does not decode") or found[0].size == (8, 8)


CLAIMED = {
    "JPEG, 65,500 a side": (jpeg_of(65_500, 65_500), "decompression bomb"),
    "JPEG, a strip": (jpeg_of(65_500, 300), "extreme aspect ratio"),
    "TIFF": (tiff_of(60_000, 60_000), "decompression bomb"),
    "GIF": (gif_of(65_000, 65_000), "decompression bomb"),
}


@pytest.mark.parametrize(("data", "reason"), CLAIMED.values(), ids=CLAIMED)
def test_a_picture_that_claims_to_be_huge_is_refused_undecoded(data, reason):
    with at_most(4 * MIB):
        assert opened(data) == Rejected("k", reason)


@pytest.mark.parametrize(("kind", "frames"), [("GIF", 3000), ("TIFF", 1000), ("WEBP", 500), ("PNG", 1000)])
def test_of_a_picture_of_many_frames_the_first_is_decoded_and_no_other(kind, frames):
    data = many(kind, frames)
    with at_most(4 * MIB + len(data)):
        image, facts = opened(data)
    assert (image.size, image.mode, facts.format) == ((8, 8), "RGB", kind)
    apart = np.abs(np.asarray(image, int) - np.asarray(SMALL, int)).mean()
    assert apart < 30  # of noise: palettes and WEBP lose some of it, another frame would be 80 apart


def test_frames_that_are_damaged_behind_the_first_are_not_looked_at():
    data = bytearray(many("GIF", 50))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    assert opened(bytes(data))[0].size == (8, 8)


SVG = f"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/><script>1</script>{' ' * 500}</svg>"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    "data", [SVG.encode(), b"<?xml version='1.0'?>" + SVG.encode(), EPS, b"%PDF-1.7\n", b"8BPS\0\1"]
)
def test_what_is_no_raster_is_not_decoded(data):
    assert opened(data) == Rejected("k", "image does not decode")


def test_no_picture_is_handed_to_another_program(tmp_path, monkeypatch):
    """Pillow gives EPS to Ghostscript, which is a language to run."""
    sprung = tmp_path / "sprung"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {sprung}\nexit 1\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    with suppress(OSError, CalledProcessError), Image.open(io.BytesIO(EPS)) as image:
        image.load()
    assert sprung.exists()  # else this test proves nothing
    sprung.unlink()
    assert opened(EPS) == Rejected("k", "image does not decode")
    assert not sprung.exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_what_folders_and_shards_usually_hold_is_decoded(kind):
    image, facts = opened(encoded(SMALL, kind))
    assert (image.size, facts.format) == ((8, 8), kind)
