"""Pictures compared by what a model makes of them: features from the store, and rows that lie near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from lightning.pytorch import Trainer
from numpy.typing import NDArray

from lmia.data import AuditData, Shard, shards_of
from lmia.errors import LmiaError
from lmia.evidence.duplicates import same
from lmia.evidence.links import Links
from lmia.evidence.neighbours import Features, near_embeddings, near_embeddings_by_index
from lmia.extract import FeatureExtractor, extract
from lmia.overlap.pictures import Pictures
from lmia.source import Source, drawn

EXACT = 100_000
"""So many pictures are compared each with each, in some three minutes of processor time at 512 numbers; more by an index."""


def features(
    model: FeatureExtractor,
    sources: Mapping[str, Source],
    roles: Mapping[str, Pictures],
    trainer: Trainer,
    batch: int = 64,
) -> NDArray[np.float32]:
    """Return the image features of all rows, one role after the other, `(n, d)`; what the store has is not made again.

    Raises:
        LmiaError: the model does not answer embeddings, a source has changed since it was read, or features are not finite.
    """
    if "embeddings" not in model.target.answers:
        raise LmiaError(
            "This model answers no embeddings, so pictures cannot be compared by them.", "Give another --model SPEC."
        )
    shards = {role: shards_of(source) for role, source in sources.items()}
    every = [shard for some in shards.values() for shard in some]
    extract(trainer, model, AuditData(batch=batch), every, model.arrays({"embeddings"}, views=False))
    found = np.concatenate([_of(model, sources[role], shards[role], one, role) for role, one in roles.items()])
    if not (finite := np.isfinite(found).all(axis=1)).all():
        raise LmiaError(
            f"The model gives {int((~finite).sum()):,} of {len(found):,} pictures features that are not finite.",
            "Try another precision.",
        )
    return found


def _of(
    model: FeatureExtractor, source: Source, shards: Sequence[Shard], pictures: Pictures, role: str
) -> NDArray[np.float32]:
    keys = [key for shard in shards for key in model.store.pairs(shard.key)[0]["key"].to_pylist()]
    rows = list(drawn(source, keys))
    if [keys[i] for i in rows] != list(pictures.keys):
        raise LmiaError(f"The pictures of {role} changed while they were read.", "Run again when nothing writes them.")
    arrays = [np.asarray(model.store.array("image", shard.key), np.float32) for shard in shards]
    whole: NDArray[np.float32] = np.concatenate([array for array in arrays if len(array)])[rows]
    return whole


def near(found: Features, roles: Mapping[str, Pictures], threshold: float, approximate: bool = False) -> Links:
    """Link the rows that are near by embedding; of rows with one file, the first stands for all.

    Args:
        found: `(n, d)` features of all rows, as `features` gives them.
        roles: the pictures, in the same order.
        threshold: the least cosine.
        approximate: search by an index, which may miss some.

    Raises:
        LmiaError: there are too many pictures to compare each with each, too many are near, or faiss is not installed.
    """
    files = [word for one in roles.values() for word in one.words("sha256")]
    rows = np.flatnonzero(same(files, files) == np.arange(len(files)))
    if len(rows) > EXACT and not approximate:
        raise LmiaError(
            f"{len(rows):,} different pictures are too many to compare each with each (at most {EXACT:,}).",
            "Add --approximate (pip install 'lmia[neighbours]'), or take samples: 'SPEC?n=40000&seed=0'.",
        )
    search = near_embeddings_by_index if approximate else near_embeddings
    try:
        links = search(found[rows], threshold=threshold)
    except ValueError as error:
        raise LmiaError(f"At a cosine of {threshold}: {error}", "Raise --threshold.") from error
    return Links(rows[links.left], rows[links.right], links.value)
