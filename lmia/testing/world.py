"""Synthetic worlds with exact truth: features with a planted trace of membership, so that orientation can be tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lmia.samples import Known, Samples, TargetFacts, concat

SIGNAL = 1.0
_ROLES = {"members": 0, "nonmembers": 1, "known": 2, "pool in": 3, "pool out": 4}
_APART = 500_000_003
"""Keeps known members apart from the members of every other world."""


@dataclass(frozen=True)
class World:
    """What an attack may know, what it has to score, and the truth that it never sees.

    Args:
        known: for `Attack.fit`.
        samples: n samples, members and non-members mixed.
        labels: `(n,)` bool, true for members.
    """

    known: Known
    samples: Samples
    labels: Tensor


def make_samples(
    n: int,
    seed: int = 0,
    signal: float = 0.0,
    *,
    width: int = 32,
    views: int = 5,
    falls: bool = True,
    measured: Mapping[str, float] | None = None,
) -> Samples:
    """Make n samples with all arrays of the contract: as non-members, or, with a signal, as members are.

    A pair is a common direction; image and text are that direction and noise, at norms around 10, and a signal takes
    noise away. Views turn the image in fixed random ways, the last of them the caption.

    Args:
        n: how many.
        seed: of everything drawn.
        signal: 0 for non-members; members of the default world have 1: cosines around 0.7 instead of 0.5.
        width: of the features.
        views: how many, the identity included.
        falls: whether views lower a member's cosine further than a non-member's (as is reported of trained models), or
            less far.
        measured: by name, how many standard deviations a member's measured number lies above a non-member's, each
            `(n,)`.

    Example:
        >>> few = make_samples(4)
        >>> few.cosine.shape, few.image.shape, few.view_text.shape, few.view_names[:2]
        (torch.Size([4, 5]), torch.Size([4, 32]), torch.Size([4, 5, 32]), ('identity', 'view-1'))
        >>> bool(make_samples(100, signal=1.0).cosine.mean() > make_samples(100).cosine.mean())
        True
    """
    random = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).div(width**0.5)

    common, spread = normalize(noise(n, width), dim=-1), 1 - 0.45 * signal
    image = normalize(common + spread * noise(n, width), dim=-1)
    text = normalize(common + spread * noise(n, width), dim=-1)
    norms = 10 + torch.randn(2, n, 1, generator=random)
    turn = 0.6 if falls else 0.6 * (1 - 0.8 * signal)
    view_image, view_text = image[:, None].repeat(1, views, 1), text[:, None].repeat(1, views, 1)
    for view in range(1, views):
        turned = view_text if view == views - 1 and views > 2 else view_image
        turned[:, view] = normalize(turned[:, view] + turn * noise(n, width), dim=-1)
    numbers = {name: torch.randn(n, generator=random) + shift * signal for name, shift in (measured or {}).items()}
    return Samples(
        ids=torch.randperm(n, generator=random),
        captions=[f"caption {row} of world {seed}" for row in range(n)],
        view_names=("identity", *(f"view-{view}" for view in range(1, views))),
        arrays={
            "cosine": (view_image * view_text).sum(-1),
            "image": image * norms[0],
            "text": text * norms[1],
            "view_image": view_image * norms[0][:, None],
            "view_text": view_text * norms[1][:, None],
        },
        measured=numbers,
    )


def make_known(
    n: int = 240,
    seed: int = 0,
    signal: float = SIGNAL,
    *,
    width: int = 32,
    views: int = 5,
    falls: bool = True,
    measured: Mapping[str, float] | None = None,
) -> Known:
    """Make what an attack may learn from: n known non-members, a pool of n, every other one a member, n / 2 known members.

    Args:
        n: how many non-members.
        seed: of everything drawn, and of the fit.
        signal: of the pool's members, as `make_samples` has it; 0 for a pool that is like the known non-members.
        width: of the features.
        views: how many, the identity included.
        falls: as `make_samples` has it.
        measured: as `make_samples` has it.

    Example:
        >>> known = make_known(10)
        >>> len(known.nonmembers), len(known.pool), known.target.logit_scale
        (10, 10, 20.0)
    """

    def some(role: str, n: int, signal: float) -> Samples:
        return make_samples(n, _seed(seed, role), signal, width=width, views=views, falls=falls, measured=measured)

    def known_members(n: int) -> Samples:
        apart = _seed(seed, "members") + _APART
        return make_samples(n, apart, signal, width=width, views=views, falls=falls, measured=measured)

    pool = _shuffled(concat([some("pool in", n // 2, signal), some("pool out", n - n // 2, 0.0)]), seed)[0]
    facts = TargetFacts("a synthetic world", logit_scale=20.0, details={"weights": f"none: seed {seed}"})
    return Known(some("known", n, 0.0), pool, facts, seed, known_members(n // 2))


def make_world(
    n: int = 240,
    seed: int = 0,
    signal: float = SIGNAL,
    *,
    width: int = 32,
    views: int = 5,
    falls: bool = True,
    measured: Mapping[str, float] | None = None,
) -> World:
    """Make a whole world: n samples to score, half of them members, and what may be known besides.

    Args:
        n: how many samples, known non-members and pool pairs each.
        seed: of everything drawn.
        signal: how much members differ; 0 is a world without memory, in which no attack can be right.
        width: of the features.
        views: how many, the identity included.
        falls: as `make_samples` has it.
        measured: as `make_samples` has it.

    Example:
        >>> world = make_world(20)
        >>> len(world.samples), int(world.labels.sum()), len(world.known.nonmembers)
        (20, 10, 20)
    """

    def some(role: str, n: int, signal: float) -> Samples:
        return make_samples(n, _seed(seed, role), signal, width=width, views=views, falls=falls, measured=measured)

    samples, order = _shuffled(concat([some("members", n // 2, signal), some("nonmembers", n - n // 2, 0.0)]), seed)
    known = make_known(n, seed, signal, width=width, views=views, falls=falls, measured=measured)
    return World(known, samples, order < n // 2)


def _seed(seed: int, role: str) -> int:
    return seed * len(_ROLES) + _ROLES[role]


def _shuffled(samples: Samples, seed: int) -> tuple[Samples, Tensor]:
    """Return the rows in another order and with ids of their own, and where each came from, `(n,)`."""
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))
    mixed = samples.select(order)
    return Samples(order, mixed.captions, mixed.view_names, mixed.arrays, mixed.measured), order
