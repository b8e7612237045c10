"""Semi-supervised: what an attacker gains who knows some of the members, beside the usual non-members and pool."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lmia import Attack, Known, LmiaError, Samples, hookimpl
from lmia.signals import unit

_ROWS = 1024
"""Rows made into features at once."""
FEWEST = 10
"""Fewer known members, or known non-members, teach nothing."""


class SemiSupervised(Attack):
    """A net taught on known members and known non-members, then again with the pool pairs it is surest of.

    Partial knowledge of the training data, which is more than WSA has (Ko et al., ICCV 2023, leave it open): the first net
    is supervised. Then, `rounds` times, pool pairs that score higher than all but a share `alpha` of the known non-members
    join the known members, and a new net is taught (self-training, Lee, 2013). A trained attack on known members cannot
    tell memory from any other difference between the two sides that it was taught on: draw both alike.

    The score is the net's logit, of the unit image beside the unit text and the cosine, standardised by known non-members.

    Args:
        rounds: how often pool pairs join; 0 is supervised alone. Without a pool there is nobody to join.
        alpha: the share of known non-members that may score as high as a pool pair that joins.
        network: the paper's four layers (`mlp`), or logistic regression (`linear`), which needs fewer known members.
        epochs: at most so many passes over the training rows.
        lr: learning rate of AdamW.
        weight_decay: of AdamW.
        seed: of splits, first weights and orders; the audit's unless given.

    Raises:
        LmiaError: an option is out of its range.

    Example:
        >>> SemiSupervised(rounds=0).rounds, sorted(SemiSupervised.requires)
        (0, ['known_members', 'known_nonmembers'])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"cosine", "embeddings"})
    requires: ClassVar[frozenset[str]] = frozenset({"known_members", "known_nonmembers"})

    def __init__(
        self,
        rounds: int = 1,
        alpha: float = 0.05,
        network: Literal["mlp", "linear"] = "linear",
        epochs: int = 40,
        lr: float = 1e-2,
        weight_decay: float = 0.01,
        seed: int | None = None,
    ) -> None:
        if rounds < 0:
            raise LmiaError(f"SemiSupervised's rounds are {rounds}.", "Give 0, or more.")
        if not 0 < alpha < 1:
            raise LmiaError(f"SemiSupervised's alpha is {alpha}.", "Give a share above 0 and below 1.")
        for name, value in (("epochs", epochs), ("lr", lr)):
            if not 0 < value < math.inf:
                raise LmiaError(f"SemiSupervised's {name} is {value}.", "Give a number above 0.")
        if not 0 <= weight_decay < math.inf:
            raise LmiaError(f"SemiSupervised's weight_decay is {weight_decay}.", "Give 0, or a number above.")
        self.rounds, self.alpha = rounds, alpha
        self.network: Literal["mlp", "linear"] = network
        self.epochs, self.lr, self.weight_decay, self.seed = epochs, lr, weight_decay, seed
        self._net: nn.Module | None = None
        self._usual = (0.0, 1.0)
        self._findings: dict[str, object] = {}

    def fit(self, known: Known) -> None:
        """Teach a net on the known, then again with what it is surest of.

        Raises:
            LmiaError: there are fewer than ten known members or known non-members, or a feature is not finite.
        """
        members, nonmembers = known.members, known.nonmembers
        for what, some in (("members", members), ("non-members", nonmembers)):
            if some is None or len(some) < FEWEST:
                count = 0 if some is None else len(some)
                raise LmiaError(
                    f"SemiSupervised has {count} known {what}.", f"It takes {FEWEST} or more to learn from."
                )
        assert members is not None  # as counted
        cosine = nonmembers.cosine[:, 0].double()
        self._usual = float(cosine.mean()), max(float(cosine.std()), 1e-9)
        outside, inside = self._features(nonmembers), self._features(members)
        pool = None if known.pool is None or not len(known.pool) else self._features(known.pool)
        self._findings = {"known_members": len(inside), "known_nonmembers": len(outside)}
        net, joined = self._taught(outside, inside, known.seed), []
        for _ in range(self.rounds if pool is not None else 0):
            assert pool is not None  # as asked
            least = torch.quantile(_logits(net, outside), 1 - self.alpha)
            sure = pool[_logits(net, pool) > least]
            joined.append(len(sure))
            net = self._taught(outside, torch.cat([inside, sure]), known.seed)
        self._findings["joined"] = joined
        self._net = net

    def score(self, samples: Samples) -> Tensor:
        """Return `(n,)` float64 logits.

        Raises:
            RuntimeError: nothing was fitted.
        """
        if self._net is None:
            raise RuntimeError("SemiSupervised.score comes after SemiSupervised.fit.")
        parts = [_logits(self._net, self._features(part)) for part in samples.chunks(_ROWS)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)

    def findings(self) -> Mapping[str, object]:
        """Return how many were known on either side, and how many of the pool joined in each round."""
        return dict(self._findings)

    def _features(self, samples: Samples) -> Tensor:
        """Return `(n, 2 d + 1)` float64: unit image beside unit text, and the cosine in the known non-members' spreads.

        So it weighs as much as many directions together, which is what few known members can teach.
        """
        mean, spread = self._usual
        parts = [unit(part).double() for part in (samples.image, samples.text)]
        return torch.cat([*parts, (samples.cosine[:, :1].double() - mean) / spread], dim=1)

    def _taught(self, outside: Tensor, inside: Tensor, seed: int) -> nn.Module:
        from lmia.classifier import fit_classifier  # here: Lightning takes seconds to load, and a listing needs none

        rows = _balanced(outside, inside)
        net: nn.Module = fit_classifier(
            torch.cat(rows).float(),
            torch.arange(2).repeat_interleave(torch.tensor([len(one) for one in rows])),
            network=self.network,
            epochs=self.epochs,
            patience=5,
            lr=self.lr,
            weight_decay=self.weight_decay,
            accelerator="cpu",
            seed=seed if self.seed is None else self.seed,
        ).double()
        return net


def _balanced(outside: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat the smaller side's rows until both weigh about as much: few members known is the case in question."""
    ratio = len(outside) / len(inside)
    more, less = max(1, round(ratio)), max(1, round(1 / ratio))
    return outside.repeat(less, 1), inside.repeat(more, 1)


def _logits(net: nn.Module, features: Tensor) -> Tensor:
    from lmia.classifier import one_thread

    with one_thread(), torch.no_grad():
        logits: Tensor = net(features)
    return logits[:, 1] - logits[:, 0]


@hookimpl
def lmia_attacks() -> list[type[Attack]]:
    """Return the attack."""
    return [SemiSupervised]
