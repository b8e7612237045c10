"""Each change of a picture against Pillow, numpy or the standard library; what kornia has and we wrote, against both."""

import colorsys
import io

import kornia.enhance
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn, idctn

from lmia_kornia.chain import Chain
from lmia_kornia.geometry import Affine, Crop, Flip
from lmia_kornia.jpeg import CHROMA, LUMA, Jpeg, quantised, steps
from lmia_kornia.optics import Blurring, Jitter

GREY = np.array([0.299, 0.587, 0.114])


def noise(h, w, b=1, seed=0):
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(seed))


def smooth(h, w):
    """A picture without sharp edges, on which two interpolations or two JPEG codecs hardly differ."""
    y, x = torch.meshgrid(torch.linspace(0, 3, h), torch.linspace(0, 3, w), indexing="ij")
    return torch.stack([(x * 1.3).sin(), (y * 1.7 + 1).sin(), (x + y).cos()])[None] / 2.5 + 0.5


def as_floats(channel):
    return Image.fromarray(channel.numpy().astype(np.float32), mode=None)


@pytest.mark.parametrize(("h", "w"), [(48, 48), (37, 50)])
def test_a_crop_is_pillows_resize_of_the_box(h, w):
    picture = noise(h, w)
    ours = Crop(top=0.25, left=0.1, height=0.5, width=0.75)(picture)[0]
    box = (round(0.1 * w), round(0.25 * h), round(0.85 * w), round(0.75 * h))
    for channel, source in zip(ours, picture[0], strict=True):
        theirs = np.asarray(as_floats(source).resize((w, h), Image.Resampling.BILINEAR, box=box))
        # Pillow mixes in pixels beyond the box's edge, which we have cut off: compare off the border.
        inner = (slice(3, -3), slice(3, -3))
        assert np.allclose(channel.numpy()[inner], theirs[inner], atol=1e-5)


def test_a_crop_is_bilinear_by_hand():
    row = torch.tensor([0.0, 0.2, 0.6, 1.0]).expand(1, 3, 4, 4)
    ours = Crop(0.0, 0.5, 1.0, 0.5)(row)[0, 0, 0]
    assert ours.tolist() == pytest.approx([0.6, 0.6 * 0.75 + 0.25, 0.6 * 0.25 + 0.75, 1.0])


@given(st.tuples(*[st.floats(0, 1)] * 4), st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None, max_examples=50)
def test_any_crop_of_any_picture_has_a_pixel_at_least(fractions, h, w):
    top, left, height, width = fractions
    picture = noise(h, w)
    ours = Crop(top * (1 - height), left * (1 - width), height, width)(picture)
    assert ours.shape == picture.shape
    assert ours.min() >= picture.min() - 1e-6
    assert ours.max() <= picture.max() + 1e-6


@pytest.mark.parametrize(("angle", "turns"), [(90, 1), (180, 2), (-90, -1), (0, 0)])
def test_quarter_turns_are_rot90(angle, turns):
    picture = noise(9, 9, b=2)
    # Rounding may put the rim just outside, where it turns dark; a black rim has nothing to lose.
    picture[..., [0, -1], :] = picture[..., :, [0, -1]] = 0
    assert torch.allclose(Affine(angle=angle)(picture), picture.rot90(turns, (-2, -1)), atol=1e-4)


def test_any_rotation_is_pillows():
    picture = smooth(64, 64)
    ours = Affine(angle=30)(picture)[0]
    for channel, source in zip(ours, picture[0], strict=True):
        theirs = np.asarray(as_floats(source).rotate(30, Image.Resampling.BILINEAR))
        assert np.allclose(channel.numpy()[16:-16, 16:-16], theirs[16:-16, 16:-16], atol=1e-4)
    assert ours[:, 0, 0].tolist() == [0.0, 0.0, 0.0], "corners turn black"


def test_a_shift_moves_whole_pixels_right_and_down():
    picture = noise(10, 20)
    ours = Affine(right=0.1, down=0.3)(picture)
    assert torch.allclose(ours[..., 3:, 2:], picture[..., :-3, :-2], atol=1e-5)
    assert ours[..., :3, :].abs().max() < 1e-5
    assert ours[..., :, :2].abs().max() < 1e-5


