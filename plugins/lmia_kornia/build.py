"""From steps to named views, and the checks of the options that the sets share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from lmia import LmiaError, View
from lmia.views import IDENTITY
from lmia_kornia.chain import Chain, Step

Kinds = Mapping[str, Callable[[Random], tuple[Step, ...]]]
"""By the name of each kind of view: what draws its steps."""


def checked_k(k: int) -> int:
    """Return k.

    Raises:
        LmiaError: it is not a whole number from 1.

    Example:
        >>> checked_k(4)
        4
    """
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise LmiaError(f"k is {k}, but a set of views needs at least one.", "Give k a whole number from 1.")
    return k


def checked_strength(strength: float) -> float:
    """Return the strength.

    Raises:
        LmiaError: it does not lie between 0 and 1.

    Example:
        >>> checked_strength(0.5)
        0.5
    """
    if not 0 <= strength <= 1:  # NaN too
        raise LmiaError(
            f"strength is {strength}, but it goes from 0 to 1.",
            "Give 1 for the set as documented, less for milder views.",
        )
    return strength


def drawn(kinds: Kinds, k: int, strength: float, seed: int) -> dict[str, View]:
    """Name the identity and k views, the kinds in turn: each drawn from a generator of its own.

    A view's generator depends on the seed and the view's name alone, so more views leave the first as they were, and
    two sets that draw the same view share it.

    Example:
        >>> from lmia_kornia.optics import Blurring
        >>> list(drawn({"blur": lambda rng: (Blurring(rng.random()),)}, 2, 1.0, seed=0))
        ['identity', 'blur-1', 'blur-2']
    """
    views = {"identity": IDENTITY}
    names = list(kinds)
    for i in range(k):
        kind = names[i % len(names)]
        name = f"{kind}-{i // len(names) + 1}"
        views[name] = _view(kinds[kind](Random(f"{seed}:{name}")), strength)
    return views


def listed(kind: str, steps: Sequence[Step], strength: float) -> dict[str, View]:
    """Name the identity and one view for every step.

    Example:
        >>> from lmia_kornia.optics import Blurring
        >>> list(listed("blur", [Blurring(0.01)], 1.0))
        ['identity', 'blur-1']
    """
    return {"identity": IDENTITY} | {f"{kind}-{i}": _view((step,), strength) for i, step in enumerate(steps, 1)}


def _view(steps: tuple[Step, ...], strength: float) -> View:
    # Without strength there is nothing to do: not even the rounding of a warp or of JPEG at quality 100.
    return View(Chain(steps)) if strength else IDENTITY
