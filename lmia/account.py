"""The account of an audit's records: which role each counts for, and which are behind a manifest that does not list them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lmia.errors import LmiaError
from lmia.listed import UNLISTED, Listed
from lmia.report.model import RoleCount
from lmia.settings import describe, digest
from lmia.source import Rejected, Sample, Selection, Source, reader_of

LEFT = "unlisted"
"""The role of records that are behind a manifest and play no part."""


@dataclass(frozen=True)
class Records:
    """What was read for a role, before anything is chosen of it.

    Args:
        shards: the store keys of its shards.
        keys: of the usable pairs.
        rejected: the others.
    """

    shards: Sequence[str]
    keys: Sequence[str]
    rejected: Sequence[Rejected]


def counted(role: str, source: Source, records: Records, taken: int) -> RoleCount:
    """Count a role's records: of a side of a manifest, those that are on it.

    Args:
        role: its name.
        source: as given.
        records: as read.
        taken: how many usable pairs the source takes.
    """
    usable, rejected = len(records.keys), records.rejected
    if isinstance(source, Listed):
        usable = int(source.mine(records.keys).sum())
        mine = source.mine([bad.key for bad in rejected])
        rejected = [bad for bad, here in zip(rejected, mine, strict=True) if here]
    bad = Counter(one.reason for one in rejected)
    return RoleCount(role, describe(source), usable + len(rejected), dict(bad), {}, _note(source, taken, usable))


def _note(source: Source, taken: int, usable: int) -> str:
    if isinstance(source, Sample) and taken < source.n:
        return f"{taken} of the {source.n} asked for: the shards drawn hold no more usable pairs"
    return f"{usable - taken} usable pairs outside the sample" if usable > taken else ""


def unlisted(given: Mapping[str, Source], read: Mapping[str, Records]) -> list[RoleCount]:
    """Count what lies behind a manifest and is in no role, once it is sure that manifest and source fit each other.

    Args:
        given: the roles' sources.
        read: the records of each.

    Returns:
        a count for every manifest of which there are such records.

    Raises:
        LmiaError: the manifest lists keys that the source does not have, or the source has two pairs of one key.
    """
    behind: dict[tuple[object, ...], list[str]] = {}
    for role, source in given.items():
        if isinstance(source, Listed):
            behind.setdefault((str(source.manifest), *read[role].shards), []).append(role)
    found = []
    for roles in behind.values():
        sources = [source for role in roles if isinstance(source := given[role], Listed)]
        _check_fit(sources[0], read[roles[0]])
        count = _left(sources, read[roles[0]])
        found += [count] if count.records else []
    return found


def _left(sources: Sequence[Listed], records: Records) -> RoleCount:
    one, bad = sources[0], [bad.key for bad in records.rejected]
    out, gone = (~np.logical_or.reduce([source.mine(keys) for source in sources]) for keys in (records.keys, bad))
    nowhere = int((one.said(records.keys) == UNLISTED).sum() + (one.said(bad) == UNLISTED).sum())
    rejected = Counter(each.reason for each, here in zip(records.rejected, gone, strict=True) if here)
    n = int(out.sum()) + rejected.total()
    notes = [f"{nowhere:,} not in the manifest '{one.manifest}'"] if nowhere else []
    notes += [f"{n - nowhere:,} on a side of it that plays no part"] if n > nowhere else []
    return RoleCount(LEFT, describe(one.source), n, dict(rejected), {}, "; ".join(notes))


def _check_fit(source: Listed, records: Records) -> None:
    """Refuse a manifest of another source. Behind a sample many of its keys are not read; that is no mistake."""
    there = [*records.keys, *(bad.key for bad in records.rejected)]
    name = describe(reader_of(source))
    if not isinstance(source.source, Selection) and (lacking := source.missing(there)):
        raise LmiaError(
            f"{len(lacking):,} of {len(source.known):,} keys of the manifest '{source.manifest}' are not in {name}, such as "
            f"{', '.join(map(repr, lacking[:3]))}.",
            "Give --source all that the training drew from; to audit fewer pairs, a sample of it: SPEC?n=1000&seed=0.",
        )
    listed = (key for key, said in zip(records.keys, source.said(records.keys), strict=True) if said != UNLISTED)
    if twice := [key for key, n in Counter(listed).items() if n > 1]:
        raise LmiaError(
            f"{name} has several pairs of one key for {len(twice):,} keys of the manifest, such as '{twice[0]}'.",
            "Give each pair a key of its own, so that the manifest says which it means.",
        )


def parted(
    counts: Mapping[str, RoleCount],
    found: Mapping[str, NDArray[np.int64]],
    parts: Mapping[str, NDArray[np.int64]],
    notes: Mapping[str, Sequence[str]],
    audited: Sequence[str],
    pairs: pa.Table,
) -> list[RoleCount]:
    """Say of every role given which parts its pairs went to.

    Args:
        counts: of the roles, as `counted` makes them.
        found: rows of each role.
        parts: rows of each part that they were cut into.
        notes: how each role was cut.
        audited: the parts that are judged.
        pairs: every row's `key`, `caption` and `sha256`.
    """
    every = []
    for role, count in counts.items():
        went = {part: int(np.isin(found[role], rows).sum()) for part, rows in parts.items()}
        scored = {("audited" if part in audited else part): n for part, n in went.items() if n}
        note = "; ".join(filter(None, [count.note, *notes.get(role, [])]))
        content = content_of(pairs, parts[role]) if role in audited else ""
        every.append(replace(count, scored=scored, note=note, content=content))
    return every


def content_of(pairs: pa.Table, rows: NDArray[np.int64]) -> str:
    """Digest some pairs, whatever order they are in: so that nobody compares audits of other pairs under the same keys.

    Args:
        pairs: `key`, `caption` and `sha256`.
        rows: which of them.

    Example:
        >>> pairs = pa.table({"key": ["a", "b"], "caption": ["x", "y"], "sha256": ["0", "1"]})
        >>> content_of(pairs, np.array([0, 1])) == content_of(pairs, np.array([1, 0])) != content_of(pairs, np.array([0]))
        True
    """
    columns = [pairs[name].take(pa.array(rows)).to_pylist() for name in ("key", "caption", "sha256")]
    return digest(*map(list, sorted(zip(*columns, strict=True))))
