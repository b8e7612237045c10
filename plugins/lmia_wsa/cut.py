"""Where pseudo-members begin: a cut of the pool at a cosine threshold, and a choice among several without labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lmia import LmiaError

LAMBDAS = (-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5)
"""The seven choices that the published code of Ko et al. declares; it uses none and has no rule to pick one."""
LEAST = 50
"""With fewer pseudo-members there is nothing to train on."""
ALIKE = 0.95
"""From this bound on, a pool looks like the known non-members."""
_ENOUGH = 1000


@dataclass(frozen=True)
class Cut:
    """A threshold on the cosine, and what lies at or above it.

    Args:
        lam: lambda, in standard deviations.
        threshold: tau, a cosine.
        known_share: F_known(tau), the share of known non-members at or above tau.
        pool_count: how many pool pairs lie at or above tau: the pseudo-members.
        pool_share: F_pool(tau), the same as a share.

    Example:
        >>> Cut(0.5, 0.3, known_share=0.3, pool_count=60, pool_share=0.6).bound
        0.5
    """

    lam: float
    threshold: float
    known_share: float
    pool_count: int
    pool_share: float

    @property
    def bound(self) -> float:
        """F_known(tau) / F_pool(tau), not clipped at 1; infinite where no pool pair reaches tau.

        Times the pool's share of non-members it is the expected share of mislabelled pseudo-members, provided that
        those non-members are like the known ones. It needs no labels.
        """
        return self.known_share / self.pool_share if self.pool_count else math.inf

    def row(self, chosen: bool) -> dict[str, object]:
        """Return it as a row of the report's table; an infinite bound is None, which JSON can say."""
        return {
            "lambda": self.lam,
            "threshold": self.threshold,
            "known_share": self.known_share,
            "pool_count": self.pool_count,
            "pool_share": self.pool_share,
            "bound": self.bound if self.pool_count else None,
            "chosen": chosen,
        }


def cut(known: Tensor, pool: Tensor, lam: float) -> Cut:
    """Cut the pool at tau = mean + lambda * std (ddof 0) of the known non-members' cosines, computed in float64.

    Ko et al., ICCV 2023 (arXiv 2310.00108), `select_pseudotrain` of the published code.

    Args:
        known: `(m,)` cosines of known non-members.
        pool: `(n,)` cosines of the pool.
        lam: lambda.

    Example:
        >>> import torch
        >>> cut(torch.tensor([0.1, 0.3]), torch.tensor([0.1, 0.2, 0.3, 0.4]), 0.5).pool_count
        2
    """
    known, pool = known.double(), pool.double()
    tau = float(known.mean() + lam * known.std(correction=0))
    count = int((pool >= tau).sum())
    return Cut(lam, tau, float((known >= tau).double().mean()), count, count / max(1, len(pool)))


def enough(cuts: Sequence[Cut], known: int, pool: int) -> int:
    """Return how many pseudo-members `auto` asks for: 1,000, or a third of the known non-members where that is less.

    Where no cut leaves so many, the pool being small, a third of the pool; never fewer than `LEAST`.

    Args:
        cuts: to choose from.
        known: how many known non-members there are.
        pool: how many pool pairs there are.

    Example:
        >>> enough([Cut(0.0, 0.1, 0.5, pool_count=900, pool_share=0.9)], known=600, pool=1000)
        200
    """
    wanted = max(LEAST, min(_ENOUGH, math.ceil(known / 3)))
    if max(one.pool_count for one in cuts) >= wanted:
        return wanted
    return max(LEAST, math.ceil(pool / 3))


def smallest_bound(cuts: Sequence[Cut], count: int) -> Cut | None:
    """Return the cut with the smallest bound of those that leave `count` pseudo-members; of equals the one leaving more.

    None where each of them has a bound of at least `ALIKE`: the pool looks like the known non-members.

    Example:
        >>> one, other = Cut(0.0, 0.1, 0.5, 90, 0.9), Cut(0.5, 0.2, 0.2, 60, 0.6)
        >>> smallest_bound([one, other], 50).lam, smallest_bound([one, other], 80).lam
        (0.5, 0.0)
    """
    fit = [one for one in cuts if one.pool_count >= count and one.bound < ALIKE]
    return min(fit, key=lambda one: (one.bound, -one.pool_count), default=None)


def too_few(what: str, cuts: Sequence[Cut]) -> LmiaError:
    """Return the error that `what` is fewer than `LEAST` pseudo-members, with what each cut leaves.

    Example:
        >>> print(too_few("lambda 0.5 leaves 3", [Cut(0.5, 0.3, 0.3, 3, 0.6)]))
        WSA needs 50 pseudo-members, and lambda 0.5 leaves 3.
        Give a larger pool or another lambda (--plugin.lam); of those tried, 0.5 leaves 3.
    """
    counts = ", ".join(f"{one.lam:g} leaves {one.pool_count:,}" for one in cuts)
    return LmiaError(
        f"WSA needs {LEAST} pseudo-members, and {what}.",
        f"Give a larger pool or another lambda (--plugin.lam); of those tried, {counts}.",
    )
