"""Pictures made to hurt who opens them: none is decoded beyond its limits, and none reaches another program."""

import io
import struct
import zlib
from contextlib import suppress
from subprocess import CalledProcessError

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from lmia.picture import FORMATS, MAX_SCANS, open_pair
from lmia.source import Pair, Rejected
from memory import at_most
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


def tiled(*sides, order="<", wide=False):
    """A deflated TIFF of 8 x 8 pixels of grey, with these entries of its tile: tag, type, and length of the side."""
    place, count, entry = ("Q", "Q", "HHQ") if wide else ("I", "H", "HHI")

    def packed(tag, kind, value):
        inline = struct.pack(order + {3: "H", 4: "I", 16: "Q"}.get(kind, "I"), value)
        return struct.pack(order + entry, tag, kind, 1) + inline.ljust(8 if wide else 4, b"\0")

    tile = zlib.compress(bytes(range(256)))
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if wide else 42)
    head += struct.pack(order + "HH", 8, 0) if wide else b""
    start = len(head) + struct.calcsize(order + place)
    tags = [(256, 4, 8), (257, 4, 8), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1), *sides]
    tags += [(324, 4, start), (325, 4, len(tile))]
    directory = struct.pack(order + count, len(tags)) + b"".join(packed(*tag) for tag in tags) + bytes(8)
    return head + struct.pack(order + place, start + len(tile)) + tile + directory


def scanned(scans, tail=b""):
    """A progressive JPEG of as many scans: those that it has, and its last again and again."""
    data = encoded(SMALL, "JPEG", progressive=True)
    had, last = data.count(b"\xff\xda"), data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (scans - had) + b"\xff\xd9" + tail


def plain(comments):
    return b"P3\n4 4\n255\n" + b"#\n" * comments + b"1 " * 48


def gif_of(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + encoded(SMALL, "GIF")[10:]


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


SMALL_TILE = ((322, 3, 16), (323, 3, 16))


@pytest.mark.parametrize(("order", "wide"), [("<", False), (">", False), ("<", True)])
def test_a_tile_of_a_tiff_may_not_be_larger_than_a_picture(order, wide):
    image, facts = opened(tiled(*SMALL_TILE, order=order, wide=wide))
    assert (image.getpixel((3, 1)), facts.format) == ((19, 19, 19), "TIFF")
    large = tiled((322, 4, 23_008), (323, 4, 23_008), order=order, wide=wide)
    assert opened(large) == Rejected("k", "decompression bomb")


@pytest.mark.parametrize("kind", [1, 6, 8, 9, 13, 17])
def test_a_tile_is_not_hidden_in_an_odd_type(kind):
    """libtiff reads them, and Pillow not all of them."""
    found = opened(tiled((322, kind, 16), (323, kind, 16), *SMALL_TILE, wide=True))
    assert found == Rejected("k", "image does not decode")


def test_of_a_tile_named_twice_the_larger_counts():
    for sides in [(*SMALL_TILE, (322, 4, 1 << 22), (323, 4, 1 << 22)), ((322, 4, 1 << 22), *SMALL_TILE)]:
        assert opened(tiled(*sides)) == Rejected("k", "decompression bomb")


def test_a_jpeg_of_a_thousand_scans_is_refused_undecoded():
    assert opened(scanned(MAX_SCANS))[0].size == (8, 8)
    assert opened(scanned(MAX_SCANS + 1)) == Rejected("k", "decompression bomb")
    padded = scanned(MAX_SCANS + 1).replace(b"\xff\xda", b"\xff\xd0noise\xff\0\xff\xff\xda")
    assert opened(padded) == Rejected("k", "decompression bomb")


def test_scans_are_counted_in_the_picture_and_not_behind_it_nor_in_its_segments():
    film = b"\xff\xda\0\x02" * 1000
    data = scanned(10, film)
    assert opened(data)[0].tobytes() == opened(scanned(10))[0].tobytes()
    note = b"\xff\xfe" + struct.pack(">H", len(film) + 2) + film
    assert opened(data[:2] + note + data[2:])[0].size == (8, 8)


def test_ppm_in_plain_text_is_not_decoded():
    for data in (plain(0), plain(500_000), b"P1\n1 1\n1\n", b"P2\n1 1\n255\n1\n"):
        assert opened(data) == Rejected("k", "image does not decode")


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
