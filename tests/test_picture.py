import hashlib
import io
import struct
import zlib

import imagehash
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lmia.picture import MAX_ASPECT, open_pair
from lmia.source import Pair, Rejected
from worlds import picture, png


def jpeg(image, quality=90):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def claimed_png(width, height):
    """A PNG of a few bytes that claims to be large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def test_facts_of_a_file():
    data = jpeg(picture(1).resize((40, 30)))
    image, facts = open_pair(Pair("a", "noise", data, "http://a/b.jpg"))
    assert image.mode == "RGB"
    assert (facts.width, facts.height, facts.bytes, facts.format) == (40, 30, len(data), "JPEG")
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.url == "http://a/b.jpg"
    assert len(facts.tables) == 16
    assert open_pair(Pair("a", "noise", jpeg(picture(1), 50)))[1].tables != facts.tables


def test_phash_is_imagehashs_up_to_the_way_down():
    smooth = Image.linear_gradient("L").convert("RGB").rotate(30)
    mine = imagehash.hex_to_hash(open_pair(Pair("a", "x", png(smooth)))[1].phash)
    assert mine - imagehash.phash(smooth) <= 4


def test_a_re_encoded_picture_looks_the_same():
    smooth = picture(3).resize((300, 200), Image.Resampling.BICUBIC)
    one, two = (open_pair(Pair("a", "x", jpeg(smooth, quality)))[1] for quality in (95, 60))
    assert one.sha256 != two.sha256
    assert imagehash.hex_to_hash(one.phash) - imagehash.hex_to_hash(two.phash) <= 2


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(mode):
    file = io.BytesIO()
    made = Image.new("I;16", (8, 8)) if mode == "I;16" else picture(2).convert(mode)
    made.save(file, "TIFF")
    image, _ = open_pair(Pair("a", "x", file.getvalue()))
    assert (image.mode, image.size) == ("RGB", (8, 8))


@pytest.mark.parametrize(
    ("caption", "data", "reason"),
    [
        ("", png(picture(0)), "empty caption"),
        (" \n\t", png(picture(0)), "empty caption"),
        ("\ud800", png(picture(0)), "caption is not Unicode"),
        ("x", b"", "image does not decode"),
        ("x", png(picture(0).resize((64, 64)))[:200], "image does not decode"),
        ("x", claimed_png(30_000, 30_000), "decompression bomb"),
        ("x", claimed_png(9_000, 9_000), "decompression bomb"),
        ("x", claimed_png(100 * MAX_ASPECT, 1), "extreme aspect ratio"),
    ],
)
def test_rejections(caption, data, reason):
    assert open_pair(Pair("k", caption, data)) == Rejected("k", reason)


@given(st.binary(max_size=300), st.integers(0, 200))
def test_no_bytes_break_the_reader(noise, cut):
    for data in (noise, jpeg(picture(0))[:cut] + noise, png(picture(0))[:cut] + noise):
        found = open_pair(Pair("k", "x", data))
        assert isinstance(found, Rejected) or found[0].mode == "RGB"
