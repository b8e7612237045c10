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
from lmia.testing.claims import check_claims
from lmia.testing.laws import called, generators, largest_gap, require, same
from lmia.testing.making import check_made, copied, remade

RELATIVE = {"fp32": 1e-5, "bf16": 3e-2, "fp16": 5e-3}
"""Features in a batch may differ from features alone by this much of the largest, by precision."""

CAPTIONS = ("a cat", "Two dogs run along the beach, and a third one sleeps in the shade.", "", "größer 猫 1, 2, 3")


def check_target(
    target: Target, images: Sequence[Image.Image] = (), captions: Sequence[str] = CAPTIONS, spec: str | None = None
) -> None:
    """Check a target; models of any size will do, and a tiny one is enough.

    Laws: made as `check_made` says; in eval mode; pictures of any size become `(3, h, w)` uint8 of one size, captions
    `(b, l)` int64; features are `(b, d)` float32, finite, not normalised, the same width for both towers; they depend
    neither on batch-mates (padding included), nor on chance; gradients flow where `answers` says so; a copy and one made
    again from the settings answer alike; `fingerprint` stays, and changes with a weight; `facts` are JSON; an untrained twin, where there is one,
    prepares pairs as the target does, has its weights by seed alone, and leaves the target as it was.

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
    tokens = _check_tokens(target, captions)
    image, text = _features(target, "image", pixels), _features(target, "text", tokens)
    require(
        image.shape[1] == text.shape[1],
        "both towers have one width",
        f"{_name(target)} encodes images into {image.shape[1]} numbers, texts into {text.shape[1]}",
        "return the features after the projection",
    )
    alone = torch.cat([_features(target, "image", one) for one in torch.split(pixels, 1)])
    _check_alike(target, "images", image, alone, RELATIVE[target.precision])
    alone = torch.cat([_features(target, "text", target.tokenize([caption])) for caption in captions])
    _check_alike(target, "captions (tokenised alone)", text, alone, RELATIVE[target.precision])
    for other in (target, copied(target), remade(target)):
        _check_same(target, other, (pixels, image), (tokens, text))
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


def _check_tokens(target: Target, captions: Sequence[str]) -> Tensor:
    who, law = f"{_name(target)}.tokenize", "captions become (b, l) int64"
    with generators(32, who):
        tokens = called(law, who, "take any texts", lambda: target.tokenize(list(captions)))
    right = tokens.dim() == 2 and len(tokens) == len(captions) and tokens.dtype == torch.int64
    told = f"{who} makes {tuple(tokens.shape)} {tokens.dtype} of {len(captions)} captions"
    require(right, law, told, "pad to one length")
    return tokens


def _features(target: Target, tower: str, given: Tensor) -> Tensor:
    who = f"{_name(target)}.encode_{tower}"
    encode = target.encode_image if tower == "image" else target.encode_text
    before = given.clone()
    with generators(33, who), torch.no_grad():
        found = called("features are (b, d) float32", who, "take a batch", lambda: encode(given))
    told = f"{who} makes {tuple(found.shape)} {found.dtype} of {len(given)}"
    right = found.dim() == 2 and len(found) == len(given) and found.dtype == torch.float32
    require(right, "features are (b, d) float32", told, "return one float32 row each")
    require(
        bool(found.isfinite().all()), "features are finite", f"{who} makes NaN or infinity", "compute in fp32 or bf16"
    )
    norms = found.norm(dim=1)
    require(
        not bool(((norms - 1).abs() < 1e-5).all()),
        "features are raw",
        f"every norm of {who} is 1",
        "do not normalise: attacks may read norms",
    )
    require(torch.equal(before, given), "inputs are left as they are", f"{who} changed its input", "work on a copy")
    return found


def _check_alike(target: Target, what: str, batch: Tensor, alone: Tensor, relative: float) -> None:
    require(
        same(batch, alone, relative),
        "rows are independent",
        f"{_name(target)} encodes {what} alone otherwise than in a batch, {largest_gap(batch, alone)}",
        "stay in eval mode, and let padding and batch-mates have no say",
    )


def _check_same(target: Target, other: Target, images: tuple[Tensor, Tensor], texts: tuple[Tensor, Tensor]) -> None:
    for tower, (given, expected) in {"image": images, "text": texts}.items():
        found = _features(other, tower, given)
        require(
            torch.equal(found, expected),
            "equal targets answer alike",
            f"{_name(target)}, asked again, copied or made again, has other {tower} features, {largest_gap(expected, found)}",
            "draw nothing while encoding, and weights only from a seed among the arguments",
        )
    own, its = target.fingerprint(), other.fingerprint()
    require(
        isinstance(own, str) and bool(own) and own == its,
        "fingerprints stay",
        f"{_name(target)} has fingerprints {own!r} and {its!r}",
        "digest what features depend on, and nothing else",
    )


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
