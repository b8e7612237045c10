"""Who is exposed most: one attack's AUC in slices of the pairs, by what is known of them without the model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.clusters import copies_of
from lmia.columns import OWN
from lmia.evidence.sliced import Slices
from lmia.evidence.slices import auroc_by_slice
from lmia.evidence.slicing import slice_columns
from lmia.judging import Judge

YARDSTICK = "csa"
"""Whose scores are sliced where it ran; else those of the first attack asked for. One attack, named before any score."""
PER_SIDE = 20_000
"""So many pairs of either side are sliced at most, drawn by seed."""


def exposure(judge: Judge, scores: Mapping[str, Tensor]) -> tuple[str, Slices | None]:
    """Slice one attack's scores; its name, and what came of it.

    Args:
        judge: of the audit.
        scores: `(n,)` of both sides' rows, by attack; of more than `PER_SIDE` a side, a random sample is sliced.
    """
    if judge.roles.sides[0] != "members" or not scores:
        return "", None
    name = YARDSTICK if YARDSTICK in scores else next(iter(scores))
    table = judge.roles.rows
    columns = slice_columns(table, copies_of(table).groups)  # not the clusters that a user named
    columns |= {
        column.removeprefix(OWN): table[column].to_pylist() for column in table.column_names if column.startswith(OWN)
    }
    rows = _sampled(judge)
    mine = {column: [values[row] for row in judge.side_rows[rows].tolist()] for column, values in columns.items()}
    at, labels = torch.from_numpy(rows), judge.labels[rows]
    groups = None if judge.groups is None else judge.groups[at]
    found = auroc_by_slice(scores[name][at], labels, mine, groups, seed=judge.seed, confidence=judge.confidence)
    return name, found


def _sampled(judge: Judge) -> NDArray[np.int64]:
    """Return the rows of both sides, or a seeded sample of them: `PER_SIDE` of each at most."""
    random, labels = np.random.default_rng(judge.seed), judge.labels.numpy()
    sides = (np.flatnonzero(labels == side) for side in (True, False))
    return np.sort(np.concatenate([random.permutation(side)[:PER_SIDE] for side in sides]))