def test_scale_above_one_enlarges_about_the_centre():
    picture = torch.zeros(1, 3, 9, 9)
    picture[..., 3:6, 3:6] = 1
    assert Affine(scale=2.0)(picture).sum() > 2.5 * picture.sum()
    assert Affine(scale=0.5)(picture).sum() < 0.5 * picture.sum()
    assert Affine(scale=0.5)(picture)[0, 0, 4, 4] == pytest.approx(1.0)


def test_flips_swap_ends():
    picture = noise(4, 6)
    assert torch.equal(Flip(horizontal=True)(picture), picture[..., [5, 4, 3, 2, 1, 0]])
    assert torch.equal(Flip(vertical=True)(picture), picture[..., [3, 2, 1, 0], :])
    assert torch.equal(Flip(True, True)(picture), picture.rot90(2, (-2, -1)))
    assert torch.equal(Flip()(picture), picture)


@pytest.mark.parametrize(("h", "w"), [(56, 56), (28, 41)])
def test_blur_is_a_convolution_with_a_cut_gaussian(h, w):
    picture = noise(h, w)
    sigma = min(h, w) / 40
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(picture[0].double().numpy(), ((0, 0), (radius, radius), (radius, radius)), mode="reflect")
    rows = np.apply_along_axis(np.convolve, 1, padded, kernel, "valid")
    theirs = np.apply_along_axis(np.convolve, 2, rows, kernel, "valid")
    assert np.allclose(Blurring(1 / 40)(picture)[0].numpy(), theirs, atol=1e-5)


def test_blur_of_a_single_pixel_is_that_pixel():
    assert torch.equal(Blurring(1.0)(noise(1, 1)), noise(1, 1))


def test_brightness_contrast_and_saturation_are_blends():
    picture = noise(5, 6, b=2)
    pixels = picture.permute(0, 2, 3, 1).double().numpy()
    grey = pixels @ GREY
    mean = grey.mean(axis=(1, 2))[:, None, None, None]
    blends = {
        Jitter(brightness=1.4): 1.4 * pixels,
        Jitter(contrast=0.6): 0.6 * pixels + 0.4 * mean,
        Jitter(contrast=1.5): 1.5 * pixels - 0.5 * mean,
        Jitter(saturation=0.5): 0.5 * pixels + 0.5 * grey[..., None],
        Jitter(saturation=1.5): 1.5 * pixels - 0.5 * grey[..., None],
    }
    for step, theirs in blends.items():
        ours = step(picture).permute(0, 2, 3, 1).numpy()
        assert np.allclose(ours, theirs.clip(0, 1), atol=2e-3), step


