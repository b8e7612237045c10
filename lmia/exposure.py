"""Who is exposed most: one attack's AUC in slices of the pairs, by what is known of them without the model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lmia.clusters import copies_of
from lmia.columns import OWN
from lmia.evidence.sliced import Slices
from lmia.evidence.slices import auroc_by_slice
from lmia.evidence.slicing import slice_columns
from lmia.judging import Judge

YARDSTICK = "csa"
"""Whose scores are sliced where it ran; else those of the first attack asked for. One attack, named before any score."""


def exposure(judge: Judge, scores: Mapping[str, Tensor]) -> tuple[str, Slices | None]:
    """Slice one attack's scores; its name, and what came of it.

    Args:
        judge: of the audit.
        scores: `(n,)` of both sides' rows, by attack.
    """
    if judge.roles.sides[0] != "members" or not scores:
        return "", None
    name = YARDSTICK if YARDSTICK in scores else next(iter(scores))
    table = judge.roles.rows
    columns = slice_columns(table, copies_of(table).groups)  # not the clusters that a user named
    columns |= {
        column.removeprefix(OWN): table[column].to_pylist() for column in table.column_names if column.startswith(OWN)
    }
    mine = {column: [values[row] for row in judge.side_rows.tolist()] for column, values in columns.items()}
    found = auroc_by_slice(
        torch.as_tensor(scores[name]), judge.labels, mine, judge.groups, seed=judge.seed, confidence=judge.confidence
    )
    return name, found
