"""The pairs of both collections as one model sees them: shuffled and without labels, and where each of them lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray

from lmia import overlap, roles, scoring
from lmia.attack import Attack
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor, extract
from lmia.gather import gather
from lmia.samples import Samples, TargetFacts
from lmia.source import Source

SEED = 0
"""Of the shuffle, the halves and the fits. Not the user's: nobody is to look for a lucky one."""


@dataclass(frozen=True)
class Side:
    """One of the two collections: n pairs.

    Args:
        name: `mine` or `held-out`.
        keys: n keys.
        scores: `(n,)` float64.
        groups: `(n,)` duplicate group of each pair.
    """

    name: str
    keys: Sequence[str]
    scores: NDArray[np.float64]
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Both collections as one model sees them.

    Args:
        samples: of both, shuffled, under opaque ids.
        at: by name of a side, the positions of its pairs in `samples`.
        keys: by name of a side, the keys of its pairs.
        groups: by name of a side, `(n,)` the duplicate groups of its pairs.
        facts: of the model.
    """

    samples: Samples
    at: Mapping[str, NDArray[np.int64]]
    keys: Mapping[str, Sequence[str]]
    groups: Mapping[str, NDArray[np.int64]]
    facts: TargetFacts

    def scored(self, attack: Attack, name: str) -> tuple[Side, Side]:
        """Score every pair with an attack that learns nothing, or has learnt.

        Raises:
            LmiaError: a score is not finite, or has another shape.
        """
        found = scoring.score(attack, name, scoring.only(self.samples, attack), SEED).numpy()
        mine, heldout = (Side(side, self.keys[side], found[at], self.groups[side]) for side, at in self.at.items())
        return mine, heldout

    def select(self, rows: NDArray[np.int64], attack: Attack) -> Samples:
        """Return what an attack may see of the pairs at these positions."""
        return scoring.only(self.samples.select(torch.from_numpy(rows)), attack)


def seen(model: FeatureExtractor, mine: Source, heldout: Source, attacks: Sequence[Attack], trainer: Trainer) -> Pairs:
    """Run a model over both collections, as far as its features are not kept yet, and gather what the attacks need.

    Raises:
        LmiaError: the collections overlap or have no usable pair.
    """
    data = AuditData(suspects=mine, known_nonmembers=heldout)
    plan = roles.plan(data)
    shards = [shard for role in plan.values() for shard in role]
    needs = frozenset({"cosine"}).union(*(attack.needs for attack in attacks))
    extract(trainer, model, data, shards, model.arrays(needs, views=False))
    part = roles.assign(data, plan, model.store, SEED)
    rows = {"mine": part.parts["suspects"], "held-out": np.sort(np.r_[part.parts["fit"], part.parts["calibration"]])}
    random = np.random.default_rng(SEED)
    ids = random.permutation(len(part.rows)).astype(np.int64)
    every = np.concatenate(list(rows.values()))
    shuffled = random.permutation(len(every))
    back = np.argsort(shuffled)
    count = len(rows["mine"])
    return Pairs(
        gather(model, part.shards, part.rows, every[shuffled], ids, needs, False),
        {"mine": back[:count], "held-out": back[count:]},
        {side: part.rows["key"].take(pa.array(chosen)).to_pylist() for side, chosen in rows.items()},
        {side: part.groups[chosen] for side, chosen in rows.items()},
        model.target.facts(),
    )


def apart(mine: Source, heldout: Source, max_pixels: int) -> None:
    """Refuse collections that share pairs: same file, same url, or the same caption on a picture that looks the same.

    Read before the model runs, so that nothing is computed in vain.

    Raises:
        LmiaError: pairs are shared, or a collection has no usable pair.
    """
    one, other = overlap.read(mine, "mine", max_pixels), overlap.read(heldout, "held-out", max_pixels)
    shared = np.zeros(len(one), np.bool_)
    for rule in ("sha256", "url"):
        shared |= overlap.exact(one, other, rule) >= 0
    looks = [set(zip(side.words("phash"), side.words("caption"), strict=True)) for side in (one, other)]
    both = looks[0] & looks[1]
    shared |= np.array([look in both for look in zip(one.words("phash"), one.words("caption"), strict=True)])
    if shared.any():
        key = one.keys[int(np.argmax(shared))]
        raise LmiaError(
            f"{shared.sum():,} of {len(one):,} pairs of --mine are also in --heldout, such as '{key}'.",
            "Take them out of --heldout: what may have been trained on is not held out.",
        )
