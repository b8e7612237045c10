"""What a check and a cleaning tell a person, and what they write for a program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lmia.overlap.check import HINTS, RULES, Found
from lmia.overlap.clean import Left
from lmia.overlap.pictures import Pictures

WORDS = {
    "sha256": "same file",
    "url": "same address",
    "looks": "look alike",
    "embedding": "near by embedding",
    "key": "same key",
    "caption": "same caption",
}
"""What each rule says of two pictures."""
_LARGE = 10


def lines(roles: Mapping[str, Pictures], found: Found, cleaning: bool = False) -> list[str]:
    """Say in lines what was read and found, and what to do about it."""
    said = []
    for role, one in roles.items():
        bad = ", ".join(f"{n:,} {reason}" for reason, n in one.rejected.items())
        parts = [f"{len(one):,} pairs", f"{sum(one.rejected.values()):,} rejected" + (f" ({bad})" if bad else "")]
        parts += [f"{one.left_out:,} not drawn"] if one.left_out else []
        said.append(f"{role}: {one.records:,} records = {' + '.join(parts)}.")
    for role, one in roles.items():
        said.append(f"Repeated within {role}: {_counts(found.within[role], len(one))}.")
    for name, counts in found.across.items():
        said.append(
            f"Of {name.replace(' in ', ' also in ')}: {_counts(counts, len(roles[name.partition(' in ')[0]]))}."
        )
    return [*said, *_doubts(found), *_advice(found, cleaning)]


def _counts(counts: Mapping[str, int], n: int) -> str:
    rules = ", ".join(f"{WORDS[rule]} {counts[rule]:,}" for rule in RULES if counts.get(rule))
    hints = ", ".join(f"{WORDS[rule]} {counts[rule]:,}" for rule in HINTS if counts[rule])
    found = f"{counts['any']:,} of {n:,} ({rules})" if counts["any"] else "none"
    return found + (f"; hints: {hints}" if hints else "")


def _doubts(found: Found) -> list[str]:
    """Say what may be wrong with what was found."""
    said = []
    if found.false_friends:
        seconded = "" if found.seconded is None else f" The model finds {found.seconded:,} of them near as well."
        said.append(
            f"Pairs of looks that are near, without caption, file or address in common: {found.false_friends:,}. Copies "
            f"under another caption, or mere chance: see those by `looks` in copies.csv.{seconded}"
        )
    for phash, (rows, captions) in found.placeholders.items():
        said.append(
            f"One look (phash {phash}) stands under {captions:,} different captions, in {rows:,} pairs: a placeholder "
            "such as 'image not found', a logo, a blank page?"
        )
    if (largest := int(np.bincount(found.group).max())) >= _LARGE:
        said.append(
            f"The largest group of copies holds {largest:,} pairs. If these are not one picture, the rules go too far here: "
            "lower --radius, or raise --threshold."
        )
    return said


def _advice(found: Found, cleaning: bool) -> list[str]:
    if not found.copies:
        return [
            "No picture was found twice. Crops and strong edits change both file and looks, and may still be there."
        ]
    shared = any(counts["any"] for counts in found.across.values())
    why = "What lies in two roles makes an audit of them wrong." if shared else "Repeated pairs count more than once."
    return [why if cleaning else f"{why} --write-clean DIR writes the roles without copies."]


def kept(left: Mapping[str, Left], folder: Path) -> list[str]:
    """Say what was written, and that nothing vanished."""
    said = []
    for role, one in left.items():
        parts = [f"{one.kept:,} kept", f"{one.removed:,} removed", f"{one.rejected:,} rejected"]
        parts += [f"{one.left_out:,} not drawn"] if one.left_out else []
        number = f" {one.renamed:,} keys stood there twice, and were numbered." if one.renamed else ""
        said.append(f"{folder / f'{role}.parquet'}: {one.records:,} records = {' + '.join(parts)}.{number}")
    return [*said, f"What was removed, by which rule, as a copy of what: {folder / 'removed.csv'}"]


def plain(roles: Mapping[str, Pictures], found: Found) -> dict[str, object]:
    """Return what check.json holds."""
    read = {
        role: {"pairs": len(one), "rejected": dict(one.rejected), "not_drawn": one.left_out}
        for role, one in roles.items()
    }
    return {
        "format": 2,
        "roles": read,
        "within": found.within,
        "across": found.across,
        "false_friends": found.false_friends,
        "false_friends_near_by_embedding": found.seconded,
        "placeholders": [
            {"phash": phash, "pairs": rows, "captions": captions}
            for phash, (rows, captions) in found.placeholders.items()
        ],
        "largest_group": int(np.bincount(found.group).max()),
        "copies": len(found.copies),
    }
