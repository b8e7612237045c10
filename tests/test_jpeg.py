"""JPEGs decoded past Pillow: the same pixels, and the same files refused."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lmia import jpeg
from lmia.picture import open_pair
from lmia.source import Pair, Rejected


def noise(width, height, seed=0, mode="RGB"):
    """Noise that JPEG has something to do with: coarse and fine at once."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (3, 3, 3), np.uint8)).resize((width, height))
    fine = random.integers(0, 40, (height, width, 3), np.uint8)
    return Image.fromarray(np.asarray(coarse) // 2 + fine).convert(mode)


def saved(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(1, 100), st.sampled_from([0, 1, 2]), st.booleans(),
    st.sampled_from(["RGB", "L"]), st.sampled_from([0, 1]),
)  # fmt: skip
def test_pixels_are_pillows_to_the_last_bit(width, height, quality, subsampling, progressive, mode, restart):
    options = {"subsampling": subsampling} if mode == "RGB" else {}
    data = saved(noise(width, height, quality, mode), quality=quality, progressive=progressive,
                 restart_marker_rows=restart, **options)  # fmt: skip
    found = jpeg.decoded(data, Image.open(io.BytesIO(data)))
    assert found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), by_pillow(data))


def test_a_photograph_of_many_pixels_is_the_same_too():
    data = saved(noise(2500, 1900), quality=85)
    np.testing.assert_array_equal(np.asarray(jpeg.decoded(data, Image.open(io.BytesIO(data)))), by_pillow(data))


def test_the_picture_lives_on_when_nothing_else_holds_its_memory():
    pictures = [
        jpeg.decoded(data, Image.open(io.BytesIO(data))) for data in (saved(noise(64, 64, i)) for i in range(50))
    ]
    for i, picture in enumerate(pictures):
        np.testing.assert_array_equal(np.asarray(picture), by_pillow(saved(noise(64, 64, i))))


@pytest.mark.parametrize(
    "data",
    [
        saved(noise(40, 40).convert("CMYK")),
        saved(noise(40, 40))[:-200],
        saved(noise(40, 40))[:-2],
        saved(noise(40, 40)) + b"more",
        saved(noise(40, 40)).replace(b"\xff\xda", b"\x00\x00\xff\xda", 1),
    ],
    ids=["cmyk", "cut", "without its end", "with a tail", "with odd bytes"],
)
def test_what_is_odd_is_decided_by_pillow(data):
    opened = open_pair(Pair("a", "a dot", data))
    try:
        expected = by_pillow(data)
    except OSError:
        assert opened == Rejected("a", "image does not decode")
    else:
        np.testing.assert_array_equal(np.asarray(opened[0]), expected)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_damaged_file_is_refused_or_read_just_as_pillow_does(changes):
    data = bytearray(saved(noise(48, 40), quality=70))
    for at, byte in changes:
        data[at % len(data)] = byte
    opened = open_pair(Pair("a", "a dot", bytes(data)))
    try:
        expected = by_pillow(bytes(data))
    except Exception:
        assert isinstance(opened, Rejected)
    else:
        if not isinstance(opened, Rejected):  # of odd proportions
            np.testing.assert_array_equal(np.asarray(opened[0]), expected)


def test_other_formats_are_left_to_pillow():
    file = io.BytesIO()
    noise(9, 9).save(file, "PNG")
    assert jpeg.decoded(file.getvalue(), Image.open(file)) is None
