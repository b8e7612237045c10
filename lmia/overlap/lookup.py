"""Pictures looked up in an index: which of its rows is the same, by which rule, and which lies nearest by embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmia.errors import LmiaError
from lmia.evidence.duplicates import normal_caption, normal_url
from lmia.evidence.hashes import RADIUS, Hashes, as_hashes, near_hashes
from lmia.evidence.links import Rows
from lmia.evidence.neighbours import Features, near_embeddings, nearest_embeddings
from lmia.overlap.index import Part, blocks_of, columns_of, embeddings_of, rows_of, words_of
from lmia.overlap.pictures import Pictures, hashes, spread

LISTED, NEAR, HINTS = ("sha256", "md5", "url"), ("phash", "embedding"), ("key", "caption")
"""Rules that find the picture itself, those that find something like it, and what may agree by chance."""


@dataclass(frozen=True)
class Listing:
    """What an index says of n pictures.

    Args:
        rows: `(n,)` by rule: a row of the index, counted over all its pieces, -1 where none is like the picture.
        cosines: `(n,)` to the nearest embedding of the index; None where none were compared.
        compared: the rules that some piece could be compared by.
        had: `(n,)` by rule: whether a picture has what the rule compares. Without an address none is looked up.
        starts: the number of each piece's first row.
        size: rows of the whole index.
    """

    rows: Mapping[str, Rows]
    cosines: NDArray[np.float64] | None
    compared: frozenset[str]
    had: Mapping[str, NDArray[np.bool_]]
    starts: Sequence[int]
    size: int

    def any(self, rules: Sequence[str]) -> NDArray[np.bool_]:
        """Say for each picture whether one of these rules found it, `(n,)`."""
        found = np.zeros(len(self.rows[rules[0]]), np.bool_)
        for rule in rules:
            found |= self.rows[rule] >= 0
        return found

    def answers(self) -> list[str]:
        """Return for each picture `listed`, `near copy listed`, `not listed`, or `not compared` where nothing was."""
        listed, near = self.any(LISTED), self.any(NEAR)
        could = np.zeros(len(listed), np.bool_)
        for rule in self.compared.intersection((*LISTED, *NEAR)):
            could |= self.had[rule]
        words = np.where(
            listed, "listed", np.where(near, "near copy listed", np.where(could, "not listed", "not compared"))
        )
        return [str(word) for word in words]

    def place(self, row: int) -> tuple[int, int]:
        """Return the piece that a row of the index lies in, and its number there."""
        piece = int(np.searchsorted(self.starts, row, side="right")) - 1
        return piece, row - self.starts[piece]


def look_up(mine: Pictures, parts: Sequence[Part], radius: int = RADIUS) -> Listing:
    """Compare pictures with the tables of an index, piece by piece: memory grows with `mine`, not with the index.

    Raises:
        LmiaError: a table cannot be read, or holds a hash that is none.
    """
    found = {rule: np.full(len(mine), -1, np.int64) for rule in (*LISTED, *NEAR, *HINTS)}
    ours = {rule: _ours(mine, rule) for rule in found}
    wanted = {rule: _rows_by_word(ours[rule]) for rule in (*LISTED, *HINTS)}
    mine_hashes = hashes(mine)
    compared: set[str] = set()
    starts, size = [], 0
    for part in parts:
        starts.append(size)
        columns = columns_of(part)
        compared |= columns.keys()
        for words in words_of(part.table, list(columns.values())) if columns else ():
            for rule, theirs in zip(columns, words, strict=True):
                if rule == "phash":
                    _looks(found[rule], mine, mine_hashes, theirs, part, size, radius)
                else:
                    _equal(found[rule], wanted[rule], rule, theirs, size)
            size += len(words[0])
        size += 0 if columns else rows_of(part)
    had = {rule: np.array([word != "" for word in words]) for rule, words in ours.items()}
    return Listing(found, None, frozenset(compared), had, starts, size)


def _ours(mine: Pictures, rule: str) -> list[str]:
    """Return what a rule compares: no digest of a picture without a file, and nothing yet of embeddings."""
    if rule == "embedding":
        return [""] * len(mine)
    words = mine.words(rule)
    if rule == "sha256":
        words = ["" if fact.format == "pixels" else word for fact, word in zip(mine.facts, words, strict=True)]
    return words


def _rows_by_word(words: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for i, word in enumerate(words):
        if word:
            rows.setdefault(word, []).append(i)
    return rows


def _equal(found: Rows, wanted: Mapping[str, Sequence[int]], rule: str, words: Sequence[str], start: int) -> None:
    for row, word in enumerate(words):
        for i in wanted.get(_normal(rule, word), ()):
            if found[i] < 0:
                found[i] = start + row


def _normal(rule: str, word: str) -> str:
    if rule in ("sha256", "md5"):
        return word.strip().lower()
    return normal_url(word) if rule == "url" else normal_caption(word) if rule == "caption" else word


def _looks(
    found: Rows, mine: Pictures, mine_hashes: Hashes, words: Sequence[str], part: Part, start: int, radius: int
) -> None:
    rows = [row for row, word in enumerate(words) if word.strip()]
    try:
        theirs = as_hashes([words[row].strip() for row in rows])
    except ValueError as error:
        raise LmiaError(
            f"'{part.table}': {error}", "Write each phash as 16 hexadecimal digits, or leave it empty."
        ) from error
    hits = spread(near_hashes(mine_hashes, theirs, radius), mine)
    take = (hits >= 0) & (found < 0)
    found[take] = np.array(rows, np.int64)[hits[take]] + start


def nearest(listing: Listing, parts: Sequence[Part], features: Features, threshold: float) -> Listing:
    """Add the rows that are near by embedding: each picture's nearest, where its cosine is at least `threshold`.

    Every row of the index is compared: rows * pictures * width multiplications, in blocks.

    Args:
        listing: as `look_up` found it.
        parts: the same pieces; those without embeddings are passed over.
        features: `(n, d)` of the pictures, by the model that made the index.
        threshold: above 0, at most 1.

    Raises:
        LmiaError: embeddings cannot be read, do not fit their table, or are of another width.
    """
    places = [i for i, part in enumerate(parts) if part.embeddings is not None]
    counts = [rows_of(parts[i]) for i in places]
    cosines, row = nearest_embeddings(features, blocks_of([parts[i] for i in places], features.shape[1]))
    before = np.cumsum([0, *counts])
    piece = np.maximum(np.searchsorted(before, row, side="right") - 1, 0)
    shift = np.array([listing.starts[i] for i in places], np.int64) - before[:-1]
    rows = np.where(cosines >= threshold - 1e-6, row + shift[np.minimum(piece, len(places) - 1)], -1)
    compared = listing.compared | ({"embedding"} if sum(counts) else set())
    had = {**listing.had, "embedding": np.ones(len(features), np.bool_)}
    return Listing({**listing.rows, "embedding": rows}, cosines, compared, had, listing.starts, listing.size)


def of_this_model(listing: Listing, parts: Sequence[Part], features: Features) -> NDArray[np.float64]:
    """Return the cosines between pictures that are listed as files and their very own row of the index, `(k,)`.

    Near 1 if the model at hand made the index; low numbers say that another one did, and that cosines mean nothing here.
    """
    found = []
    for i in range(len(features)):
        row = max(listing.rows["sha256"][i], listing.rows["md5"][i])
        piece, local = listing.place(int(row)) if row >= 0 else (0, -1)
        if local >= 0 and parts[piece].embeddings is not None:
            theirs = np.asarray(embeddings_of(parts[piece])[local : local + 1], np.float32)
            pair = np.zeros((1, 2), np.int64)
            value = near_embeddings(features[i : i + 1], theirs, 1e-9, pair).value
            found.append(float(value[0]) if len(value) else 0.0)
    return np.array(found)


def addresses(listing: Listing, parts: Sequence[Part], rows: Sequence[int]) -> dict[int, str]:
    """Return the addresses of rows of the index, where its tables have a column of them.

    Raises:
        LmiaError: a table cannot be read.
    """
    by_piece: dict[int, dict[int, int]] = {}
    for row in rows:
        piece, local = listing.place(row)
        by_piece.setdefault(piece, {})[local] = row
    found: dict[int, str] = {}
    for piece, wanted in by_piece.items():
        if (column := columns_of(parts[piece]).get("url")) is None:
            continue
        start = 0
        for (urls,) in words_of(parts[piece].table, [column]):
            found |= {wanted[i]: urls[i - start] for i in wanted if start <= i < start + len(urls)}
            start += len(urls)
    return found
