"""Pictures read once, without any model, and where the same ones lie in two collections."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5

import numpy as np
from rich.console import Console
from rich.progress import Progress

from lmia.errors import LmiaError
from lmia.evidence.duplicates import normal_caption, normal_url, same
from lmia.evidence.hashes import RADIUS, as_hashes, near_hashes
from lmia.evidence.links import Links, Rows
from lmia.picture import MAX_PIXELS, Facts, open_pair
from lmia.records import records
from lmia.settings import describe
from lmia.source import Pair, Rejected, Source, drawn


@dataclass(frozen=True)
class Pictures:
    """The usable pairs of a source, n of them, and what was not usable.

    Args:
        places: n positions of the pairs among all records of the source, as it is read.
        keys: n keys.
        captions: n captions.
        facts: n facts of the image files.
        rejected: records by reason.
        left_out: usable pairs that a sample did not draw.
        md5: n digests of the files, empty where there is no file; none at all unless they were asked for.
    """

    places: Sequence[int]
    keys: Sequence[str]
    captions: Sequence[str]
    facts: Sequence[Facts]
    rejected: Mapping[str, int]
    left_out: int = 0
    md5: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def records(self) -> int:
        """How many records were read: pairs, rejected ones, and those that a sample left out."""
        return len(self) + sum(self.rejected.values()) + self.left_out

    def words(self, rule: str) -> list[str]:
        """Return what a rule compares, n words; an empty word is like nothing."""
        if rule == "key":
            return list(self.keys)
        if rule == "caption":
            return [normal_caption(caption) for caption in self.captions]
        if rule == "url":
            return [normal_url(fact.url) for fact in self.facts]
        if rule == "md5":
            return list(self.md5) or [""] * len(self)
        return [fact.sha256 if rule == "sha256" else fact.phash for fact in self.facts]


def read(source: Source, role: str, max_pixels: int = MAX_PIXELS, digests: bool = False) -> Pictures:
    """Read every pair of a source once, with a bar of shards where a person looks on.

    Args:
        source: what to read.
        role: what to call it where it fails.
        max_pixels: pictures that claim more are rejected.
        digests: also take the md5 of each file, which some indices publish and facts do not keep.

    Raises:
        LmiaError: the source cannot be read, or no pair of it can be used.
    """
    places, keys, captions, facts, md5s = [], [], [], [], []
    place = 0
    rejected: Counter[str] = Counter()
    console = Console(file=sys.stderr)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for shard in bar.track(source.shards(), description=f"Reading {role}"):
            for record in records(source, shard):
                opened = record if isinstance(record, Rejected) else open_pair(record, max_pixels)
                if isinstance(record, Rejected):
                    rejected[record.reason] += 1
                elif isinstance(opened, Rejected):
                    rejected[opened.reason] += 1
                else:
                    places.append(place)
                    keys.append(unicode(record.key))
                    captions.append(record.caption)
                    facts.append(opened[1])
                    md5s.append(_md5(record) if digests else "")
                place += 1
    if not keys:
        raise LmiaError(
            f"No pair of {role} ({describe(source)}) can be used: {dict(rejected) or 'it is empty'}.",
            "Mend what these reasons name, or give another SPEC.",
        )
    rows = drawn(source, keys)
    return Pictures(
        [places[i] for i in rows],
        [keys[i] for i in rows],
        [captions[i] for i in rows],
        [facts[i] for i in rows],
        dict(rejected),
        len(keys) - len(rows),
        [md5s[i] for i in rows] if digests else (),
    )


def unicode(text: str) -> str:
    r"""Spell out what UTF-8 cannot hold: lone surrogates, as from names of files that are no text.

    Example:
        >>> unicode("odd\udc80")
        'odd\\udc80'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _md5(pair: Pair) -> str:
    return md5(pair.image, usedforsecurity=False).hexdigest() if isinstance(pair.image, bytes) else ""


def exact(one: Pictures, other: Pictures, rule: str) -> Rows:
    """Return for each row of `one` the first row of `other` that is the same by a rule, else -1; `(n,)`."""
    return same(one.words(rule), other.words(rule))


def near(one: Pictures, other: Pictures, radius: int = RADIUS) -> Rows:
    """Return for each row of `one` a row of `other` that looks like it, else -1; `(n,)`."""
    return spread(near_hashes(hashes(one), hashes(other), radius), one)


def hashes(pictures: Pictures) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return `(n,)` perceptual hashes."""
    return as_hashes(pictures.words("phash"))


def spread(links: Links, one: Pictures) -> Rows:
    """Hand what was found for the first row of each hash to all rows of that hash: the nearest, `(n,)`, -1 for none."""
    _, first, group = np.unique(hashes(one), return_index=True, return_inverse=True)
    best = np.full(len(one), -1, np.int64)
    for i in np.argsort(-links.value, kind="stable"):  # the nearest last, so that it stays
        best[links.left[i]] = links.right[i]
    return best[first][group]
