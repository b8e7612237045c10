import hashlib
import io
import struct
import zlib

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lmia.looks import STATISTICS
from lmia.picture import MAX_ASPECT, MAX_CAPTION, open_pair
from lmia.records import together
from lmia.source import MAX_KEY, MAX_URL, Pair, Rejected
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


def counted(image):
    """The statistics of a 32 x 32 picture, pixel by pixel, as their description reads."""
    rgb = np.asarray(image, np.float64)
    luma = 0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2]
    fields = [luma[i : i + 8, j : j + 8].mean() for i in range(0, 32, 8) for j in range(0, 32, 8)]
    cube = [0] * 8
    for r, g, b in rgb.reshape(-1, 3):
        cube[4 * (r > 127) + 2 * (g > 127) + (b > 127)] += 1 / 1024
    across, down = abs(np.diff(luma, axis=1)), abs(np.diff(luma, axis=0))
    steep = np.mean(np.concatenate([across.ravel(), down.ravel()]) > 32)
    edges = [across.mean(), down.mean(), steep, (luma > 254.5).mean(), (luma < 0.5).mean()]
    fine = abs(np.diff(rgb[..., 1], axis=1)).mean()
    return [*rgb.mean((0, 1)), *rgb.std((0, 1)), *fields, *cube, *edges, fine]


@pytest.mark.parametrize("seed", range(3))
def test_pixel_statistics_are_what_they_are_called(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    noise[:5], noise[5:9] = 255, 0
    facts = open_pair(Pair("a", "x", png(Image.fromarray(noise))))[1]
    assert len(facts.pixels) == STATISTICS
    assert facts.pixels == pytest.approx(counted(noise), rel=1e-4, abs=1e-4)
    assert all(np.float32(value) == value for value in facts.pixels)  # so that the store gives back what was put in


@pytest.mark.parametrize("size", [(1, 1), (1, 150), (150, 1), (2, 3), (400, 300)])
def test_pixel_statistics_of_any_shape_are_finite(size):
    facts = open_pair(Pair("a", "x", Image.new("RGB", size, (255, 0, 0))))[1]
    assert facts.pixels[:6] == (255, 0, 0, 0, 0, 0)
    assert np.isfinite(facts.pixels).all()


def test_fine_detail_is_seen_in_a_large_picture():
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    sharp = Image.fromarray(noise)
    soft = sharp.resize((250, 250), Image.Resampling.BOX).resize((500, 500), Image.Resampling.BILINEAR)
    assert open_pair(Pair("a", "x", sharp))[1].pixels[-1] > 2 * open_pair(Pair("a", "x", soft))[1].pixels[-1]


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


def test_postscript_is_rejected_before_another_program_runs_it(monkeypatch):
    file = io.BytesIO()
    picture(0).save(file, "EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *a, **k: pytest.fail("Ghostscript was called"))
    assert open_pair(Pair("k", "x", file.getvalue())) == Rejected("k", "image does not decode")


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((9000, 9000), "decompression bomb"),
        ((100 * MAX_ASPECT, 1), "extreme aspect ratio"),
        ((0, 5), "image does not decode"),
        ((5, 0), "image does not decode"),
        ((0, 0), "image does not decode"),
    ],
)
def test_a_sources_own_pixels_have_the_same_limits(size, reason):
    assert open_pair(Pair("k", "x", Image.new("1", size))) == Rejected("k", reason)


def test_a_sources_own_limit_counts_for_its_pixels():
    assert open_pair(Pair("k", "x", picture(0)), max_pixels=63) == Rejected("k", "decompression bomb")
    assert open_pair(Pair("k", "x", picture(0)), max_pixels=64)[0].size == (8, 8)


def test_a_sources_own_file_that_is_damaged_is_rejected():
    lazy = Image.open(io.BytesIO(png(picture(0).resize((64, 64)))[:200]))
    assert open_pair(Pair("k", "x", lazy)) == Rejected("k", "image does not decode")


def test_long_keys_and_addresses_are_rejected():
    data = png(picture(0))
    assert open_pair(Pair("k" * MAX_KEY, "x", data, "u" * MAX_URL))[1].url == "u" * MAX_URL
    assert open_pair(Pair("k", "x", data, "u" * (MAX_URL + 1))) == Rejected("k", "address too long")
    found = open_pair(Pair("k" * (MAX_KEY + 1), "x", data))
    assert (found.reason, found.key) == ("key too long", "k" * (MAX_KEY - 1) + "…")


def test_pairs_of_long_texts_are_not_held_together():
    pairs = [Pair("k" * key, "c" * caption, b"", "u" * url) for key, caption, url in [(9, 1, 1), (1, 9, 1), (1, 1, 9)]]
    assert [len(group) for group in together(pairs, 3, held=11)] == [1, 1, 1]
    assert [len(group) for group in together(pairs, 3, held=34)] == [3]


def test_a_caption_of_more_than_a_million_letters_is_rejected():
    assert open_pair(Pair("k", "x" * MAX_CAPTION, png(picture(0))))[1].format == "PNG"
    assert open_pair(Pair("k", "x" * (MAX_CAPTION + 1), png(picture(0)))) == Rejected("k", "caption too long")
