"""The laws of what a target answers: features of its towers, and cosines of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from lmia.errors import LmiaError
from lmia.target import Target
from lmia.testing.laws import ConformanceError, called, generators, largest_gap, require, same
from lmia.testing.making import copied, remade

RELATIVE = {"fp32": 1e-5, "bf16": 3e-2, "fp16": 5e-3}
"""Features in a batch may differ from features alone by this much of the largest, by precision."""

Told = Mapping[str, Tensor]
"""Features `(b, d)` by tower, `image` and `text`."""


def check_answers(target: Target, pixels: Tensor, captions: Sequence[str]) -> None:
    """Check features and cosines: their form, that they depend on the question alone, and that equal targets agree.

    Where `answers` lacks `embeddings`, features may be anything that `cosine` understands, and are judged by the cosines
    that come of them. Where it lacks `cosine` as well, one tower may refuse, with an `LmiaError`.

    Args:
        target: the target.
        pixels: `(b, 3, h, w)` float in [0, 1].
        captions: to be tokenised together and alone.

    Raises:
        ConformanceError: a law is broken.
    """
    name, tokens = type(target).__name__, target.tokenize(captions)
    together = _told(target, [pixels], [tokens])
    told = {tower: features.shape[1] for tower, features in together.items()}
    require(
        len(set(told.values())) == 1,
        "both towers have one width",
        f"{name} encodes into so many numbers: {told}",
        "return the features after the projection",
    )
    singles = _told(target, torch.split(pixels, 1), [target.tokenize([caption]) for caption in captions])
    for what, (batch, alone) in _shown(target, together, singles, target, apart=True).items():
        require(
            same(batch, alone, RELATIVE[target.precision]),
            "rows are independent",
            f"{name} encodes {what} alone otherwise than in a batch, {largest_gap(batch, alone)}",
            "stay in eval mode, and let padding and batch-mates have no say",
        )
    for other in (target, copied(target), remade(target)):
        again = _told(other, [pixels], [tokens])
        for what, (one, two) in _shown(target, together, again, other).items():
            require(
                torch.equal(one, two),
                "equal targets answer alike",
                f"{name}, asked again, copied or made again, answers {what} otherwise, {largest_gap(one, two)}",
                "draw nothing while encoding, and weights only from a seed among the arguments",
            )
        _check_fingerprint(target, other)


def _told(target: Target, pixels: Sequence[Tensor], tokens: Sequence[Tensor]) -> Told:
    """Encode one after the other; a tower that refuses is left out, where that is allowed."""
    found: dict[str, Tensor] = {}
    for tower, given in {"image": pixels, "text": tokens}.items():
        try:
            found[tower] = torch.cat([_features(target, tower, each) for each in given])
        except ConformanceError as broken:
            if {"cosine", "embeddings"} & target.answers or not isinstance(broken.__cause__, LmiaError):
                raise
    require(bool(found), "some tower answers", f"{type(target).__name__} refuses both", "answer for one at least")
    return found


def _features(target: Target, tower: str, given: Tensor) -> Tensor:
    who = f"{type(target).__name__}.encode_{tower}"
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
        len(given) < 2 or not bool(((norms - 1).abs() < 1e-5).all()),
        "features are raw",
        f"every norm of {who} is 1",
        "do not normalise: attacks may read norms",
    )
    require(torch.equal(before, given), "inputs are left as they are", f"{who} changed its input", "work on a copy")
    return found


def _shown(
    target: Target, one: Told, two: Told, other: Target, apart: bool = False
) -> dict[str, tuple[Tensor, Tensor]]:
    """Put side by side what two targets, or one asked in two ways, let be seen; the second pair by pair if `apart`."""
    shown = {}
    if "embeddings" in target.answers or "cosine" not in target.answers:
        shown = {_WORDS[tower]: (one[tower], two[tower]) for tower in one}
    if "cosine" in target.answers:
        count = min(map(len, two.values()))
        parts = range(count) if apart else [slice(count)]
        each = [{tower: rows[i].reshape(-1, rows.shape[1]) for tower, rows in two.items()} for i in parts]
        shown["pairs"] = _cosine(target, one), torch.cat([_cosine(other, some) for some in each])
    return shown


_WORDS = {"image": "images", "text": "captions (tokenised alone)"}


def _cosine(target: Target, told: Told) -> Tensor:
    count = min(map(len, told.values()))
    image, text = (told[tower][:count].clone() for tower in ("image", "text"))
    who, law = f"{type(target).__name__}.cosine", "cosines are (b,) float32 in [-1, 1]"
    with generators(34, who), torch.no_grad():
        found = called(law, who, "take features as both towers gave them", partial(target.cosine, image, text))
    right = found.shape == (count,) and found.dtype == torch.float32
    require(right, law, f"{who} makes {tuple(found.shape)} {found.dtype} of {count} pairs", "return one number each")
    low, high = found.min().item(), found.max().item()
    require(-1 - 1e-6 <= low <= high <= 1 + 1e-6, law, f"{who} reaches from {low:.4g} to {high:.4g}", "normalise")
    kept = torch.equal(image, told["image"][:count]) and torch.equal(text, told["text"][:count])
    require(kept, "inputs are left as they are", f"{who} changed its input", "work on a copy")
    return found


def _check_fingerprint(target: Target, other: Target) -> None:
    own, its = target.fingerprint(), other.fingerprint()
    require(
        isinstance(own, str) and bool(own) and own == its,
        "fingerprints stay",
        f"{type(target).__name__} has fingerprints {own!r} and {its!r}",
        "digest what features depend on, and nothing else",
    )
