"""Who plays which part: members, non-members, suspects, known non-members (fit and calibration), pool.

Roles are cut once per audit, by seed and by duplicate group, whichever attacks ride along; then checked for overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.account import Records, counted, parted, unlisted
from lmia.clusters import clustered, copies_of
from lmia.columns import times, with_columns
from lmia.data import AuditData, Shard, shards_of
from lmia.errors import LmiaError
from lmia.evidence.duplicates import Copies
from lmia.evidence.sides import one_each
from lmia.keys import unique_keys
from lmia.report.model import RoleCount
from lmia.source import Rejected, Source, drawn
from lmia.store import Store

Rows = NDArray[np.int64]

AUDITED = ("members", "nonmembers", "suspects")
KNOWN_SHARE, POOL_SHARE, CALIBRATION_SHARE = 0.3, 0.2, 1 / 3
"""Shares cut from given roles: known non-members from `nonmembers`; the pool from both sides; calibration from known."""
PLACEHOLDER = 10
"""Pairs of one look under several captions, from which on a report warns of them."""


@dataclass(frozen=True)
class Roles:
    """The rows of an audit by part.

    Args:
        shards: every shard in use.
        rows: one row a usable pair: `key`, `caption`, its `lmia.picture.Facts` but `pixels` (`lmia.gather.with_pixels` adds
            them), `shard` (position in `shards`), `row`.
        parts: row numbers of `members`, `nonmembers`, `suspects`, `fit`, `calibration`, `pool`.
        groups: `(rows,)` group of each row; rows of one group are the same picture or pair, or of one named cluster.
        counts: what was read, rejected and used, by role.
        warnings: plain sentences a reader of the report must see.
        repeats: `(rows,)` how often training showed each member; None where that is not known. Of other rows it says nothing.
    """

    shards: Sequence[Shard]
    rows: pa.Table
    parts: Mapping[str, Rows]
    groups: NDArray[np.int64]
    counts: Sequence[RoleCount]
    warnings: Sequence[str]
    repeats: NDArray[np.int32] | None = None

    @cached_property
    def calibrating(self) -> Tensor:
        """Positions in `calibration` that p-values and thresholds rest on, `(k,)`: of a group one, as the others are no new draws."""
        mine = self.groups[self.parts["calibration"]]
        return one_each(torch.from_numpy(mine), len(mine))

    @property
    def sides(self) -> tuple[str, str]:
        """The two parts that an audit sets against each other."""
        return ("members", "nonmembers") if "members" in self.parts else ("suspects", "calibration")


def check_given(given: Mapping[str, Source]) -> None:
    """Check that the roles given make an audit.

    Raises:
        LmiaError: neither members with non-members nor suspects with known non-members are given, or all of them.

    Example:
        >>> check_given({})
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: No data is given.
        Give --members SPEC and --nonmembers SPEC, or --suspects SPEC and --known-nonmembers SPEC.
    """
    remedy = "Give --members SPEC and --nonmembers SPEC, or --suspects SPEC and --known-nonmembers SPEC."
    if not given:
        raise LmiaError("No data is given.", remedy)
    truth, suspects = {"members", "nonmembers"}, {"suspects", "known_nonmembers"}
    names = ", ".join(sorted(given))
    if "suspects" in given and truth & given.keys():
        raise LmiaError(f"Suspects cannot be audited beside pairs of known truth (given: {names}).", remedy)
    missing = (suspects if "suspects" in given else truth) - given.keys()
    if missing:
        raise LmiaError(f"{', '.join(sorted(missing))} missing (given: {names}).", remedy)


def plan(data: AuditData) -> dict[str, list[Shard]]:
    """List the shards of every role that was given, as far as a rank may know before anything is read."""
    return {role: shards_of(source, data.max_pixels) for role, source in data.given().items()}


def assign(data: AuditData, plan: Mapping[str, Sequence[Shard]], store: Store, seed: int) -> Roles:
    """Read the rows of every role from the store, cut what was not given, and check that the parts are disjoint.

    Args:
        data: the roles as given.
        plan: their shards, all of them in the store.
        store: where their rows are.
        seed: of every cut.

    Raises:
        LmiaError: a role has no usable pair, or parts overlap that must not.
    """
    shards = list({shard.key: shard for role in plan.values() for shard in role}.values())
    tables, rejected = _read(shards, store)
    rows = pa.concat_tables(tables)
    found, read = _found(data, plan, shards, rows, rejected)
    aside = unlisted(data.given(), read)  # before anything is missed: a manifest of other pairs leaves roles empty
    counts = {role: counted(role, one, read[role], len(found[role])) for role, one in data.given().items()}
    for role, count in counts.items():
        if not len(found[role]):
            raise LmiaError(
                f"No pair of {role} ({count.source}) can be used: {count.rejected or 'it is empty'}.",
                "Mend what these reasons name (pictures too large: --max-pixels), or give another SPEC.",
            )
    same = copies_of(rows)
    warnings = [*_check_overlap(found, same.groups, rows, data.allow_overlap), *_placeholders(same)]
    groups = clustered(same.groups, rows, data.cluster_by, data.columns)
    rows = with_columns(rows, data.slice_by, data.columns)
    repeats = times(rows["key"].to_pylist(), found.get("members"), data.sources["members"], data.repeated, data.columns)
    parts, notes = _cut(found, groups, seed, data.known_share)
    keys = unique_keys(rows["key"].to_pylist())
    parts |= {part: _by_key(parts[part], keys) for part in (*AUDITED, "calibration") if part in parts}
    told = [*parted(counts, found, parts, notes, AUDITED, rows), *aside]
    return Roles(shards, rows, parts, groups, told, warnings, repeats)


def _found(
    data: AuditData,
    plan: Mapping[str, Sequence[Shard]],
    shards: Sequence[Shard],
    rows: pa.Table,
    rejected: Sequence[Sequence[Rejected]],
) -> tuple[dict[str, Rows], dict[str, Records]]:
    """Find the rows that each role takes, and keep what was read for it."""
    lengths = np.bincount(rows["shard"].to_numpy(), minlength=len(shards))
    starts = np.cumsum([0, *lengths])
    place = {shard.key: i for i, shard in enumerate(shards)}
    found, read = {}, {}
    named = rows["key"].to_pylist()
    for role, source in data.given().items():
        mine = [place[shard.key] for shard in plan[role]]
        every = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in mine] or [np.zeros(0, np.int64)])
        keys = [named[i] for i in every.tolist()]
        read[role] = Records([shards[i].key for i in mine], keys, [bad for i in mine for bad in rejected[i]])
        found[role] = every[list(drawn(source, keys))]
    return found, read


def _read(shards: Sequence[Shard], store: Store) -> tuple[list[pa.Table], list[Sequence[Rejected]]]:
    tables: list[pa.Table] = []
    rejected: list[Sequence[Rejected]] = []
    for i, shard in enumerate(shards):
        table, bad = store.pairs(shard.key)
        table = table.drop_columns(["pixels"]).append_column("shard", pa.array(np.full(len(table), i, np.int32)))
        tables.append(table.append_column("row", pa.array(np.arange(len(table), dtype=np.int64))))
        rejected.append(bad)
    return tables, rejected


def _placeholders(same: Copies) -> list[str]:
    """Warn of looks that stand under many captions."""
    return [
        f"{rows} pairs carry one picture under {captions} captions (phash {phash}): a placeholder, or an error page?"
        for phash, (rows, captions) in same.placeholders.items()
        if rows >= PLACEHOLDER
    ]


def split(rows: Rows, groups: NDArray[np.int64], share: float, seed: int) -> tuple[Rows, Rows]:
    """Cut rows in two by seed, never through a duplicate group: about `share` of them, and the rest.

    A group is left to the rest where the share would be a tenth too large with it, and further off than without.

    Raises:
        LmiaError: the groups are so large that not even half of the share can be cut off.

    Example:
        >>> first, rest = split(np.arange(10), np.arange(10), 0.3, seed=0)
        >>> len(first), len(rest), sorted([*first, *rest]) == list(range(10))
        (3, 7, True)
    """
    mine = groups[rows]
    names, sizes = np.unique(mine, return_counts=True)
    wanted, taken, chosen = share * len(rows), 0, []
    size_of = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    for name in np.random.default_rng(seed).permutation(names).tolist():
        if taken + 0.5 < wanted and taken + size_of[name] - wanted <= max(wanted - taken, wanted / 10 + 1):
            chosen.append(name)
            taken += size_of[name]
    if taken + 1 < wanted / 2:
        raise LmiaError(
            f"No {share:.0%} of {len(rows):,} pairs can be cut off: they hang together in {len(names):,} groups, the largest "
            f"of {int(sizes.max()):,}.",
            "Give that part by itself (--known-nonmembers, --pool), or name a column of smaller groups in --cluster-by.",
        )
    inside = np.isin(mine, chosen)
    return rows[inside], rows[~inside]


def _cut(
    found: Mapping[str, Rows], groups: NDArray[np.int64], seed: int, known_share: float
) -> tuple[dict[str, Rows], dict[str, list[str]]]:
    """Cut what was not given from what was: first those who are known, then the pool, then calibration from known."""
    parts = dict(found)
    notes: dict[str, list[str]] = {}
    if known_share and "known_members" not in parts and "members" in parts:
        parts["known_members"], parts["members"] = split(parts["members"], groups, known_share, seed + 3)
        notes["members"] = [_cut_off(parts["known_members"], parts["members"], "known members")]
    if "known_nonmembers" not in parts:
        parts["known_nonmembers"], parts["nonmembers"] = split(parts["nonmembers"], groups, KNOWN_SHARE, seed)
        notes["nonmembers"] = [_cut_off(parts["known_nonmembers"], parts["nonmembers"], "known nonmembers")]
    if "pool" not in parts and "suspects" not in parts:
        taken = []
        for side in ("members", "nonmembers"):
            cut, parts[side] = split(parts[side], groups, POOL_SHARE, seed + 1)
            taken.append(cut)
            notes.setdefault(side, []).append(_cut_off(cut, parts[side], "pool"))
        parts["pool"] = np.concatenate(taken)
    known = parts.pop("known_nonmembers")
    parts["calibration"], parts["fit"] = split(known, groups, CALIBRATION_SHARE, seed + 2)
    return parts, notes


def _cut_off(cut: Rows, rest: Rows, role: str) -> str:
    return f"{len(cut) / max(1, len(cut) + len(rest)):.0%} cut off by seed as {role}"


def _by_key(some: Rows, keys: Sequence[str]) -> Rows:
    """Put judged rows into the order of scores.parquet, so that whoever recomputes a number draws the same lots."""
    return np.array(sorted(some.tolist(), key=keys.__getitem__), np.int64)


def _check_overlap(found: Mapping[str, Rows], groups: NDArray[np.int64], rows: pa.Table, allow: bool) -> list[str]:
    """Refuse what would falsify the audit; what the user may allow becomes a warning. Cuts keep groups whole."""
    audited = [role for role in AUDITED if role in found]
    known = ("known_nonmembers", "known_members")
    fatal = [("members", "nonmembers"), known, *((role, one) for role in audited for one in known)]
    soft = [(role, "pool") for role in (*audited, *known)]
    warnings = []
    for one, other in (*fatal, *soft):
        if one not in found or other not in found:
            continue
        where = found[one][np.isin(groups[found[one]], groups[found[other]])]
        if not len(where):
            continue
        keys = ", ".join(repr(key) for key in rows["key"].take(pa.array(where[:3])).to_pylist())
        said = f"{len(where)} of {len(found[one])} pairs of {one} are also in {other}, such as {keys}"
        if (one, other) in fatal or not allow:
            raise LmiaError(f"{said}.", _WAY_OUT if (one, other) in fatal else _WAY_OUT + _ALLOW)
        warnings.append(f"{said}; --allow-overlap was given. Scores of these pairs are biased.")
    return warnings


_WAY_OUT = "Take these pairs out of one of the two: shared pairs alone can move a meaningless AUC from 0.5 to 0.86."
_ALLOW = " Or give --allow-overlap, which the report then says."
