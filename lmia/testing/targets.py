"""The laws of a target."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lmia.attack import NEEDS
from lmia.target import Target
from lmia.testing.answers import check_answers
from lmia.testing.claims import check_claims
from lmia.testing.laws import called, generators, require
from lmia.testing.making import check_made, copied

CAPTIONS = ("a cat", "Two dogs run along the beach, and a third one sleeps in the shade.", "", "größer 猫 1, 2, 3")


def check_target(
    target: Target, images: Sequence[Image.Image] = (), captions: Sequence[str] = CAPTIONS, spec: str | None = None
) -> None:
    """Check a target; models of any size will do, and a tiny one is enough.

    Laws: made as `check_made` says; in eval mode; pictures of any size become `(3, h, w)` uint8 of one size, captions
    `(b, l)` int64; features are `(b, d)` float32, finite, not normalised, the same width for both towers; they depend
    neither on batch-mates (padding included), nor on chance, and no more do cosines, which alone are judged where `answers`
    lacks `embeddings`; gradients flow where `answers` says so; a copy and one made again from the settings answer alike;
    `fingerprint` stays, and changes with a weight; `facts` are JSON; an untrained twin, where there is one, prepares pairs
    as the target does, has its weights by seed alone, and leaves the target as it was.

    Args:
        target: the target.
        images: RGB pictures to try it on; three of noise, of different sizes, unless given.
        captions: to try it on.
        spec: what a user would type for it.

    Raises:
        ConformanceError: a law is broken.
    """
    check_made(target)
    check_claims(target, spec)
    _check_facts(target)
    pixels = _check_pictures(target, images or make_images())
    _check_tokens(target, captions)
    check_answers(target, pixels, captions)
    _check_gradients(target, pixels)
    _check_weights(target)
    _check_twin(target, images or make_images(), captions)


def make_images(seed: int = 0) -> list[Image.Image]:
    """Return three RGB pictures of noise: wide, high, and smaller than any model's.

    Example:
        >>> [image.size for image in make_images()]
        [(80, 48), (40, 96), (5, 7)]
    """
    random = np.random.default_rng(seed)
    sizes = ((80, 48), (40, 96), (5, 7))
    return [Image.fromarray(random.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


def _name(target: Target) -> str:
    return type(target).__name__


def _check_facts(target: Target) -> None:
    facts, who = target.facts(), _name(target)
    require(bool(facts.name.strip()), "facts are complete", f"the name of {who} is empty", "say what a person calls it")
    scale = facts.logit_scale
    require(
        scale is None or (math.isfinite(scale) and scale > 0),
        "facts are complete",
        f"the logit scale of {who} is {scale}",
        "give the factor on cosines, exponentiated, or None",
    )
    details = dict(facts.details)
    require(bool(details), "facts are complete", f"{who} tells no details", "name architecture, weights and precision")
    plain = all(isinstance(value, str | int | float) for value in details.values())
    require(plain, "facts are JSON", f"{who} tells {details}", "give texts and numbers")
    called("facts are JSON", f"writing {details}", "give no NaN", lambda: json.dumps(details, allow_nan=False))
    unknown = set(target.answers) - NEEDS
    require(not unknown, "answers holds known words", f"{who} answers {unknown}", f"take of {sorted(NEEDS)}")
    require(
        not target.training,
        "a target stays in eval mode",
        f"{who} is in training mode",
        "end __init__ with self.eval()",
    )


def _check_pictures(target: Target, images: Sequence[Image.Image]) -> Tensor:
    who, law = f"{_name(target)}.preprocess", "pictures become (3, h, w) uint8 of one size"
    before = [image.tobytes() for image in images]
    found: list[Tensor] = []
    for image in images:
        with generators(31, who):
            what = f"{who} of a {image.size} picture"
            pixels = called(law, what, "take any RGB picture", partial(target.preprocess, image))
        told = f"{tuple(pixels.shape)} {pixels.dtype}"
        right = pixels.dim() == 3 and len(pixels) == 3 and pixels.dtype == torch.uint8
        require(right, law, f"{who} makes {told} of a {image.size} picture", "resize, crop, and do not normalise")
        require(pixels.shape == (found or [pixels])[0].shape, law, f"{who} makes {told} and others", "resize and crop")
        found.append(pixels)
    kept = before == [image.tobytes() for image in images]
    require(kept, "inputs are left as they are", f"{who} changed the picture", "work on a copy")
    return torch.stack(found).float() / 255


def _check_tokens(target: Target, captions: Sequence[str]) -> None:
    who, law = f"{_name(target)}.tokenize", "captions become (b, l) int64"
    with generators(32, who):
        tokens = called(law, who, "take any texts", lambda: target.tokenize(list(captions)))
    right = tokens.dim() == 2 and len(tokens) == len(captions) and tokens.dtype == torch.int64
    told = f"{who} makes {tuple(tokens.shape)} {tokens.dtype} of {len(captions)} captions"
    require(right, law, told, "pad to one length")


def _check_gradients(target: Target, pixels: Tensor) -> None:
    if "gradients" not in target.answers:
        return
    given = pixels[:1].clone().requires_grad_()
    with torch.enable_grad():
        found = target.encode_image(given)
    flows = found.requires_grad and torch.autograd.grad(found.sum(), given, allow_unused=True)[0] is not None
    remedy = "take no_grad and inference_mode out, or leave 'gradients' out of answers"
    require(flows, "gradients flow where answers says so", f"{_name(target)} has none", remedy)


def _check_weights(target: Target) -> None:
    """Change one number of the first, the middle and the last weight, each in turn."""
    names = [name for name, weight in target.named_parameters() if weight.numel()]
    before = target.fingerprint()
    for name in dict.fromkeys([names[i] for i in (0, len(names) // 2, -1)] if names else []):
        other = copied(target)
        with torch.no_grad():
            weight = other.get_parameter(name)
            weight.view(-1)[0] = weight.view(-1)[0] * 2 + 1
        require(
            other.fingerprint() != before,
            "a fingerprint changes with a weight",
            f"that of {_name(target)} stays the same when '{name}' changes",
            "digest the weights themselves, anew at every call: features are kept by it",
        )


def _check_twin(target: Target, images: Sequence[Image.Image], captions: Sequence[str]) -> None:
    before, twin, again = target.fingerprint(), target.untrained(1), target.untrained(1)
    if twin is None or again is None:
        return
    own, its = twin.fingerprint(), again.fingerprint()
    require(
        own == its and own != before and target.fingerprint() == before,
        "an untrained twin is drawn by its seed",
        f"{_name(target)}, of fingerprint {before!r}, has twins of seed 1 with {own!r} and {its!r}",
        "draw every weight anew, from the seed alone, in a model of its own",
    )
    alike = torch.equal(twin.tokenize(captions), target.tokenize(captions)) and all(
        torch.equal(twin.preprocess(image), target.preprocess(image)) for image in images
    )
    require(
        alike,
        "a twin prepares pairs as its target does",
        f"that of {_name(target)} makes other pictures or tokens",
        "leave preprocessing and tokenizer as they are",
    )
