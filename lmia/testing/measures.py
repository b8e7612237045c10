"""The laws of white-box measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from lmia.attack import Attack, Batch
from lmia.samples import Samples
from lmia.target import Target
from lmia.testing.laws import called, generators, largest_gap, require, same
from lmia.testing.targets import CAPTIONS, make_images

RELATIVE = 1e-4
"""Measurements alone may differ from those in a batch by this much of the largest: gradients add up rounding."""


def check_measure(
    attack: Attack,
    target: Target,
    images: Sequence[Image.Image] = (),
    captions: Sequence[str] = CAPTIONS[:3],
    anchors: Samples | None = None,
) -> Mapping[str, Tensor]:
    """Check what an attack measures on a target, and return it.

    Laws: `needs` says `gradients`; every measurement has one finite row a pair; a row does not depend on its
    batch-mates; measuring again gives the same; the target's weights, buffers, gradients and mode, the batch and the
    global generators are left as they were.

    Args:
        attack: whose `measure` is checked.
        target: a small one, whose text tower takes `captions` of any length together.
        images: as many RGB pictures as captions; three of noise unless given.
        captions: the pictures' captions.
        anchors: where the attack requires them.

    Raises:
        ConformanceError: a law is broken.
    """
    who = f"{type(attack).__name__}.measure"
    declared = "gradients" in attack.needs
    require(declared, "measuring is declared", f"{who} is there, and needs is {set(attack.needs)}", "add 'gradients'")
    pixels = torch.stack([target.preprocess(image) for image in images or make_images()]).float() / 255
    batch = Batch(torch.arange(len(pixels)), pixels, target.tokenize(list(captions)))
    before = _contents(target, batch)
    whole = _measured(who, attack, target, batch, anchors)
    parts = [
        _measured(
            who, attack, target, Batch(batch.rows[i : i + 1], pixels[i : i + 1], batch.tokens[i : i + 1]), anchors
        )
        for i in range(len(pixels))
    ]
    again = _measured(who, attack, target, batch, anchors)
    for name, value in whole.items():
        single = torch.cat([part[name] for part in parts])
        require(
            same(value, single, RELATIVE),
            "rows are independent",
            f"'{name}' of {who} is another for a pair alone, {largest_gap(value, single)}",
            "take one gradient a row: of the sum over rows by pixels, or of each row's loss by the weights",
        )
        require(
            torch.equal(value, again[name]), "measuring again gives the same", f"'{name}' of {who} varies", "seed it"
        )
    changed = [name for name, value in _contents(target, batch).items() if not _equal(value, before[name])]
    remedy = "work on copies, use torch.autograd.grad instead of backward, and put back what you set"
    require(not changed, "the target is left as it was", f"{who} changed {', '.join(changed)}", remedy)
    return whole


def _measured(who: str, attack: Attack, target: Target, batch: Batch, anchors: Samples | None) -> Mapping[str, Tensor]:
    with generators(41, who), torch.enable_grad():
        found = called("measuring works", who, "see the cause", lambda: attack.measure(target, batch, anchors))
    require(bool(found), "measuring works", f"{who} returned nothing", "return tensors by name")
    for name, value in found.items():
        rows = f"'{name}' of {who} is {tuple(value.shape)} for {len(batch.rows)} pairs"
        require(value.dim() > 0 and len(value) == len(batch.rows), "one row a pair", rows, "return (b, ...)")
        require(bool(value.isfinite().all()), "measurements are finite", f"'{name}' of {who} is not", "guard it")
    return {name: value.detach() for name, value in found.items()}


def _contents(target: Target, batch: Batch) -> dict[str, Tensor | bool | None]:
    found: dict[str, Tensor | bool | None] = {"the mode": target.training, "the pixels": batch.pixels.clone()}
    found["the tokens"] = batch.tokens.clone()
    for name, value in target.state_dict().items():
        found[f"weight '{name}'"] = value.clone()
    for name, weight in target.named_parameters():
        found[f"gradient of '{name}'"] = None if weight.grad is None else weight.grad.clone()
        found[f"requires_grad of '{name}'"] = weight.requires_grad
    return found


def _equal(one: Tensor | bool | None, other: Tensor | bool | None) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return one is other
