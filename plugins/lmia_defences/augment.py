"""Pairs shown in another view at every showing."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from random import Random
from typing import Literal, get_args

import torch
from torch import Tensor

from lmia import Defence, LmiaError, Views
from lmia.registry import registry
from lmia_defences.bounds import bounded

Per = Literal["picture", "batch"]


class Augment(Defence):
    """Shows every pair in one view of an augmentation set, another one each time, so that no exact picture comes back.

    What is known: text augmentation and several captions a picture mean less memorisation and more use at once (CLIPMem);
    of pictures' views, as here, we know no figure against attacks on CLIP. An attacker who compares views then meets views
    that the model has seen. It costs the views' time at every step, and use where a view makes the caption false.

    Args:
        views: name of an augmentation set, as `lmia plugins` lists them. The identity is among its views.
        k: how many views besides the identity, of sets that can make any number; the set's own number unless given.
        per: draw a view for every `picture`, or one for the whole `batch`, which is faster.

    Raises:
        LmiaError: there is no such set, it cannot make k views, or `per` is neither.

    Example:
        >>> white = torch.ones(2, 3, 32, 32)
        >>> Augment("gentle", k=8).pixels(white, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, views: str = "gentle", k: int | None = None, per: Per = "picture") -> None:
        if per not in get_args(Per):
            raise LmiaError(f"augment cannot draw a view per '{per}'.", "Give picture or batch.")
        self.per = per
        self.views = list(_made(self, views, k).views().values())

    def pixels(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Show each picture `(b, 3, h, w)` in a view that is drawn, all with the same chance."""
        drawn = torch.randint(
            len(self.views),
            (len(pixels) if self.per == "picture" else 1,),
            generator=generator,
            device=generator.device,
        )
        lots = drawn.expand(len(pixels)).to(pixels.device)
        seen = pixels.clone()
        for i in sorted(set(drawn.tolist())):
            if (image := self.views[i].image) is not None:
                rows = lots == i
                seen[rows] = image(pixels[rows])
        return seen

    def captions(self, captions: Sequence[str], draw: Random) -> list[str]:
        """Show each caption in a view that is drawn, of sets that have views of captions."""
        shared = draw.choice(self.views)
        chosen = [draw.choice(self.views) if self.per == "picture" else shared for _ in captions]
        return [
            caption if view.caption is None else view.caption(caption)
            for caption, view in zip(captions, chosen, strict=True)
        ]


def _made(owner: object, name: str, k: int | None) -> Views:
    cls: type[Views] = registry().get("views", name)
    if k is None:
        return cls()
    bounded(owner, "k", k, 1)
    if "k" not in inspect.signature(cls).parameters:
        raise LmiaError(f"The views '{name}' have a number of their own, and cannot be {k}.", "Leave k out.")
    return cls(k=k)  # type: ignore[call-arg]
