"""Pictures read once, without any model, and where the same ones lie in several roles."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import Progress

from lmia.errors import LmiaError
from lmia.evidence.duplicates import RADIUS, Links, Rows, as_hashes, near_hashes, normal_caption, normal_url, same
from lmia.picture import MAX_PIXELS, Facts, open_pair
from lmia.settings import describe
from lmia.source import Rejected, Sample, Source


@dataclass(frozen=True)
class Pictures:
    """The usable pairs of a source, n of them, and what was not usable.

    Args:
        places: n positions of the pairs among all records of the source, as it is read.
        keys: n keys.
        captions: n captions.
        facts: n facts of the image files.
        rejected: records by reason.
    """

    places: Sequence[int]
    keys: Sequence[str]
    captions: Sequence[str]
    facts: Sequence[Facts]
    rejected: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.keys)

    def words(self, rule: str) -> list[str]:
        """Return what a rule compares, n words; an empty word is like nothing."""
        if rule == "key":
            return list(self.keys)
        if rule == "caption":
            return [normal_caption(caption) for caption in self.captions]
        if rule == "url":
            return [normal_url(fact.url) for fact in self.facts]
        return [fact.sha256 if rule == "sha256" else fact.phash for fact in self.facts]


def read(source: Source, role: str, max_pixels: int = MAX_PIXELS) -> Pictures:
    """Read every pair of a source once, with a bar of shards where a person looks on.

    Raises:
        LmiaError: the source cannot be read, or no pair of it can be used.
    """
    places, keys, captions, facts = [], [], [], []
    place = 0
    rejected: Counter[str] = Counter()
    console = Console(file=sys.stderr)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for shard in bar.track(source.shards(), description=f"Reading {role}"):
            for record in source.read(shard):
                opened = record if isinstance(record, Rejected) else open_pair(record, max_pixels)
                if isinstance(record, Rejected):
                    rejected[record.reason] += 1
                elif isinstance(opened, Rejected):
                    rejected[opened.reason] += 1
                else:
                    places.append(place)
                    keys.append(record.key.encode("utf-8", "backslashreplace").decode("utf-8"))
                    captions.append(record.caption)
                    facts.append(opened[1])
                place += 1
    rows = source.draw(keys) if isinstance(source, Sample) else range(len(keys))
    if not keys:
        raise LmiaError(
            f"No pair of {role} ({describe(source)}) can be used: {dict(rejected) or 'it is empty'}.",
            "Mend what these reasons name, or give another SPEC.",
        )
    return Pictures(
        [places[i] for i in rows],
        [keys[i] for i in rows],
        [captions[i] for i in rows],
        [facts[i] for i in rows],
        dict(rejected),
    )


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
