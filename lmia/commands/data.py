"""`lmia data check`: the same pictures within a role and across roles, before anything is audited."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmia import overlap, specs
from lmia.commands import Parser
from lmia.errors import LmiaError, nearest
from lmia.evidence.duplicates import RADIUS, Rows, as_hashes, groups, near_hashes, repeated, same
from lmia.overlap import Pictures
from lmia.report.aside import write_aside
from lmia.report.visible import visible
from lmia.source import Pair, Rejected, Source

ABOUT = """\
Find the same pictures within a role and across roles, before an audit.

  lmia data check --members in.csv --nonmembers out.csv
  lmia data check --members 'in/*.tar' --nonmembers 'out/*.tar' --write-clean clean
      also writes clean/members.parquet and so on, which lmia audit reads: pictures that lie in two roles are taken out
      of both, of repeated ones within a role the first stays; clean/removed.csv names what was left out

Same file (sha256), same url and pictures that look alike (phash) count as the same picture. Equal keys and equal
captions are reported as hints."""

ROLES = ("members", "nonmembers", "known_nonmembers", "pool", "suspects", "mine", "heldout")
SAME, HINTS = ("sha256", "url"), ("key", "caption")
_BATCH = 256


@dataclass(frozen=True)
class Found:
    """What a check found, over the rows of all roles one after the other.

    Args:
        role: `(n,)` number of each row's role, in the order given.
        group: `(n,)` rows of one group are one picture.
        within: rows of each role that repeat an earlier one of it, by rule.
        across: rows of the first of two roles that are also in the second, by rule.
        false_friends: pairs of looks that are near each other, though neither captions, files nor urls agree.
        placeholders: looks that stand on many rows with different captions, and on how many.
    """

    role: Rows
    group: Rows
    within: Mapping[str, Mapping[str, int]]
    across: Mapping[str, Mapping[str, int]]
    false_friends: int
    placeholders: Mapping[str, int]


def main(argv: Sequence[str]) -> int:
    """Run `lmia data` with the words behind it.

    Raises:
        LmiaError: a word is not known, a source cannot be read, or a folder cannot be written.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(ABOUT)
        return 0
    if argv[0] != "check":
        raise LmiaError(f"`lmia data` knows no '{argv[0]}'.", nearest(argv[0], ["check"]))
    parser = Parser("data check", ABOUT)
    for role in ROLES:
        parser.add_argument(f"--{role.replace('_', '-')}", metavar="SPEC", help="pairs, as in lmia audit")
    parser.add_argument("--radius", type=int, default=RADIUS, help=f"bits near copies may differ in (default {RADIUS})")
    parser.add_argument("--write-clean", type=Path, metavar="DIR", help="a new folder, for what is left")
    parser.add_argument("--out", type=Path, default=Path("lmia-check"), metavar="DIR", help="for check.json")
    args = parser.parse_args(argv[1:])
    given = {role: getattr(args, role) for role in ROLES if getattr(args, role) is not None}
    if not given:
        raise LmiaError("No data is given.", "Give --members SPEC and --nonmembers SPEC, or any role of an audit.")
    if not 0 <= args.radius <= 15:
        raise LmiaError(f"A radius of {args.radius} bits is out of range.", "Give --radius from 0 to 15.")
    if (to := args.write_clean) is not None and to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise LmiaError(f"The folder {args.write_clean} is not empty.", "Give --write-clean a new folder.")
    sources = {role: specs.source(spec) for role, spec in given.items()}
    roles = {role: overlap.read(source, role) for role, source in sources.items()}
    found = check(roles, args.radius)
    for line in lines(roles, found):
        print(visible(line))
    args.out.mkdir(parents=True, exist_ok=True)
    write_aside(args.out / "check.json", (json.dumps(plain(roles, found), indent=2) + "\n").encode())
    print(visible(f"Written: {args.out / 'check.json'}"))
    if args.write_clean is not None:
        left = write_clean(sources, roles, found, args.write_clean)
        print(visible(f"Written: {args.write_clean} ({', '.join(f'{role}: {n:,}' for role, n in left.items())})"))
    return 0


def check(roles: Mapping[str, Pictures], radius: int = RADIUS) -> Found:
    """Compare the pictures of all roles with each other."""
    role = np.repeat(np.arange(len(roles)), [len(one) for one in roles.values()])
    words = {rule: [w for one in roles.values() for w in one.words(rule)] for rule in (*SAME, *HINTS, "phash")}
    first = {rule: same(words[rule], words[rule]) for rule in words}
    rows = np.arange(len(role))
    joined = {rule: (rows[first[rule] >= 0], first[rule][first[rule] >= 0]) for rule in words}
    hashes = as_hashes(words["phash"])
    near = near_hashes(hashes, hashes, radius)
    alike = groups(len(role), [joined["phash"], (near.left, near.right)])
    names = {rule: first[rule] for rule in (*SAME, *HINTS)} | {"looks": alike}
    every = groups(len(role), [joined["sha256"], joined["url"], joined["phash"], (near.left, near.right)])
    within = {name: _within(names, role == i) for i, name in enumerate(roles)}
    across = {
        f"{a} in {b}": {rule: _shared(labels, role == i, role == j) for rule, labels in names.items()}
        for i, a in enumerate(roles) for j, b in enumerate(roles) if i < j
    }  # fmt: skip
    apart = near.left < near.right
    for rule in ("sha256", "url", "caption"):
        apart &= (first[rule][near.left] != first[rule][near.right]) | (first[rule][near.left] < 0)
    return Found(role, every, within, across, int(apart.sum()), _placeholders(words))


