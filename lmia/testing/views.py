"""The laws of an augmentation set."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lmia.testing.laws import called, generators, largest_gap, require
from lmia.testing.making import check_made, copied, pickled, remade
from lmia.views import IDENTITY, View, Views

ABSOLUTE = 1e-5
"""A pixel may differ by this much with other batch-mates: sums in another order."""

_CAPTIONS = ("a dog above a cat", "One", "", "Ein Hund, größer als\nzwei 猫.")


def check_views(views: Views, pixels: Tensor | None = None) -> None:
    """Check an augmentation set on pictures of noise, black and white, and on a few captions.

    Laws: made as `check_made` says; the first view is `"identity": View()`; pictures keep their shape and dtype, and
    lie in [0, 1]; a picture's view does not depend on its batch-mates and their order; every call, every copy and
    every set with the same arguments gives the same; global generators stay untouched; inputs are left as they are.

    Args:
        views: the set.
        pixels: `(b, 3, h, w)` in [0, 1] to try it on.

    Raises:
        ConformanceError: a law is broken.

    Example:
        >>> from lmia.views import Identity
        >>> check_views(Identity())
    """
    check_made(views)
    name = type(views).__name__
    found = _views(views)
    first = next(iter(found), None)
    require(
        first == "identity" and found["identity"] == IDENTITY,
        "the first view is the identity",
        f"{name} begins with {first!r}: {found.get(first or '')}",
        'return {"identity": lmia.View(), ...}',
    )
    tried = _pictures() if pixels is None else pixels
    makers = {"made again": remade, "copied": copied, "sent to a worker": pickled}
    others = {how: _views(make(views)) for how, make in makers.items()} | {"asked again": _views(views)}
    for how, other in others.items():
        require(
            list(other) == list(found),
            "equal arguments mean equal views",
            f"{name}, {how}, names {list(other)} instead of {list(found)}",
            "name and order views by the arguments alone",
        )
    for view in found:
        _check_image(f"{name}'s view '{view}'", found[view], {how: o[view] for how, o in others.items()}, tried)
        _check_caption(f"{name}'s view '{view}'", found[view], {how: o[view] for how, o in others.items()})


def _views(views: Views) -> dict[str, View]:
    name = type(views).__name__
    with generators(11, f"{name}.views"):
        found = called("views are returned by name", f"{name}.views", "return a dict of lmia.View", views.views)
    right = all(isinstance(key, str) and isinstance(value, View) for key, value in found.items())
    require(right, "views are returned by name", f"{name}.views returned {found}", "return a dict of lmia.View")
    return found


def _pictures() -> Tensor:
    noise = torch.rand(3, 3, 24, 32, generator=torch.Generator().manual_seed(0))
    return torch.cat([noise, torch.zeros(1, 3, 24, 32), torch.ones(1, 3, 24, 32), noise[:1].round()])


def _check_image(who: str, view: View, others: dict[str, View], pixels: Tensor) -> None:
    if view.image is None:
        return
    before = pixels.clone()
    whole = _seen(who, view.image, pixels, state=12)
    law = "pictures keep their shape, dtype and range"
    shape = f"{tuple(whole.shape)} {whole.dtype} from {tuple(pixels.shape)} {pixels.dtype}"
    require(
        whole.shape == pixels.shape and whole.dtype == pixels.dtype, law, f"{who} makes {shape}", "resize and cast back"
    )
    low, high = whole.min().item(), whole.max().item()
    inside = low >= 0 and high <= 1 and not bool(whole.isnan().any())
    require(inside, law, f"{who} reaches from {low:.4g} to {high:.4g}", "clamp to [0, 1], and make no NaN")
    order = torch.arange(len(pixels)).flip(0)
    single = torch.cat([_seen(who, view.image, one, state=13) for one in torch.split(pixels, 1)])
    turned = _seen(who, view.image, pixels[order], state=14)[order]
    for how, other in {"alone": single, "in another order": turned}.items():
        require(
            bool(((whole - other).abs() <= ABSOLUTE).all()),
            "pictures are independent",
            f"{who} sees a picture {how} otherwise than in a batch, {largest_gap(whole, other)}",
            "fix the parameters when views() is called, the same for every picture",
        )
    for how, same in others.items():
        require(
            same.image is not None and torch.equal(whole, _seen(who, same.image, pixels, state=15)),
            "equal arguments mean equal views",
            f"{who}, {how}, shows other pictures",
            "draw parameters in views() from a seed among the arguments",
        )
    require(torch.equal(before, pixels), "inputs are left as they are", f"{who} changed its input", "work on a copy")


def _seen(who: str, transform: Callable[[Tensor], Tensor], pixels: Tensor, state: int) -> Tensor:
    with generators(state, who), torch.no_grad():
        return called(
            "a view works on any picture", who, "take (b, 3, h, w) floats in [0, 1]", lambda: transform(pixels)
        )


def _check_caption(who: str, view: View, others: dict[str, View]) -> None:
    if view.caption is None:
        return
    for text in _CAPTIONS:
        said = _said(who, view.caption, text, state=16)
        again = {how: other.caption and _said(who, other.caption, text, state=17) for how, other in others.items()}
        require(
            all(other == said for other in again.values()),
            "equal arguments mean equal views",
            f"{who} turns {text!r} into {said!r} and into {again}",
            "draw from a seed among the arguments",
        )


def _said(who: str, transform: Callable[[str], str], text: str, state: int) -> str:
    with generators(state, who):
        said = called("a view works on any caption", f"{who} of {text!r}", "take any text", lambda: transform(text))
    require(isinstance(said, str), "a caption's view is a caption", f"{who} makes {said!r}", "return a str")
    return said
