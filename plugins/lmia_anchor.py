"""Anchor: how much better image and caption fit each other than either fits the pairs of a fixed bank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

import lmia
from lmia.signals import anchor_normalised, contrastive, cosine, sigmoid_normalised, unit

GRID = (5.0, 10.0, 20.0, 40.0, 80.0)
"""The temperatures that `auto` tries besides the target's own."""

_UNKNOWN_SCALE = 20.0
_TRIED = 1536
_FEWEST = 50


@dataclass(frozen=True)
class Trial:
    """One temperature as `auto` saw it: a line of the table in the report.

    Args:
        temperature: the factor on cosines.
        auc: AUROC of pool against known non-members, ties half: how far the pool stands out, not the attack's result.
        behind: how far that lies below the best temperature's.
        error: standard error of that difference (paired, DeLong et al., 1988); 0 for the best.
    """

    temperature: float
    auc: float
    behind: float
    error: float


class Anchor(lmia.Attack):
    """Contrastive score of a pair among a fixed bank of other pairs: a cosine freed of hub images and hub captions.

    Minus the loss that CLIP minimises on its members, with a bank in place of the batch (`lmia.signals.contrastive`):
    some captions are near every image, and their cosine says little. Difficulty calibration in the sense of Watson et
    al., ICLR 2022, without a second model. The bank, the same for every pair, is the pool and the known non-members, or
    the latter alone; no audited pair is ever in it.

    Which temperature: at the target's own the score is minus its training loss, and that is where `auto` starts. Where
    there is a pool it tries others: some of the pool are members, so pool and known non-members come apart the more
    the better a score tells members from non-members, whatever their share (it scales all temperatures' AUROC - 1/2
    alike). Up to 1,536 of each are scored, each against all the others; of the temperatures whose AUROC of pool against
    known lies within one standard error of the best, `auto` takes the nearest to the target's own, so that chance has
    little say in it. No label is read. A pool from another corpus than the known non-members is told apart by its
    corpus instead, and the temperature is then the best for that: compare with `model`.

    Args:
        temperature: factor t on cosines; `auto`, from known non-members and pool (without a pool, or with fewer than 50
            of either, the target's own; 20 where that is unknown); or `model`, the target's own with its own loss:
            sigmoid targets are then scored by theirs. Every other choice uses the softmax form, which on small sigmoid
            targets was the better one.
        bank: `both` pool and known non-members, or the `known` alone.
        bank_size: the most pairs the bank may hold; more are drawn by seed. Time grows with it.

    Raises:
        LmiaError: a temperature or bank size that is not above 0, or a word that is none of these.

    Example:
        >>> rows = torch.eye(3)
        >>> three = lmia.Samples(torch.arange(3), ["a"] * 3, ("identity",), {"image": rows, "text": rows})
        >>> attack = Anchor(temperature=10.0)
        >>> attack.fit(lmia.Known(three.select(torch.tensor([0])), None, lmia.TargetFacts("toy")))
        >>> attack.score(three).round(decimals=3).tolist()  # the first is in the bank: -log 2
        [-0.693, -0.0, -0.0]
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
        if not len(known.nonmembers):
            raise lmia.LmiaError("Anchor needs a bank, and there are no known non-members.", "Give --known-nonmembers.")
        parts = [known.nonmembers] if pool is None or self.bank == "known" else [known.nonmembers, pool]
        self._image, self._text = _draw(parts, self.bank_size, known.seed)
        self._trials: Sequence[Trial] = ()
        self._bias: float | None = None
        self._chosen, self._why = self._settle(known, pool)

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
        seed: of the draw of pairs where there are more than 1,536 of a role.

    Returns:
        One trial a temperature, ascending.
    """
    known_image, known_text = _draw([known], _TRIED, seed)
    pool_image, pool_text = _draw([pool], _TRIED, seed)
    split = len(known_image)
    image, text = unit(torch.cat([known_image, pool_image])), unit(torch.cat([known_text, pool_text]))
    width = len(image) if bank == "both" else split
    own = cosine(image, text)
    texts, images = (
        (image @ text[:width].T).float(),
        (text @ image[:width].T).float(),
    )  # twice as fast, ranks alike
    for cosines in (texts, images):
        cosines.diagonal().fill_(-torch.inf)
    tried = sorted(set(temperatures))
    scores = [contrastive(own, texts, images, temperature) for temperature in tried]
    places = [_placements(score[split:], score[:split]) for score in scores]
    best = max(places, key=lambda place: float(place[0].mean()))
    trials = []
    for temperature, (of_pool, of_known) in zip(tried, places, strict=True):
        gap = best[0] - of_pool
        chance = gap.var() / len(gap) + (best[1] - of_known).var() / split
        trials.append(Trial(temperature, float(of_pool.mean()), float(gap.mean()), float(chance.sqrt())))
    return trials


def _placements(pool: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each pool pair the share of the known below it, for each known the share of the pool above, ties half."""

    def below(scores: Tensor, others: Tensor) -> Tensor:
        ascending = others.sort().values
        reached = torch.searchsorted(ascending, scores) + torch.searchsorted(ascending, scores, right=True)
        return reached.to(torch.float64) / (2 * len(others))

    return below(pool, known), 1 - below(known, pool)


def _draw(parts: Sequence[lmia.Samples], size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return at most `size` rows of the parts' features, images and texts, by seed and in their order."""
    total = sum(map(len, parts))
    rows = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:size].sort().values
    images, texts, start = [], [], 0
    for part in parts:  # row by row: the parts may be memory-mapped and far larger than the bank
        inside = rows[(rows >= start) & (rows < start + len(part))] - start
        images.append(part.image[inside.to(part.image.device)])
        texts.append(part.text[inside.to(part.text.device)])
        start += len(part)
    image, text = torch.cat(images), torch.cat(texts)
    broken = int((~(image.isfinite().all(dim=1) & text.isfinite().all(dim=1))).sum())
    if broken:
        raise lmia.LmiaError(
            f"{broken} of {len(image)} pairs of known non-members or pool have features that are not finite.",
            "They would spoil every score. Try a higher precision, or take these pairs out.",
        )
    return image, text


@lmia.hookimpl
def lmia_attacks() -> list[type[lmia.Attack]]:
    """Bring Anchor."""
    return [Anchor]
