"""The few pairs a person may look at: read again from their shards, only where pairs are to be shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from lmia.picture import open_pair
from lmia.records import records
from lmia.report.pairs import ShownPair
from lmia.report.scores import RoleScores, ranks
from lmia.roles import Roles
from lmia.source import Pair, Rejected

MOST, LEAST = 16, 8
"""How many of the most and of the least likely members are shown."""


def shown_pairs(roles: Roles, keys: Sequence[str], scores: Sequence[RoleScores]) -> list[ShownPair]:
    """Choose the first attack's most and least likely members among the audited pairs, and read their pictures.

    Args:
        roles: where the rows are.
        keys: a unique key for every row.
        scores: of all attacks.
    """
    audited = [part for part in scores if part.role != "calibration" and part.attack == scores[0].attack]
    if not audited:
        return []
    every = np.concatenate([part.scores for part in audited])
    rows = np.concatenate([roles.parts[part.role] for part in audited])
    names = [part.role for part in audited for _ in part.scores]
    p = np.concatenate([part.p if part.p is not None else np.full(len(part.scores), np.nan) for part in audited])
    rank = ranks(every, every)
    order = np.argsort(rank, kind="stable")
    chosen = list(dict.fromkeys([*order[:MOST].tolist(), *order[-LEAST:].tolist()]))
    pictures = _pictures(roles, [int(rows[i]) for i in chosen])
    captions = roles.rows["caption"]
    return [
        ShownPair(
            key=keys[int(rows[i])],
            caption=captions[int(rows[i])].as_py(),
            image=pictures[int(rows[i])],
            role=names[i],
            attack=audited[0].attack,
            score=float(every[i]),
            rank=int(rank[i]),
            p=float(p[i]),
        )
        for i in chosen
        if int(rows[i]) in pictures
    ]


def _pictures(roles: Roles, rows: Sequence[int]) -> Mapping[int, Image.Image]:
    """Read the pictures of a few rows, each shard once."""
    wanted: dict[int, dict[str, int]] = defaultdict(dict)
    for row in rows:
        wanted[roles.rows["shard"][row].as_py()][roles.rows["key"][row].as_py()] = row
    found: dict[int, Image.Image] = {}
    for i, by_key in wanted.items():
        shard = roles.shards[i]
        for record in records(shard.source, shard.name):
            if isinstance(record, Pair) and record.key in by_key:
                opened = open_pair(record)
                if not isinstance(opened, Rejected):
                    found[by_key[record.key]] = opened[0]
    return found
