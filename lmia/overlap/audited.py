"""The check of `lmia data check`, made on the parts of an audit, whose rows are there already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lmia.evidence.copied import Copied, Shared
from lmia.evidence.duplicates import normal_caption, normal_url
from lmia.evidence.neighbours import THRESHOLD, near_embeddings
from lmia.extract import FeatureExtractor
from lmia.gather import gather
from lmia.overlap.check import Found, check
from lmia.roles import Roles

AT_ONCE = 20_000
"""Look-alikes whose features are held at once."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Part:
    """Some rows of an audit, as `check` looks at them."""

    rows: pa.Table

    def __len__(self) -> int:
        return len(self.rows)

    def words(self, rule: str) -> list[str]:
        words: list[str] = self.rows[rule].to_pylist()
        normal = {"caption": normal_caption, "url": normal_url}.get(rule)
        return list(map(normal, words)) if normal else words


def copied(part: Roles, model: FeatureExtractor) -> Copied:
    """Compare the pairs of all parts of an audit with each other: what is there twice, and by what.

    What would falsify the audit was refused before (`lmia.roles`); this counts what is left, hints included. Where an attack
    asked for features, those of the target are a second opinion on pictures that look alike under different captions.

    Args:
        part: the roles.
        model: the target, whose store may hold features.
    """
    parts = {name: rows for name, rows in part.parts.items() if len(rows)}
    rows = np.concatenate(list(parts.values()))
    found = check(
        {name: _Part(part.rows.take(pa.array(mine))) for name, mine in parts.items()}, confirm=_near(part, model, rows)
    )
    return Copied(_shared(found, parts), found.false_friends, found.seconded)


def _shared(found: Found, parts: dict[str, Rows]) -> list[Shared]:
    within = [Shared(name, name, len(parts[name]), by) for name, by in found.within.items()]
    names = [(one, other) for one in parts for other in parts if one != other]
    return within + [Shared(one, other, len(parts[one]), found.across[f"{one} in {other}"]) for one, other in names]


def _near(part: Roles, model: FeatureExtractor, rows: Rows) -> Callable[[Rows], int] | None:
    """Return who counts the pairs of rows that are near by the target's features; None where it has none."""
    if not part.shards or any(model.store.lacks(shard.key, ["image"]) for shard in part.shards):
        return None
    ids = np.arange(len(part.rows))

    def count(friends: Rows) -> int:
        near = 0
        for start in range(0, len(friends), AT_ONCE):
            some, place = np.unique(rows[friends[start : start + AT_ONCE]], return_inverse=True)
            features = gather(model, part.shards, part.rows, some, ids, {"embeddings"}, views=False).arrays["image"]
            near += len(near_embeddings(features.numpy(), None, THRESHOLD, place.reshape(-1, 2)).left)
        return near

    return count
