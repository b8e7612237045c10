"""The test itself: every variant is scored by the model, and the published ones are ranked among their like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer
from numpy.typing import NDArray

from lmia.canary.key import Item, Key
from lmia.data import AuditData, shards_of
from lmia.errors import LmiaError
from lmia.evidence.bounds import clopper_pearson
from lmia.evidence.canary import critical_sum, published_ranks, rank_sum_p
from lmia.evidence.estimate import Estimate
from lmia.extract import FeatureExtractor, extract
from lmia.settings import digest
from lmia.source import Pair, Source

_SHARD = 256


@dataclass(frozen=True)
class Trial:
    """What the test found.

    Args:
        scores: (m, n) float64 cosines, items by variants.
        ranks: (m,) int64, how many variants of its item score below the published one.
        p: chance of a sum of ranks at least as large, if the model knows nothing of the choice.
        share: how often the published variant outscores another one of its item; 0.5 by luck, at most.
        found: whether the sum of ranks is as rare as the key's alpha asks for.
        tied: items whose published variant ties with another one, which counted against the owner.
    """

    scores: NDArray[np.float64]
    ranks: NDArray[np.int64]
    p: float
    share: Estimate
    found: bool
    tied: int


class Variants(Source):
    """All variants of all items, as sealed; keys are `ITEM/VARIANT`.

    Args:
        key: the sealed key, checked against its commitment.
        folder: holds the variants' pictures.
    """

    def __init__(self, key: Key, folder: Path) -> None:
        self.key = key
        self.folder = folder

    def shards(self) -> Sequence[str]:
        """Number the shards."""
        return [str(i) for i in range(-(-len(self.key.items) // _SHARD))]

    def read(self, shard: str) -> Iterator[Pair]:
        """Stream the variants of a shard's items."""
        for item in self._items(shard):
            for i, caption in enumerate(item.captions):
                yield Pair(f"{item.name}/{i}", caption, self._picture(item, i))

    def fingerprint(self, shard: str) -> str:
        """Return a digest of the pictures' digests and the captions."""
        return digest([(item.name, item.pictures, item.captions) for item in self._items(shard)])

    def count(self, shard: str) -> int:
        """Count the shard's variants."""
        return self.key.variants * len(self._items(shard))

    def check(self) -> None:
        """Compare every picture with its digest in the key.

        Raises:
            LmiaError: one is missing, or is not the one that was sealed.
        """
        for item in self.key.items:
            for i, wanted in enumerate(item.pictures):
                if sha256(self._picture(item, i)).hexdigest() != wanted:
                    raise LmiaError(
                        f"The variant {self._path(item, i)} is not the one that was sealed.",
                        "Restore the sealed folder as `lmia canary make` wrote it; the test needs every variant.",
                    )

    def _items(self, shard: str) -> tuple[Item, ...]:
        return self.key.items[int(shard) * _SHARD : (int(shard) + 1) * _SHARD]

    def _path(self, item: Item, i: int) -> Path:
        return self.folder / f"{item.name}-{i}.jpg"

    def _picture(self, item: Item, i: int) -> bytes:
        try:
            return self._path(item, i).read_bytes()
        except OSError as error:
            raise LmiaError(
                f"The variant {self._path(item, i)} is missing.",
                "Restore the sealed folder as `lmia canary make` wrote it; the test needs every variant.",
            ) from error


def scored(model: FeatureExtractor, variants: Variants, trainer: Trainer, batch: int = 64) -> NDArray[np.float64]:
    """Score every variant by the cosine of its picture and caption.

    Args:
        model: the target; features that its store has are not made again.
        variants: as sealed.
        trainer: runs the model.
        batch: pairs encoded at once.

    Returns:
        (m, n) float64.

    Raises:
        LmiaError: the model does not read a variant, or answers with what is no number.
    """
    shards = shards_of(variants)
    extract(trainer, model, AuditData(batch=batch), shards, model.arrays({"cosine"}, views=False))
    found: dict[str, float] = {}
    for shard in shards:
        table, rejected = model.store.pairs(shard.key)
        if rejected:
            raise LmiaError(
                f"The variant {rejected[0].key} cannot be read: {rejected[0].reason}.", "Restore the sealed folder."
            )
        cosines = np.asarray(model.store.array("cosine", shard.key), np.float64)
        found.update(zip(table["key"].to_pylist(), cosines.tolist(), strict=True))
    names = [[f"{item.name}/{i}" for i in range(variants.key.variants)] for item in variants.key.items]
    scores = np.array([[found[name] for name in row] for row in names])
    if not np.isfinite(scores).all():
        raise LmiaError(
            f"The model gives no finite score for {int((~np.isfinite(scores)).sum())} of {scores.size} variants.",
            "Try another precision.",
        )
    return scores


def judged(scores: NDArray[np.float64], key: Key, confidence: float = 0.95) -> Trial:
    """Rank the published variants among their like, and say how likely luck alone would do as well.

    Args:
        scores: (m, n), as `scored` gives them.
        key: says what was published.
        confidence: of the interval of the share.

    Example:
        >>> items = [Item(f"{i}", f"{i}", 0, ("a", "b"), ("c", "d")) for i in range(5)]
        >>> trial = judged(np.tile([0.2, 0.1], (5, 1)), Key("00", 2, 0.01, tuple(items), {}, {}))
        >>> trial.p, trial.share.value, trial.tied
        (0.03125, 1.0, 0)
    """
    choices = np.array([item.choice for item in key.items])
    ranks = published_ranks(scores, choices)
    own = scores[np.arange(len(scores)), choices]
    wins, items = float(ranks.sum()) / (key.variants - 1), len(ranks)
    low, high = clopper_pearson(wins, items, confidence)
    share = Estimate(wins / items, low, high, confidence, "Clopper-Pearson, each item as one draw", items)
    least = critical_sum(items, key.variants, key.alpha)
    found = least is not None and int(ranks.sum()) >= least
    tied = int(((scores == own[:, None]).sum(1) > 1).sum())
    return Trial(scores, ranks, rank_sum_p(ranks, key.variants), share, found, tied)
