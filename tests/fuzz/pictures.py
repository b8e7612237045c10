"""Inputs for what opens a pair: pictures of every format, broken, and captions, hostile or endless."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, features

from fuzz.contract import Broken, Case
from fuzz.mutations import long_text, mutated, text
from lmia import Pair, Rejected
from lmia.evidence.duplicates import normal_caption
from lmia.picture import open_pairs
from lmia.report.visible import visible
from lmia_openclip.text import tokenizer

CONTEXT = 77


@cache
def formats() -> tuple[bytes, ...]:
    """Encode a small picture in every format that Pillow writes and that data come in."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    smooth = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    kinds: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("JPEG", smooth, {}),
        ("JPEG", smooth, {"progressive": True, "exif": _exif(), "icc_profile": b"\0" * 128}),
        ("JPEG", smooth.convert("CMYK"), {}),
        ("PNG", image, {}),
        ("PNG", image.quantize(7), {"transparency": 1}),
        ("PNG", image.convert("RGBA"), {"save_all": True, "append_images": [image.convert("RGBA")]}),
        ("PNG", Image.new("I;16", (9, 7)), {}),
        ("GIF", image, {"save_all": True, "append_images": [smooth]}),
        ("BMP", image, {}),
        ("BMP", image.convert("1"), {}),
        ("TIFF", image, {}),
        ("TIFF", image, {"compression": "tiff_lzw"}),
        ("TIFF", smooth, {"compression": "jpeg"}),
        ("TIFF", image.convert("F"), {}),
        ("PPM", image, {}),
        ("TGA", image, {}),
        ("ICO", image, {}),
        ("PCX", image, {}),
        ("SGI", image, {}),
        ("DDS", image, {}),
        ("EPS", image, {}),
    ]
    kinds += [("WEBP", image, {}), ("WEBP", image, {"lossless": True})] if features.check("webp") else []
    kinds += [("AVIF", image, {})] if features.check("avif") else []
    kinds += [("JPEG2000", image, {})] if features.check("jpg_2000") else []
    return tuple(_encoded(one, kind, options) for kind, one, options in kinds)


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "x" * 40
    return exif.tobytes()


def _encoded(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def images(folder: Path, dice: Random) -> Case:
    """One to four pictures, most of them broken: each is decoded or rejected, whatever stands beside it."""
    n = dice.randrange(1, 5)
    pairs = [Pair(f"{i}", "a dot", _broken(dice)) for i in range(n)]
    return Case(lambda: _opened(pairs), n)


def _broken(dice: Random) -> bytes:
    data = dice.choice(formats())
    return data if dice.random() < 0.1 else mutated(data, dice, formats())


def _opened(pairs: Sequence[Pair]) -> Iterator[Pair | Rejected]:
    found = open_pairs(pairs, lambda image: (image.mode, image.size))
    for pair, one in zip(pairs, found, strict=True):
        if isinstance(one, Rejected):
            yield one
            continue
        (mode, size), facts = one
        if mode != "RGB" or size != (facts.width, facts.height) or not all(map(math.isfinite, facts.pixels)):
            raise Broken(f"Not what was decoded: {mode}, {size}, {facts}")
        yield pair


@cache
def tokenizers() -> tuple[Callable[[Sequence[str]], object], ...]:
    """The tokenizers of CLIP and of SigLIP's towers, as open_clip brings them."""
    cleans = ("lower", "canonicalize", "whitespace")
    return tuple(
        tokenizer({"context_length": CONTEXT, "tokenizer_kwargs": {"clean": one}}, None, None) for one in cleans
    )


def captions(folder: Path, dice: Random) -> Case:
    """A caption, now and then of a million letters: rejected, or tokens; harmless in a terminal, and comparable."""
    caption = long_text(dice) if dice.random() < 0.002 else text(dice)
    pair = Pair("k", caption, Image.new("RGB", (2, 2)))
    return Case(lambda: _said(pair, dice.choice(tokenizers())), 1)


def _said(pair: Pair, tokenize: Callable[[Sequence[str]], object]) -> Iterator[Pair | Rejected]:
    for one in _opened([pair]):
        if isinstance(one, Pair):
            tokens = np.asarray(tokenize([one.caption, "a dog"]))
            if tokens.shape != (2, CONTEXT) or not 0 <= tokens.min() <= tokens.max() < 49_408:
                raise Broken(f"Tokens {tokens.shape} from {tokens.min()} to {tokens.max()}")
            normal_caption(one.caption).encode("utf-8")
        if obeyed := [c for c in visible(pair.caption) if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u202e"]:
            raise Broken(f"What a terminal obeys: {obeyed[:9]!r}")
        yield one
