"""A finished audit read back from its folder: report.json, and scores.parquet attack by attack."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lmia.errors import LmiaError
from lmia.evidence.duplicates import numbered
from lmia.report.archive import NAME, read_report
from lmia.report.model import AuditReport
from lmia.report.scores import COLUMNS, TARGET, WORDS
from lmia.report.scores import NAME as SCORES

FOLDS = 128
"""No audit has more: folds are written as int8, and every one takes a mask of all rows."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Words = NDArray[np.object_]


@dataclass(frozen=True)
class Rows:
    """One attack's rows of scores.parquet, by role and key; what the file leaves empty is NaN.

    Args:
        key: `(n,)` of the pairs.
        role: `(n,)` of `members`, `nonmembers`, `suspects`, `calibration`.
        score: `(n,)`, higher = more likely a member.
        rank: `(n,)` among the audited rows.
        p: `(n,)` conformal p-values.
        q: `(n,)` Benjamini-Hochberg q-values of suspects.
        fold: `(n,)` where the attack was cross-fitted.
        group: `(n,)` the first key of the duplicates that a pair belongs to; None where it has none.
        stratum: `(n,)` of the blind score.
        repeats: `(n,)` how often a member was shown in training, where that is known.
        cosine: `(n,)` of the target's features; of the models beside it there are none.
    """

    key: Words
    role: Words
    score: Floats
    rank: Floats
    p: Floats
    q: Floats
    fold: Floats
    group: Words
    stratum: Floats
    repeats: Floats
    cosine: Floats

    def __len__(self) -> int:
        return len(self.key)

    def only(self, where: Mask | NDArray[np.int64]) -> Rows:
        """Return the rows at `where`."""
        return Rows(*(getattr(self, one.name)[where] for one in fields(self)))

    def groups(self) -> NDArray[np.int64] | None:
        """Number the groups of duplicates, `(n,)`; None where every pair is its own."""
        found = numbered([group or key for group, key in zip(self.group, self.key, strict=True)])
        return found if len(found) and int(found.max()) + 1 < len(found) else None

    def folds(self) -> list[Mask]:
        """Return the rows of each fold; all of them where nothing was cross-fitted."""
        return [np.isnan(self.fold) if np.isnan(fold) else self.fold == fold for fold in np.unique(self.fold)]

    def names(self, where: Mask) -> tuple[str, ...]:
        """Name the rows at `where`: role and key."""
        return tuple(f"{role} {key}" for role, key in zip(self.role[where], self.key[where], strict=True))


@dataclass(frozen=True)
class Run:
    """The folder of a finished audit.

    Args:
        folder: where it is.
        report: its report.json.
        attacks: the target's rows of its scores.parquet by attack.
        besides: those of the models beside it, by model and attack.
        sha256: of scores.parquet as it is now.
    """

    folder: Path
    report: AuditReport
    attacks: Mapping[str, Rows]
    sha256: str
    besides: Mapping[tuple[str, str], Rows] = field(default_factory=dict)

    def rows(self, attack: str) -> Rows:
        """Return an attack's rows, to compare them with another run's.

        Raises:
            LmiaError: it did not run, or a score is no finite number.
        """
        if attack not in self.attacks:
            raise LmiaError(
                f"'{self.folder}' has no attack '{attack}' that ran.",
                f"It has {', '.join(self.attacks) or 'none'}; ask for one that all the runs have.",
            )
        rows = self.attacks[attack]
        if odd := rows.names(~np.isfinite(rows.score)):
            raise LmiaError(
                f"Scores of '{attack}' in '{self.folder}' are no finite numbers: {len(odd):,}, that of '{odd[0]}' first.",
                f"No audit writes such; `lmia verify {self.folder}` names what was changed.",
            )
        return rows


def read_run(folder: Path) -> Run:
    """Read report.json and scores.parquet of a finished audit.

    Raises:
        LmiaError: one is missing, or is not what an audit writes.

    Example:
        >>> read_run(Path("nowhere"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 'nowhere/report.json' cannot be read: ...
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    report, path = read_report(folder / NAME), folder / SCORES
    try:
        data = path.read_bytes()
        table = pq.read_table(io.BytesIO(data))
        for name in {"repeats", "cosine"} - {*table.column_names}:  # of an audit from before these were kept
            table = table.append_column(name, pa.nulls(len(table), pa.float64()))
        found = {name: table[name].cast(pa.string() if name in WORDS else pa.float64()) for name in COLUMNS}
        if empty := [name for name in WORDS if name != "group" and found[name].null_count]:
            raise ValueError(f"rows without {empty[0]}")
        columns = {name: column.to_numpy() for name, column in found.items()}
        if not (np.isnan(columns["fold"]) | np.isin(columns["fold"], range(FOLDS))).all():
            raise ValueError(f"a fold is no whole number below {FOLDS}")
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise LmiaError(
            f"'{path}' cannot be read: {error}.", "Give the folder of a finished audit, with report.json beside it."
        ) from error
    model, attack = columns.pop("model"), columns.pop("attack")
    every = Rows(**columns)
    parts = {
        one: _ordered(every.only((model == one[0]) & (attack == one[1])))
        for one in dict.fromkeys(zip(model, attack, strict=True))
    }
    attacks = {name: rows for (who, name), rows in parts.items() if who == TARGET}
    besides = {one: rows for one, rows in parts.items() if one[0] != TARGET}
    return Run(folder, report, attacks, hashlib.sha256(data).hexdigest(), besides)


def _ordered(rows: Rows) -> Rows:
    order = sorted(range(len(rows)), key=lambda i: (rows.role[i], rows.key[i], rows.fold[i]))
    return rows.only(np.array(order, np.int64))
