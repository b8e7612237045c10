import imagehash
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lmia.looks import SIDE, _grey, hashes, look, statistics


def noise(seed, side=SIDE, smooth=1):
    pixels = np.random.default_rng(seed).integers(0, 256, (side // smooth, side // smooth, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)


def test_the_hash_is_imagehashs_bit_for_bit():
    pictures = [noise(seed, smooth=smooth) for seed in range(150) for smooth in (1, 2, 4, 8)]
    mine = hashes([look(one) for one in pictures])
    theirs = [str(imagehash.phash(one)) for one in pictures]
    assert sum(a != b for a, b in zip(mine, theirs, strict=True)) <= 1  # a frequency within 1e-5 of the median


def test_grey_is_pillows_for_every_colour():
    green, blue = np.mgrid[:256, :256].astype(np.uint8)
    for red in range(256):
        colours = np.dstack([np.full_like(green, red), green, blue])
        assert np.array_equal(_grey(colours), np.asarray(Image.fromarray(colours).convert("L")))


def test_a_flat_picture_has_one_frequency():
    flat = [Image.new("RGB", (SIDE, SIDE), (level, level, level)) for level in (1, 77, 255)]
    assert set(hashes([look(one) for one in flat])) == {"8000000000000000"}
    assert hashes([look(Image.new("RGB", (SIDE, SIDE)))]) == ["0000000000000000"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(0, 9))
def test_a_description_does_not_depend_on_what_stands_beside_it(others, own):
    few = [look(noise(seed, 40 + 20 * seed)) for seed in [own, *others]]
    alone, among = few[:1], few[::-1]
    assert hashes(alone)[0] == hashes(among)[-1]
    assert statistics(alone)[0].tobytes() == statistics(among)[-1].tobytes()


def test_nothing_is_described_by_nothing():
    assert hashes([]) == []
    assert statistics([]).shape == (0, 36)
