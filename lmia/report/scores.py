"""`scores.parquet`: one row a pair, model and attack, byte for byte the same for the same scores."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lmia.report.aside import write_aside

if TYPE_CHECKING:
    import pyarrow as pa

Role = Literal["members", "nonmembers", "suspects", "calibration"]
ROLES: tuple[Role, ...] = get_args(Role)
COLUMNS = ("key", "role", "model", "attack", "score", "rank", "p", "q", "fold", "group", "stratum", "repeats", "cosine")
WORDS = ("key", "role", "model", "attack", "group")
"""Columns that hold text; the others hold numbers."""
TARGET = "target"
"""What the model under audit is called in the column `model`; those beside it go by their names."""
NO_MODEL = "no model"
"""What stands there for blind baselines, whose kind is then the attack: they see the pairs and no model."""
NAME = "scores.parquet"


@dataclass(frozen=True)
class RoleScores:
    """One attack's scores of one role.

    Args:
        attack: its name in the report.
        role: whose pairs these are; `calibration` rows are not audited: they get no rank, and need no p.
        keys: n keys of the pairs, unique within the role.
        scores: `(n,)` finite, higher = more likely a member.
        p: `(n,)` conformal p-values, or None.
        q: `(n,)` Benjamini-Hochberg q-values over the suspects; only theirs.
        fold: `(n,)` the fold whose fit scored the pair, where the attack was cross-fitted.
        model: on which model; `target` is the one under audit.
        group: n keys, each of the first of the pairs that are duplicates of each other; None where a pair has none.
        stratum: `(n,)` of the blind score; None where the role is on neither side.
        repeats: `(n,)` how often the pair was shown in training; None where that is not known. Only of members.
        cosine: `(n,)` what the target gives the pair, whatever the attack makes of it; None on other models.
    """

    attack: str
    role: Role
    keys: Sequence[str]
    scores: NDArray[np.float64]
    p: NDArray[np.float64] | None = None
    q: NDArray[np.float64] | None = None
    fold: NDArray[np.int8] | None = None
    model: str = TARGET
    group: Sequence[str | None] | None = None
    stratum: NDArray[np.int64] | None = None
    repeats: NDArray[np.int32] | None = None
    cosine: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        what = f"{self.attack}, {self.role}"
        if self.role not in ROLES:
            raise ValueError(f"{what}: the role must be one of {', '.join(ROLES)}.")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError(f"{what}: the keys are not unique.")
        if self.group is not None and len(self.group) != len(self.keys):
            raise ValueError(f"{what}: {len(self.group)} groups for {len(self.keys)} keys.")
        for name in ("scores", "p", "q", "fold", "stratum", "repeats", "cosine"):
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != (len(self.keys),):
                raise ValueError(f"{what}: {name} has shape {array.shape}, the keys are {len(self.keys)}.")
            if not np.isfinite(array).all():
                raise ValueError(f"{what}: {name} holds numbers that are not finite.")
        if self.q is not None and self.role != "suspects":
            raise ValueError(f"{what}: only suspects have q-values.")
        if self.repeats is not None and self.role != "members":
            raise ValueError(f"{what}: only members were shown.")


def score_table(parts: Sequence[RoleScores]) -> pa.Table:
    """Join scores into the table of `scores.parquet`.

    Rows are ordered by model and attack as given, role (members, nonmembers, suspects, calibration) and key, so that the
    order in which pairs were read leaves no trace. `rank` 1 is the most likely member among an attack's audited rows;
    equal scores share the better rank.

    Args:
        parts: one for every model, attack and role; of calibration, one for every fold.

    Example:
        >>> table = score_table([RoleScores("csa", "members", ["b", "a"], np.array([0.1, 0.3]))])
        >>> table.column("key").to_pylist(), table.column("rank").to_pylist()
        (['a', 'b'], [1, 2])
    """
    import pyarrow as pa

    kinds = {"rank": pa.int64(), "fold": pa.int8(), "stratum": pa.int64(), "repeats": pa.int32()} | dict.fromkeys(
        WORDS, pa.string()
    )
    fields = [(name, kinds.get(name, pa.float64())) for name in COLUMNS]
    runs = list(dict.fromkeys((part.model, part.attack) for part in parts))
    ordered = sorted(parts, key=lambda part: (runs.index((part.model, part.attack)), ROLES.index(part.role)))
    if len({_place(part) for part in ordered}) < len(ordered):
        raise ValueError("Each model, attack and role may come once, calibration once a fold.")
    chunks = [_chunk(part, _audited(part, ordered), fields) for part in ordered]
    return pa.concat_tables([pa.schema(fields).empty_table(), *chunks]).combine_chunks()


def _place(part: RoleScores) -> tuple[str, str, str, int]:
    """Name what may come once: the calibration pairs are scored again by the fit of every fold."""
    folded = part.role == "calibration" and part.fold is not None and len(part.fold)
    fold = int(part.fold[0]) if folded and part.fold is not None else -1
    return part.model, part.attack, part.role, fold


def write_scores(table: pa.Table, path: Path) -> str:
    """Write the table and return the sha256 of the file's bytes, in hex.

    No time stamp, fixed compression: one pyarrow version writes equal tables as equal bytes.

    Raises:
        LmiaError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(None).combine_chunks(),
        sink,
        version="2.6",
        compression="zstd",
        compression_level=3,
        row_group_size=1 << 18,
        use_dictionary=["role", "model", "attack"],
        store_schema=False,
    )
    data = sink.getvalue().to_pybytes()
    write_aside(path, data)
    return hashlib.sha256(data).hexdigest()


def ranks(scores: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank `(n,)` scores among `(m,)` scores: 1 + how many of those are higher.

    Example:
        >>> ranks(np.array([3.0, 1.0, 3.0]), np.array([3.0, 1.0, 3.0])).tolist()
        [1, 3, 1]
    """
    above = len(among) - np.searchsorted(np.sort(among), scores, side="right")
    return (above + 1).astype(np.int64)


def _audited(one: RoleScores, parts: Sequence[RoleScores]) -> NDArray[np.float64]:
    run = (one.model, one.attack)
    audited = [part.scores for part in parts if (part.model, part.attack) == run and part.role != "calibration"]
    return np.concatenate([np.empty(0), *audited])


def _chunk(part: RoleScores, audited: NDArray[np.float64], fields: Sequence[tuple[str, Any]]) -> pa.Table:
    import pyarrow as pa

    n = len(part.keys)
    order = np.array(sorted(range(n), key=part.keys.__getitem__), dtype=np.int64)
    values: dict[str, Any] = {
        "key": [_utf8(part.keys[row]) for row in order],
        "role": [part.role] * n,
        "model": [_utf8(part.model)] * n,
        "attack": [part.attack] * n,
        "group": None
        if part.group is None
        else [None if (g := part.group[row]) is None else _utf8(g) for row in order],
    }
    rank = None if part.role == "calibration" else ranks(part.scores, audited)
    for name, array in (("score", part.scores), ("rank", rank)):
        values[name] = None if array is None else array[order]
    for name in ("p", "q", "fold", "stratum", "repeats", "cosine"):
        array = getattr(part, name)
        values[name] = None if array is None else array[order]
    arrays = [pa.nulls(n, kind) if values[name] is None else pa.array(values[name], type=kind) for name, kind in fields]
    return pa.Table.from_arrays(arrays, names=[name for name, _ in fields])


def _utf8(text: str) -> str:
    """Keep the odd bytes of a file name that is no UTF-8 readable, as in a report."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
