"""Which rows are the same picture or pair: by file, by address, by looks and caption; in near-linear time."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from lmia.evidence.hashes import RADIUS, as_hashes, is_hash, near_hashes
from lmia.evidence.links import Rows

_URL = re.compile(r"(?:[^:/?#]+:)?//([^/?#]+)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
"""Scheme, authority, path, query, fragment, as RFC 3986 takes them apart (appendix B)."""


@dataclass(frozen=True)
class Copies:
    """Which of n rows are one picture.

    Args:
        groups: `(n,)` group numbers from 0; rows of one group are the same picture or pair.
        placeholders: as `placeholders` returns it.
    """

    groups: Rows
    placeholders: Mapping[str, tuple[int, int]]


def copies(
    sha256: Sequence[str], urls: Sequence[str], phashes: Sequence[str], captions: Sequence[str], radius: int = RADIUS
) -> Copies:
    """Group rows that are the same file, have the same address, or look alike and say the same; chains of these count.

    To look alike is to have hashes that differ in at most `radius` bits. A picture under another caption is a copy by its
    file or address alone: near hashes without anything else that agrees are too often two pictures. An empty word, and a
    hash that is none, is like nothing.

    Args:
        sha256: n digests of the files.
        urls: n addresses, compared as `normal_url` leaves them.
        phashes: n perceptual hashes, 16 hexadecimal digits; other words are compared whole.
        captions: n captions, compared as `normal_caption` leaves them.
        radius: 0 to 15 bits of 64.

    Raises:
        ValueError: the radius is out of range, or the lengths differ.

    Example:
        >>> looks = ["00000000000000ff", "00000000000000fe", "00000000000000ff"]
        >>> copies(["a", "b", "c"], ["", "", ""], looks, ["A dog.", "a dog", "a cat"]).groups.tolist()
        [0, 0, 1]
    """
    if not len(sha256) == len(urls) == len(phashes) == len(captions):
        raise ValueError(f"{len(sha256)} files, {len(urls)} urls, {len(phashes)} hashes, {len(captions)} captions.")
    said = [normal_caption(caption) or caption.strip() for caption in captions]
    looks = [f"{phash} {words}" if phash and words else "" for phash, words in zip(phashes, said, strict=True)]
    links = []
    for words in (sha256, [normal_url(url) for url in urls], looks):
        first = same(words, words)
        links.append((np.flatnonzero(first >= 0), first[first >= 0]))
    links.append(_near_looks(phashes, said, radius))
    return Copies(groups(len(sha256), links), placeholders(phashes, said))


def _near_looks(phashes: Sequence[str], captions: Sequence[str], radius: int) -> tuple[Rows, Rows]:
    """Link rows of one caption whose hashes are near: the first row of each hash and caption."""
    caption = same(captions, captions)
    shared = np.bincount(caption[caption >= 0], minlength=len(captions)) > 1
    rows = np.array([i for i, one in enumerate(caption) if one >= 0 and shared[one] and is_hash(phashes[i])], np.int64)
    # What a caption is mixed into every bit changes no distance within it, and drives other captions apart.
    mixed = as_hashes([phashes[i] for i in rows]) ^ _mix(caption[rows])
    near = near_hashes(mixed, mixed, radius)
    left, right = rows[near.left], rows[near.right]
    both = (caption[left] == caption[right]) & (left < right)
    return left[both], right[both]


def _mix(numbers: Rows) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Spread numbers over 64 bits: the output function of SplitMix (Steele, Lea and Flood, 2014)."""
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def placeholders(phashes: Sequence[str], captions: Sequence[str], least: int = 3) -> dict[str, tuple[int, int]]:
    """Name the looks that stand under many captions: "image not found", a logo, a blank page.

    Args:
        phashes: n perceptual hashes; an empty word is like nothing.
        captions: n captions, as `normal_caption` leaves them.
        least: so many different captions make a picture suspicious.

    Returns:
        by hash, the number of its rows and of its captions; most rows first.

    Example:
        >>> placeholders(["x", "x", "x", "x", "y"], ["a", "b", "c", "c", "d"])
        {'x': (4, 3)}
    """
    rows = Counter(phash for phash in phashes if phash)
    under = Counter(phash for phash, _ in {*zip(phashes, captions, strict=True)})
    return {phash: (n, under[phash]) for phash, n in rows.most_common() if under[phash] >= least}


class _Spaces(dict[int, int | str]):
    """What to make of each character: a space for punctuation; asked once of each."""

    def __missing__(self, code: int) -> int | str:
        self[code] = " " if unicodedata.category(chr(code))[0] == "P" else code
        return self[code]


_SPACES = _Spaces()


def normal_caption(caption: str) -> str:
    r"""Reduce a caption to what it says: NFKC, no case, no punctuation, single spaces.

    Example:
        >>> normal_caption("  A Dog,\n on a BEACH! ")
        'a dog on a beach'
    """
    text = unicodedata.normalize("NFKC", caption).casefold()
    return " ".join(text.translate(_SPACES).split())


def normal_url(url: str) -> str:
    """Reduce an address: no scheme, user, leading `www.`, default port, fragment or closing slash; host in lower case.

    Path and query are kept as they are: case matters there, and a query may name the picture.

    Example:
        >>> normal_url("HTTPS://www.Example.org:443/a/B.jpg?w=1#top"), normal_url("http://example.org/")
        ('example.org/a/B.jpg?w=1', 'example.org')
    """
    found = _URL.fullmatch(url.strip())
    if found is None:
        return url.strip()
    host = found[1].rpartition("@")[2].lower()
    for port in (":80", ":443", ":"):
        host = host.removesuffix(port)
    return host.removeprefix("www.") + found[2].rstrip("/") + (f"?{found[3]}" if found[3] else "")


def same(words_a: Sequence[str], words_b: Sequence[str]) -> Rows:
    """Find for each word of the first set the first equal one in the second; the empty word equals nothing.

    Returns:
        `(n,)` row numbers in `words_b`; -1 where there is none.

    Example:
        >>> same(["x", "", "y"], ["y", "", "y"]).tolist()
        [-1, -1, 0]
    """
    first = dict(zip(reversed(words_b), range(len(words_b) - 1, -1, -1), strict=True))  # the first, written last, stays
    first.pop("", None)
    return np.array([first.get(word, -1) for word in words_a], np.int64)


def numbered(words: Sequence[str]) -> Rows:
    """Number words by which came first, `(n,)`: an array of the words would give each the room of the longest.

    Example:
        >>> numbered(["y", "x", "y"]).tolist()
        [0, 1, 0]
    """
    number = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return np.array([number[word] for word in words], np.int64)


def groups(n: int, links: Sequence[tuple[Rows, Rows]]) -> Rows:
    """Number the groups of rows that links join, directly or by way of others.

    Args:
        n: number of rows.
        links: pairs of `(m,)` row numbers, from one rule each.

    Returns:
        `(n,)` group numbers from 0.

    Example:
        >>> groups(4, [(np.array([0]), np.array([2]))]).tolist()
        [0, 1, 0, 2]
    """
    if n == 0:
        return np.zeros(0, np.int64)
    left = np.concatenate([np.zeros(0, np.int64), *(pair[0] for pair in links)])
    right = np.concatenate([np.zeros(0, np.int64), *(pair[1] for pair in links)])
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    numbers: Rows = connected_components(graph, directed=False)[1].astype(np.int64)
    return numbers
