"""The two sides of a finished leakage audit, streamed from `scores.parquet`: numbers and groups, no key, in any size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lmia.cores import let_go_of_freed_memory
from lmia.errors import LmiaError
from lmia.report.scores import TARGET

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

_TOGETHER = 1 << 18
_COLUMNS = ["role", "model", "attack", "score", "group"]


@dataclass(frozen=True)
class Sides:
    """An attack's scores of members and nonmembers, in the file's order, as `lmia.evidence` takes them.

    Args:
        scores: `(n,)` float64, higher = more likely a member.
        labels: `(n,)` bool, True for members.
        groups: `(n,)` int64, equal for duplicates; None where every pair is its own.
    """

    scores: Tensor
    labels: Tensor
    groups: Tensor | None


def read_sides(path: Path, attack: str, model: str = TARGET) -> Sides:
    """Read one attack's members and nonmembers, some hundred thousand rows at a time.

    Some seventeen bytes a pair are held, and what names the groups of duplicates: ten million pairs a side take seconds.

    Args:
        path: of the file.
        attack: its name in the report.
        model: `target`, or the name of a model beside it.

    Raises:
        LmiaError: the file cannot be read, or has no members and nonmembers of that attack.

    Example:
        >>> read_sides(Path("nowhere.parquet"), "csa")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 'nowhere.parquet' cannot be read: ...
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    import torch

    names: dict[str, int] = {}
    n = 0
    try:
        with pq.ParquetFile(path) as file:
            most = file.metadata.num_rows  # room is taken as it is filled
            scores, labels, groups = np.empty(most), np.empty(most, np.bool_), np.empty(most, np.int64)
            for batch in file.iter_batches(_TOGETHER, columns=_COLUMNS):
                ours = pc.and_(pc.equal(batch["attack"], attack), pc.equal(batch["model"], model))
                kept = batch.filter(pc.and_(ours, pc.is_in(batch["role"], pa.array(["members", "nonmembers"]))))
                rows = slice(n, n := n + len(kept))
                scores[rows] = kept["score"].cast(pa.float64()).to_numpy(zero_copy_only=False)
                labels[rows] = pc.equal(kept["role"], "members").to_numpy(zero_copy_only=False)
                groups[rows] = _named(kept["group"], names)
            if odd := n - np.count_nonzero(np.isfinite(scores[:n])):
                raise ValueError(f"{odd:,} scores are no finite numbers")
    except (OSError, KeyError, ValueError, MemoryError, pa.ArrowException) as error:
        raise LmiaError(
            f"'{path}' cannot be read: {error}.", "Give the scores.parquet of a finished audit, as it was written."
        ) from error
    finally:
        pa.default_memory_pool().release_unused()
        let_go_of_freed_memory()
    if not n:
        raise LmiaError(
            f"'{path}' holds no members and nonmembers of the attack '{attack}' on '{model}'.",
            "Name an attack that ran in a leakage audit, as report.json has it.",
        )
    alone = groups[:n] < 0
    groups[:n][alone] = np.arange(len(names), len(names) + np.count_nonzero(alone))
    found = [torch.from_numpy(one[:n]) for one in (scores, labels, groups)]
    return Sides(found[0], found[1], found[2] if names else None)


def _named(column: pa.Array, names: dict[str, int]) -> NDArray[np.int64]:
    """Number the groups of a batch, (b,), -1 where a pair is its own; `names` grows by those that are new."""
    import pyarrow.compute as pc

    coded = pc.dictionary_encode(column)
    known = [names.setdefault(name, len(names)) for name in coded.dictionary.to_pylist()]
    lookup = np.array([*known, -1], np.int64)  # null is -1, and so the last
    found: NDArray[np.int64] = lookup[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return found