def _within(names: Mapping[str, Rows], mine: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> dict[str, int]:
    counts = {}
    for rule, labels in names.items():
        some = labels[mine & (labels >= 0)]
        counts[rule] = len(some) - len(np.unique(some))
    return counts


def _shared(labels: Rows, one: Rows, other: Rows) -> int:
    return int(np.isin(labels[one & (labels >= 0)], labels[other & (labels >= 0)]).sum())


def _placeholders(words: Mapping[str, Sequence[str]]) -> dict[str, int]:
    captions = Counter(phash for phash, _ in {*zip(words["phash"], words["caption"], strict=True)})
    return {phash: n for phash, n in repeated(words["phash"]).items() if captions[phash] >= 3}


def lines(roles: Mapping[str, Pictures], found: Found) -> list[str]:
    """Say in lines what was read and found."""
    said = []
    for role, one in roles.items():
        bad = ", ".join(f"{n:,} {reason}" for reason, n in one.rejected.items())
        said.append(f"{role}: {len(one):,} pairs; rejected: {bad or 'none'}; {_counts('repeated', found.within[role])}")
    said += [_counts(name, counts) for name, counts in found.across.items()]
    said.append(
        f"Look alike, but agree in nothing else (perhaps false alarms): {found.false_friends:,} pairs of looks."
    )
    said += [f"Placeholder or repeated image: phash {phash} on {n:,} pairs." for phash, n in found.placeholders.items()]
    return said


def _counts(what: str, counts: Mapping[str, int]) -> str:
    return f"{what}: " + (", ".join(f"{n:,} by {rule}" for rule, n in counts.items() if n) or "none")


def plain(roles: Mapping[str, Pictures], found: Found) -> dict[str, object]:
    """Return what check.json holds."""
    read = {role: {"pairs": len(one), "rejected": dict(one.rejected)} for role, one in roles.items()}
    return {
        "format": 1,
        "roles": read,
        "within": found.within,
        "across": found.across,
        "false_friends": found.false_friends,
        "placeholders": found.placeholders,
    }


def removed(found: Found) -> dict[int, str]:
    """Say which rows go, and why: pictures of several roles go from all of them, repeats but for the first."""
    first = np.unique(found.group, return_index=True)[1][found.group]  # groups are numbered from 0 without gaps
    mixed = np.bincount(found.group, found.role != found.role[first])[found.group] > 0
    why = {int(i): "in several roles" for i in np.flatnonzero(mixed)}
    return why | {int(i): "repeated" for i in np.flatnonzero(~mixed & (first != np.arange(len(first))))}


def write_clean(
    sources: Mapping[str, Source], roles: Mapping[str, Pictures], found: Found, folder: Path
) -> dict[str, int]:
    """Write what stays of each role as a parquet table of key, caption, url and image, which `lmia audit` reads.

    Returns:
        how many pairs stay, by role.

    Raises:
        LmiaError: a role is left empty, or the folder cannot be written.
    """
    gone, start = removed(found), 0
    stays: dict[str, dict[int, str]] = {}
    listed = [("role", "key", "why")]
    for role, one in roles.items():
        rows = range(start, start + len(one))
        start += len(one)
        stays[role] = {one.places[i]: one.keys[i] for i, row in enumerate(rows) if row not in gone}
        listed += [(role, one.keys[i], gone[row]) for i, row in enumerate(rows) if row in gone]
        if not stays[role]:
            raise LmiaError(f"Nothing is left of {role}: all its pictures are in other roles.", "Give other pictures.")
    text = io.StringIO()
    csv.writer(text).writerows(listed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for role, source in sources.items():
            _write(source, stays[role], folder / f"{role}.parquet")
    except OSError as error:
        raise LmiaError(f"'{folder}' cannot be written: {error.strerror or error}.", "Give another folder.") from error
    write_aside(folder / "removed.csv", text.getvalue().encode())
    return {role: len(places) for role, places in stays.items()}


def _write(source: Source, stays: Mapping[int, str], path: Path) -> None:
    """Write the records at these places of a source under these keys, whole or not at all."""
    schema = pa.schema({"key": pa.string(), "caption": pa.string(), "url": pa.string(), "image": pa.binary()})
    part = path.with_name(f".{path.name}.part")
    try:
        with pq.ParquetWriter(part, schema) as out:
            rows: list[dict[str, object]] = []
            for place, record in enumerate(record for shard in source.shards() for record in source.read(shard)):
                if isinstance(record, Rejected) or place not in stays:
                    continue
                caption, url, image = record.caption, record.url, _bytes(record)
                rows.append({"key": stays[place], "caption": caption, "url": url, "image": image})
                if len(rows) == _BATCH:
                    out.write_table(pa.Table.from_pylist(rows, schema))
                    rows = []
            out.write_table(pa.Table.from_pylist(rows, schema))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _bytes(pair: Pair) -> bytes:
    if isinstance(pair.image, bytes):
        return pair.image
    out = io.BytesIO()
    pair.image.save(out, format="PNG")
    return out.getvalue()
