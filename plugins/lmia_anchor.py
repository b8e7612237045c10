"""Anchor: how much better image and caption fit each other than either fits the pairs of a fixed bank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

import lmia
import torch
from lmia.signals import anchor_normalised, contrastive, cosine, sigmoid_normalised, unit
from torch import Tensor

GRID = (5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0, 56.0, 80.0)
"""The temperatures that `auto` tries besides the target's own."""

_UNKNOWN_SCALE = 20.0
_TRIED = 768
_FEWEST = 50


@dataclass(frozen=True)
class Trial:
    """One temperature as `auto` saw it: a line of the table in the report.

    Args:
        temperature: the factor on cosines.
        surprise: mean -log p of the pool's pairs, p their rank among the known non-members; about 1 if alike.
        behind: how far that lies below the best temperature's.
        error: standard error of that difference, both samples' chance counted; 0 for the best.
        auc: AUROC of pool against known non-members, ties half.
    """

    temperature: float
    surprise: float
    behind: float
    error: float
    auc: float


class Anchor(lmia.Attack):
    """Contrastive score of a pair among a fixed bank of other pairs: a cosine freed of hub images and hub captions.

    Minus the loss that CLIP minimises on its members, with a bank in place of the batch (`lmia.signals.contrastive`):
    some captions are near every image, and their cosine says little. Difficulty calibration in the sense of Watson et
    al., ICLR 2022, without a second model. The bank, the same for every pair, is the pool and the known non-members, or
    the latter alone; no audited pair is ever in it.

    Which temperature: at the target's own the score is minus its training loss, and that is where `auto` starts. Where
    there is a pool it tries others: some of the pool are members, so pool and known non-members come apart the more,
    the better a score tells members from non-members, whatever the share of members. Each of up to 768 pool pairs and
    768 known non-members is scored against all the others, and a temperature is judged by the pool pairs' mean -log p
    among the known: the area under the pool-against-known ROC with a logarithmic FPR axis, so that low FPRs count.
    Of the temperatures within one standard error of the best (paired, from influence functions), it takes the
    nearest to the target's own. So noise alone hardly moves it: where the pool tells nothing, the model's own stays.
    No label is read. A pool from another corpus than the known non-members is told apart by its corpus instead, and
    then the temperature is chosen for that; compare with `model`.

    Args:
        temperature: factor t on cosines; `auto`, from known non-members and pool (without a pool, or with fewer than 50
            of either, the target's own; 20 where that is unknown); or `model`, the target's own with its own loss:
            sigmoid targets are then scored by theirs. Every other choice uses the softmax form, which on small sigmoid
            targets was the better one.
        bank: `both` pool and known non-members, or the `known` alone.
        bank_size: the most pairs the bank may hold; more are drawn by seed. Time grows with it.

    Raises:
        LmiaError: a temperature or bank size that is not above 0, or a word that is none of these.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"embeddings"})
    requires: ClassVar[frozenset[str]] = frozenset({"known_nonmembers"})

    def __init__(
        self,
        temperature: float | Literal["auto", "model"] = "auto",
        bank: Literal["both", "known"] = "both",
        bank_size: int = 16384,
    ) -> None:
        if isinstance(temperature, str):
            if temperature not in ("auto", "model"):
                raise lmia.LmiaError(f"Anchor has no temperature '{temperature}'.", "Give a number, 'auto' or 'model'.")
        elif not (math.isfinite(temperature) and temperature > 0):
            raise lmia.LmiaError(
                f"temperature must be above 0, got {temperature}.", "Cosines are multiplied by it: 20, say."
            )
        if bank not in ("both", "known"):
            raise lmia.LmiaError(f"Anchor has no bank '{bank}'.", "Take both or known.")
        if bank_size < 1:
            raise lmia.LmiaError(f"bank_size must be at least 1, got {bank_size}.", "Some thousand pairs are plenty.")
        self.temperature = temperature
        self.bank = bank
        self.bank_size = bank_size

    def fit(self, known: lmia.Known) -> None:
        """Draw the bank and settle the temperature.

        Raises:
            LmiaError: no known non-members, features that are not finite, or `model` for a target that tells no scale.
        """
        pool = known.pool if known.pool is not None and len(known.pool) else None
        self._check(known.nonmembers, "known non-members")
        if pool is not None:
            self._check(pool, "pool")
        parts = [known.nonmembers] if pool is None or self.bank == "known" else [known.nonmembers, pool]
        self._image, self._text = _draw(parts, self.bank_size, known.seed)
        self._trials: Sequence[Trial] = ()
        self._bias: float | None = None
        self._chosen, self._why = self._settle(known, pool)

    def _check(self, samples: lmia.Samples, role: str) -> None:
        if not len(samples):
            raise lmia.LmiaError(f"Anchor needs a bank, and there are no {role}.", "Give some with --known-nonmembers.")
        broken = ~(samples.image.isfinite().all(dim=1) & samples.text.isfinite().all(dim=1))
        if broken.any():
            raise lmia.LmiaError(
                f"{int(broken.sum())} of {len(broken)} {role} have features that are not finite.",
                "Every score would be lost with them: try --model.precision fp32, or take these pairs out.",
            )

    def _settle(self, known: lmia.Known, pool: lmia.Samples | None) -> tuple[float, str]:
        """Return the temperature and why it is this one."""
        facts = known.target
        own = (
            facts.logit_scale
            if facts.logit_scale and math.isfinite(facts.logit_scale) and facts.logit_scale > 0
            else None
        )
        if self.temperature == "model":
            if own is None:
                raise lmia.LmiaError(
                    f"{facts.name} tells no logit scale.", "Give a number, such as --plugin.temperature 20."
                )
            self._bias = (facts.logit_bias or 0.0) if facts.loss == "sigmoid" else None
            return own, f"the target's own, in its own {facts.loss} loss"
        if not isinstance(self.temperature, str):
            return float(self.temperature), "as given"
        start = _UNKNOWN_SCALE if own is None else own
        name = "20, as the target tells none of its own" if own is None else "the target's own"
        if pool is None:
            return start, f"{name}: there is no pool to choose from"
        if min(len(pool), len(known.nonmembers)) < _FEWEST:
            return start, f"{name}: fewer than {_FEWEST} known non-members or pool pairs to choose from"
        self._trials = try_temperatures(known.nonmembers, pool, (*GRID, start), self.bank, known.seed)
        chosen = min(
            (trial.temperature for trial in self._trials if trial.behind <= trial.error),
            key=lambda temperature: abs(math.log(temperature / start)),
        )
        if chosen == start:
            return chosen, f"{name}: no other tells pool from known non-members better beyond one standard error"
        return chosen, f"tells pool from known non-members better than {start:g} ({name}), beyond one standard error"

    def score(self, samples: lmia.Samples) -> Tensor:
        """Return minus the contrastive loss of each pair among the bank, `(n,)` float64, at most 0.

        Raises:
            LmiaError: `fit` has not been called.
        """
        if not hasattr(self, "_chosen"):
            raise lmia.LmiaError("Anchor has no bank yet.", "Call fit(known) before score(samples).")
        if self._bias is not None:
            return sigmoid_normalised(samples.image, samples.text, self._image, self._text, self._chosen, self._bias)
        return anchor_normalised(samples.image, samples.text, self._image, self._text, self._chosen)

    def findings(self) -> Mapping[str, object]:
        """Say which temperature was taken and why, how large the bank is, and what `auto` saw."""
        found: dict[str, object] = {
            "temperature": self._chosen,
            "why this temperature": self._why,
            "pairs in the bank": len(self._image),
        }
        if self._trials:
            found["temperatures tried"] = [asdict(trial) for trial in self._trials]
        return found


def try_temperatures(
    known: lmia.Samples, pool: lmia.Samples, temperatures: Sequence[float], bank: Literal["both", "known"], seed: int
) -> list[Trial]:
    """Judge temperatures by how far the pool stands out over the known non-members; no membership is read.

    Args:
        known: known non-members.
        pool: unlabelled pairs.
        temperatures: those to try.
        bank: what each pair is scored against, itself excepted.
        seed: of the draw of pairs where there are more than 768.

    Returns:
        One trial a temperature, ascending.
    """
    known_image, known_text = _draw([known], _TRIED, seed)
    pool_image, pool_text = _draw([pool], _TRIED, seed)
    split = len(known_image)
    image, text = unit(torch.cat([known_image, pool_image])), unit(torch.cat([known_text, pool_text]))
    width = len(image) if bank == "both" else split
    texts, images, own = image @ text[:width].T, text @ image[:width].T, cosine(image, text)
    for cosines in (texts, images):
        cosines.diagonal().fill_(-torch.inf)
    tried = sorted(set(temperatures))
    scores = [contrastive(own, texts, images, temperature) for temperature in tried]
    judged = [_surprise(score[split:], score[:split]) for score in scores]
    best = max(range(len(tried)), key=lambda i: float(judged[i][0].mean()))
    trials = []
    for temperature, (pool_part, known_part, auc) in zip(tried, judged, strict=True):
        gap = judged[best][0] - pool_part
        chance = gap.var() / len(gap) + (judged[best][1] - known_part).var() / split
        trials.append(Trial(temperature, float(pool_part.mean()), float(gap.mean()), float(chance.sqrt()), auc))
    return trials


def _surprise(pool: Tensor, known: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return what each pool pair and each known non-member adds to the mean -log p, and the AUROC.

    Of the pool, -log p_i with p_i = (1 + #{known >= pool_i})/(m + 1); of the known, the influence -mean_i [pool_i <=
    known_j]/p_i, whose variance over m is the part of the estimate's that the known non-members bring.
    """
    ascending, order = known.sort().values, pool.sort()
    at_least = len(known) - torch.searchsorted(ascending, pool)
    above = len(known) - torch.searchsorted(ascending, pool, right=True)
    p = (1 + at_least) / (1 + len(known))
    reached = torch.searchsorted(order.values, known, right=True)
    weights = torch.cat([p.new_zeros(1), (1 / p[order.indices]).cumsum(dim=0)])
    auc = 1 - float((at_least + above).to(torch.float64).mean()) / (2 * len(known))
    return -p.log(), -weights[reached] / len(pool), auc


def _draw(parts: Sequence[lmia.Samples], size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return at most `size` rows of the parts' features, images and texts, by seed and in their order."""
    image, text = torch.cat([part.image for part in parts]), torch.cat([part.text for part in parts])
    if len(image) <= size:
        return image, text
    rows = torch.randperm(len(image), generator=torch.Generator().manual_seed(seed))[:size].sort().values
    return image[rows.to(image.device)], text[rows.to(text.device)]


@lmia.hookimpl
def lmia_attacks() -> list[type[lmia.Attack]]:
    """Bring Anchor."""
    return [Anchor]