@pytest.mark.parametrize("turn", [-0.5, -0.2, 1 / 3, 0.5])
def test_hue_turns_as_in_colorsys(turn):
    picture = noise(4, 4)
    ours = Jitter(hue=turn)(picture)[0].permute(1, 2, 0).reshape(-1, 3)
    for pixel, changed in zip(picture[0].permute(1, 2, 0).reshape(-1, 3).tolist(), ours.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        assert changed == pytest.approx(colorsys.hsv_to_rgb((h + turn) % 1, s, v), abs=1e-4)


def test_the_order_of_colour_changes_matters_and_is_kept():
    picture = noise(6, 6)
    first = Jitter(1.5, 1.5, order=("brightness", "contrast"))(picture)
    by_hand = Jitter(contrast=1.5)(Jitter(brightness=1.5)(picture))
    assert torch.equal(first, by_hand)
    assert not torch.allclose(first, Jitter(1.5, 1.5, order=("contrast", "brightness"))(picture), atol=1e-3)


def test_colours_leave_what_they_are_given_and_let_gradients_through():
    """Without gradients the steps share one memory, with them each has its own: the same picture either way."""
    step, given = Jitter(1.2, 0.8, 1.3), noise(6, 6)
    kept = given.clone()
    plain = step(given)
    assert torch.equal(given, kept)
    seen = step(given.requires_grad_())
    seen.sum().backward()
    assert torch.equal(seen, plain)
    assert given.grad.abs().sum() > 0


def libjpeg(whole, quality):
    """Pillow's round trip of `(h, w, 3)` bytes, 4:2:0, and the tables it wrote."""
    stream = io.BytesIO()
    Image.fromarray(whole.numpy()).save(stream, "JPEG", quality=quality, subsampling=2)
    opened = Image.open(stream)
    return torch.from_numpy(np.array(opened)).float() / 255, opened.quantization


@pytest.mark.parametrize("quality", [1, 10, 32, 50, 55, 78, 95, 100])
def test_the_quantisation_tables_are_libjpegs(quality):
    _, theirs = libjpeg(torch.zeros(16, 16, 3, dtype=torch.uint8), quality)
    for place, table in enumerate((LUMA, CHROMA)):
        assert steps(table, quality).flatten().tolist() == list(theirs[place])


@pytest.mark.parametrize("quality", [10, 32, 55, 78, 95])
@pytest.mark.parametrize(("h", "w"), [(48, 48), (64, 64), (225, 33)])
def test_jpeg_is_libjpegs_but_for_its_rounding(quality, h, w):
    for picture in (smooth(h, w), smooth(h, w) * 0.8 + 0.2 * noise(h, w)):
        whole = (picture[0].permute(1, 2, 0) * 255).round().byte()
        theirs, _ = libjpeg(whole, quality)
        ours = Jpeg(quality)(whole.permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0).clamp(0, 1)
        # libjpeg rounds to bytes after each stage, which tips some coefficients over the edge of a step.
        loss = (theirs - whole / 255).abs().mean()
        assert (ours - theirs).abs().mean() < 1 / 255 + 0.15 * loss


def test_quantising_is_scipys_cosine_transform_rounded():
    planes = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 255 - 128
    table = steps(LUMA, 50)
    blocks = planes.double().numpy().reshape(6, 2, 8, 3, 8)
    waves = dctn(blocks, axes=(2, 4), norm="ortho")
    sizes = table.numpy()[None, None, :, None, :]
    theirs = idctn(np.round(waves / sizes) * sizes, axes=(2, 4), norm="ortho").reshape(2, 3, 16, 24)
    assert np.allclose(quantised([planes], [table])[0].numpy(), theirs, atol=1e-3)


def test_jpeg_of_bytes_is_the_same_to_the_bit_in_any_batch():
    """Where a coefficient lies on the edge of a step, a rounding error of the last digit would move it by a step."""
    pictures = noise(48, 48, b=120)
    pictures[::3] = (pictures[::3] * 4).round() / 4
    pictures = (pictures * 255).round() / 255
    together = Jpeg(78)(pictures)
    for size in (1, 3, 7, 64):
        assert torch.equal(torch.cat([Jpeg(78)(part) for part in pictures.split(size)]), together)


def test_lower_quality_is_further_away():
    picture = noise(48, 48)
    distances = [(Jpeg(q)(picture) - picture).abs().mean().item() for q in (95, 70, 40, 10)]
    assert distances == sorted(distances)


def test_a_chain_runs_in_order_and_in_float32():
    picture = noise(8, 8)
    chain = Chain((Crop(0, 0, 0.5, 0.5), Flip(horizontal=True)))
    assert torch.equal(chain(picture), Flip(horizontal=True)(Crop(0, 0, 0.5, 0.5)(picture)))
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        exact = chain(picture.to(dtype).float())
        assert chain(picture.to(dtype)).dtype == dtype
        assert torch.equal(chain(picture.to(dtype)), exact.to(dtype))


def test_a_chain_ignores_autocast():
    chain, picture = Chain((Blurring(0.05), Affine(20), Jpeg(50))), noise(32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = chain(picture)
    assert torch.equal(inside, chain(picture))


def test_a_chain_refuses_whole_numbers():
    with pytest.raises(TypeError, match="uint8"):
        Chain((Flip(),))(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize("factor", [0.4, 0.9, 1.6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_colours_are_kornias_too(factor, dtype):
    pixels = torch.rand(5, 3, 7, 9, generator=torch.Generator().manual_seed(0), dtype=dtype)
    for ours, theirs in (
        (Jitter(brightness=factor), kornia.enhance.adjust_brightness_accumulative),
        (Jitter(contrast=factor), kornia.enhance.adjust_contrast_with_mean_subtraction),
        (Jitter(saturation=factor), kornia.enhance.adjust_saturation_with_gray_subtraction),
    ):
        torch.testing.assert_close(ours(pixels), theirs(pixels, factor), atol=1e-6, rtol=0)
