"""The weakly supervised attack: options, pseudo-members, training and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lmia import Attack, Known, LmiaError, NothingToLearn, Samples
from lmia.signals import unit
from lmia_wsa.cut import ALIKE, LAMBDAS, LEAST, Cut, cut, enough, smallest_bound, too_few

_ROWS = 1024
"""Rows made into features at once: 8 MB at width 1,024."""
_NOTE = "bound = known share / pool share: at most that part of the pseudo-members is like the known non-members"


class WSA(Attack):
    """Weakly supervised attack: a net tells the pool's most similar pairs from known non-members.

    Ko et al., ICCV 2023 (arXiv 2310.00108), as their published code does it. Pool pairs whose cosine reaches
    tau = mean + lambda * std of the known non-members' are pseudo-members; a net learns to tell their features (the
    normalised image beside the normalised text) from those of the known non-members, and its logit is the score.

    The published code has no rule for lambda. `auto` takes, of its seven, the one with the smallest bound on mislabelled
    pseudo-members, F_known(tau) / F_pool(tau) (F: the share at or above tau), that leaves enough of them: 1,000, or a
    third of the known non-members where that is less; where no lambda leaves so many, a third of the pool; never fewer
    than 50. It needs no labels. A pool that looks like the known non-members at every such lambda (bound at least 0.95)
    is reported as nothing to learn.

    Presets: `official` is the published code's form (lambda 1.5, the last epoch's net, the sigmoid of logit 1 alone);
    `bench` that of the 2026 benchmark (lambda 0.5, cosine appended, logistic regression, no balancing, no validation),
    but for its pool, which holds the known non-members too, where ours is disjoint from them. `bench` makes five steps
    for every 1,024 rows: below some ten thousand rows its weights stay close to their random start.

    Args:
        lam: lambda, how many standard deviations above the known non-members' mean pseudo-members begin, or `auto`.
        network: the paper's four layers (`mlp`), or logistic regression (`linear`).
        batch: training rows a step.
        epochs: at most so many passes over the training rows.
        patience: stop after so many epochs without a smaller validation loss.
        lr: learning rate of Adam.
        weight_decay: decoupled weight decay (AdamW); 0 is Adam.
        validation: share of the training rows held out to stop by; 0 holds out none and trains all epochs.
        balanced: draw as many known non-members as pseudo-members, at random.
        max_per_class: draw at most so many of each; no limit unless given.
        append_cosine: add the cosine to the features.
        keep: the net of the epoch with the smallest validation loss (`best`), or of the last (`last`).
        output: logit 1 minus logit 0 (`difference`), or the published code's sigmoid of logit 1 (`sigmoid`).
        seed: of the draw, the split, the initial weights and the order of rows; the audit's unless given.
        accelerator: where to train, as Lightning calls it.

    Example:
        >>> WSA(lam=0.5).lam, sorted(WSA.presets)
        (0.5, ['bench', 'official'])
    """

    needs: ClassVar[frozenset[str]] = frozenset({"cosine", "embeddings"})
    requires: ClassVar[frozenset[str]] = frozenset({"known_nonmembers", "pool"})
    transductive: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "official": {"lam": 1.5, "keep": "last", "output": "sigmoid"},
        "bench": {
            "lam": 0.5,
            "network": "linear",
            "batch": 1024,
            "epochs": 5,
            "weight_decay": 0.01,  # AdamW's own default, which the benchmark leaves as it is
            "validation": 0.0,
            "balanced": False,
            "append_cosine": True,
            "keep": "last",
        },
    }

    def __init__(
        self,
        lam: float | Literal["auto"] = "auto",
        network: Literal["mlp", "linear"] = "mlp",
        batch: int = 32,
        epochs: int = 15,
        patience: int = 3,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        validation: float = 0.1,
        balanced: bool = True,
        max_per_class: int | None = None,
        append_cosine: bool = False,
        keep: Literal["best", "last"] = "best",
        output: Literal["difference", "sigmoid"] = "difference",
        seed: int | None = None,
        accelerator: Literal["auto", "cpu", "gpu"] = "cpu",
    ) -> None:
        self.lam: float | Literal["auto"] = lam
        self.network: Literal["mlp", "linear"] = network
        self.batch, self.epochs, self.patience, self.lr = batch, epochs, patience, lr
        self.weight_decay, self.validation = weight_decay, validation
        self.balanced, self.max_per_class, self.append_cosine = balanced, max_per_class, append_cosine
        self.keep: Literal["best", "last"] = keep
        self.output: Literal["difference", "sigmoid"] = output
        self.seed = seed
        self.accelerator: Literal["auto", "cpu", "gpu"] = accelerator
        self._check()
        self._net: nn.Module | None = None
        self._findings: dict[str, object] = {}

    def _check(self) -> None:
        if self.lam != "auto" and not math.isfinite(self.lam):
            raise LmiaError(f"WSA's lam is {self.lam}.", "Give a number, or auto.")
        for name in ("batch", "epochs", "patience", "lr", "max_per_class"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise LmiaError(f"WSA's {name} is {value}.", "Give a number above 0.")
        if not 0 <= self.weight_decay < math.inf:
            raise LmiaError(f"WSA's weight_decay is {self.weight_decay}.", "Give 0 (Adam), or a number above.")
        if not 0 <= self.validation < 1:
            raise LmiaError(
                f"WSA's validation is {self.validation}.", "Give a share of the rows: 0, or more but below 1."
            )
        if self.keep == "best" and not self.validation:
            raise LmiaError(
                "WSA with validation 0 cannot tell which epoch is best.", "Give keep=last, or validation=0.1."
            )

    def fit(self, known: Known) -> None:
        """Choose pseudo-members and train.

        Raises:
            LmiaError: there is no pool, there are fewer than two known non-members or fewer than 50 pseudo-members, or
                a cosine or feature is not finite.
            NothingToLearn: under `auto`, the pool looks like the known non-members at every lambda.
        """
        from lmia.classifier import fit_classifier  # here: Lightning takes seconds to load, and a listing needs none

        self._net, self._findings = None, {}
        nonmembers, pool = known.nonmembers, known.pool
        if pool is None or not len(pool):
            raise LmiaError("WSA has no pool to find pseudo-members in.", "Give --pool, or --suspects to serve as one.")
        if len(nonmembers) < 2:
            raise LmiaError(f"WSA has {len(nonmembers)} known non-members to learn from.", "Give more of them.")
        pool_cosine = _cosine(pool, "pool pairs")
        chosen = self._choose(_cosine(nonmembers, "known non-members"), pool_cosine)
        seed = known.seed if self.seed is None else self.seed
        pseudo = (pool_cosine >= chosen.threshold).nonzero()[:, 0]
        rows = self._draw(len(nonmembers), pseudo, torch.Generator().manual_seed(seed))
        self._findings["trained_on"] = {"known_nonmembers": len(rows[0]), "pseudo_members": len(rows[1])}
        self._net = fit_classifier(
            self._stack(nonmembers, pool, rows),
            torch.arange(2).repeat_interleave(torch.tensor([len(rows[0]), len(rows[1])])),
            network=self.network,
            epochs=self.epochs,
            batch=self.batch,
            patience=self.patience,
            lr=self.lr,
            weight_decay=self.weight_decay,
            validation=self.validation,
            keep=self.keep,
            accelerator=self.accelerator,
            seed=seed,
        ).double()

    def score(self, samples: Samples) -> Tensor:
        """Return `(n,)` float64 outputs of the net: in float32 a sigmoid near 1 would make ties.

        Raises:
            RuntimeError: nothing was fitted.
        """
        from lmia.classifier import one_thread

        if self._net is None:
            raise RuntimeError("WSA.score comes after WSA.fit.")
        scores = torch.empty(len(samples), dtype=torch.float64)
        with one_thread(), torch.no_grad():
            for i, part in enumerate(samples.chunks(_ROWS)):
                logits = self._net(self._features(part))
                member = logits[:, 1].sigmoid() if self.output == "sigmoid" else logits[:, 1] - logits[:, 0]
                scores[i * _ROWS : i * _ROWS + len(part)] = member
        return scores

    def findings(self) -> Mapping[str, object]:
        """Return lambda, threshold and counts, and the table of all lambdas."""
        return dict(self._findings)

    def _choose(self, known: Tensor, pool: Tensor) -> Cut:
        """Cut the pool at every lambda, note the table, return the cut to train on."""
        cuts = [cut(known, pool, lam) for lam in LAMBDAS]
        if self.lam != "auto":
            chosen = next((one for one in cuts if one.lam == self.lam), None) or cut(known, pool, self.lam)
            if chosen.pool_count < LEAST:
                raise too_few(f"lambda {self.lam:g} leaves {chosen.pool_count}", cuts)
            found: dict[str, object] = {}
        else:
            if len(pool) < LEAST:
                raise too_few(f"the whole pool is {len(pool)}", cuts)
            found = {"enough_pseudo_members": (count := enough(cuts, len(known), len(pool)))}
            best = smallest_bound(cuts, count)
            if best is None:
                raise NothingToLearn(
                    f"The pool looks like the known non-members: no lambda that leaves {count:,} pseudo-members has "
                    f"F_known / F_pool below {ALIKE}.",
                    "A pool with more of the target's training pairs would change that, if the target keeps traces of them.",
                    found | {"lambdas": [one.row(False) for one in cuts], "note": _NOTE},
                )
            chosen = best
        table = sorted({*cuts, chosen}, key=lambda one: one.lam)
        found |= {"lambda": chosen.lam, "threshold": chosen.threshold, "pseudo_members": chosen.pool_count}
        self._findings = found | {"lambdas": [one.row(one is chosen) for one in table], "note": _NOTE}
        return chosen

    def _draw(self, known: int, pseudo: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw the rows of known non-members and of pseudo-members to train on, without replacement."""
        first, second = known, len(pseudo)
        if self.balanced:
            first = second = min(first, second)
        if self.max_per_class is not None:
            first, second = min(first, self.max_per_class), min(second, self.max_per_class)
        known_rows = torch.randperm(known, generator=generator)[:first]
        return known_rows, pseudo[torch.randperm(len(pseudo), generator=generator)[:second]]

    def _features(self, samples: Samples) -> Tensor:
        """Return `(n, 2 d)` float64, unit image beside unit text; `(n, 2 d + 1)` with the cosine."""
        parts = [unit(samples.image), unit(samples.text)]
        return torch.cat([*parts, samples.cosine[:, :1].double()] if self.append_cosine else parts, dim=1)

    def _stack(self, known: Samples, pool: Samples, rows: tuple[Tensor, Tensor]) -> Tensor:
        """Return the drawn rows' features in float32, filled part by part: one copy in memory, not three."""
        parts = [
            (samples, part)
            for samples, wanted in zip((known, pool), rows, strict=True)
            for part in torch.split(wanted, _ROWS)
        ]
        width = self._features(known.select(rows[0][:1])).shape[1]
        features = torch.empty(len(rows[0]) + len(rows[1]), width)
        start = 0
        for samples, part in parts:
            features[start : start + len(part)] = self._features(samples.select(part))
            start += len(part)
        return features


def _cosine(samples: Samples, what: str) -> Tensor:
    """Return `(n,)` float64 cosines of the identity view, all of them finite."""
    cosine = samples.cosine[:, 0].double()
    if bad := int((~cosine.isfinite()).sum()):
        raise LmiaError(
            f"{bad:,} of {len(cosine):,} {what} have a cosine that is not finite.", "Try a higher precision."
        )
    return cosine
