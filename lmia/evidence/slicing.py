"""Columns cut into slices: numbers at their quantiles, words by how often they stand there; no row is left out."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Value = float | str | None
"""An entry of a column; None, and a number that is NaN, are missing."""

MISSING = "missing"
_READS = ("caption", "width", "height", "bytes", "format", "url")


@dataclass(frozen=True)
class Cut:
    """A column cut into slices.

    Args:
        column: its name.
        names: of the slices, in the order of their numbers.
        codes: `(n,)` the number of each row's slice, each in use.
    """

    column: str
    names: tuple[str, ...]
    codes: Whole


def cut(column: str, values: Sequence[Value], bins: int = 4, words: int = 5) -> Cut:
    """Cut a column into slices that hold every row once.

    Numbers are cut at the quantiles of all rows; a value that many rows share is never split, so that there may be fewer
    slices. Of words the most frequent are slices of their own, the rest is one: `other`. What is missing is a slice too.

    Args:
        column: its name.
        values: n numbers, or n words; each may be None.
        bins: how many slices to aim for, of numbers.
        words: so many words get a slice of their own; one more where that leaves a single word over.

    Raises:
        ValueError: words stand among numbers, or bins or words are below 1.

    Example:
        >>> cut("copies", [1, 1, 1, 1, 2, 9, None]).names
        ('1', '2 to 9', 'missing')
        >>> found = cut("format", ["JPEG", "PNG", "JPEG", "GIF", "BMP"], words=1)
        >>> found.names, found.codes.tolist()
        (('JPEG', 'other (3 different)'), [0, 1, 0, 1, 1])
    """
    if bins < 1 or words < 1:
        raise ValueError(f"{column} cannot be cut into {bins} bins or {words} words")
    known = np.array([value is not None and value == value for value in values], bool)  # NaN is unlike itself
    given = [value for value, there in zip(values, known, strict=True) if there]
    texts = [value for value in given if isinstance(value, str)]
    if texts and len(texts) < len(given):
        raise ValueError(f"{column} holds {len(texts)} words among {len(given) - len(texts)} numbers")
    inner, names = _words(texts, words) if texts else _numbers(np.array(given, np.float64), bins)
    codes = np.full(len(known), len(names), np.int64)
    codes[known] = inner
    return Cut(column, (*names, *([] if known.all() else [MISSING])), codes)


def _numbers(values: NDArray[np.float64], bins: int) -> tuple[Whole, list[str]]:
    """Put each distinct value where the middle of its rows lies among all rows, in whole numbers."""
    found, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = (2 * counts.cumsum() - counts) * bins // (2 * max(1, len(values)))
    used, place = np.unique(middle, return_inverse=True)
    return place[at], [_range(found[place == i]) for i in range(len(used))]


def _range(values: NDArray[np.float64]) -> str:
    low, high = _said(float(values[0])), _said(float(values[-1]))
    return low if low == high else f"{low} to {high}"


def _said(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:.6g}"


def _words(values: Sequence[str], words: int) -> tuple[Whole, list[str]]:
    counted = Counter(values)
    ranked = sorted(counted, key=lambda word: (-counted[word], word))
    kept = ranked if len(ranked) <= words + 1 else ranked[:words]
    code = {word: i for i, word in enumerate(kept)}
    rest = len(ranked) - len(kept)
    codes = np.array([code.get(word, len(kept)) for word in values], np.int64)
    return codes, [*kept, *([f"other ({rest} different)"] if rest else [])]


def slice_columns(table: pa.Table, groups: NDArray[np.int64]) -> dict[str, list[Value]]:
    """Take from a table of pairs what its slices are cut by: caption, its script, picture, file, host, number of copies.

    The script, such as LATIN or CJK, is that of most letters; it tells languages apart as far as they are written apart.

    Args:
        table: one row a pair, with `caption` and `width`, `height`, `bytes`, `format`, `url` as `lmia.picture.Facts` has
            them; such as `lmia.roles.Roles.rows`.
        groups: `(n,)` groups of copies among its rows, not of other clusters: `copies` is how many there are. To count
            those that play another part in the audit too, take the columns of all rows, then the audited ones of each.

    Returns:
        seven columns of n entries; a host without a url is None, and so is the script of a caption without letters.

    Raises:
        ValueError: the table lacks a column, or there are not as many groups as rows.

    Example:
        >>> row = {"caption": "a red dot", "width": 4, "height": 3, "bytes": 90, "format": "PNG", "url": "https://a.org/1"}
        >>> found = slice_columns(pa.Table.from_pylist([row]), np.array([7]))
        >>> {name: column[0] for name, column in found.items()}
        {'words in the caption': 3, 'script': 'LATIN', 'pixels': 12, 'bytes': 90, 'format': 'PNG', 'host': 'a.org', 'copies': 1}
    """
    if missing := [name for name in _READS if name not in table.column_names]:
        raise ValueError(f"the table has no column {', '.join(missing)}")
    if groups.shape != (len(table),):
        raise ValueError(f"{groups.shape} groups for {len(table)} rows")
    captions, widths, heights, sizes, formats, urls = (table[name].to_pylist() for name in _READS)
    _, at, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return {
        "words in the caption": [None if caption is None else len(caption.split()) for caption in captions],
        "script": [_script(caption or "") for caption in captions],
        "pixels": [width * height if width and height else None for width, height in zip(widths, heights, strict=True)],
        "bytes": sizes,
        "format": [word or None for word in formats],
        "host": [_host(url) for url in urls],
        "copies": counts[at].tolist(),
    }


def _script(caption: str) -> str | None:
    """Name the script of most letters, by the first word of their Unicode names; of equals the first there."""
    if caption.isascii():
        return "LATIN" if any(map(str.isalpha, caption)) else None
    counted = Counter(_letter(sign) for sign in caption if sign.isalpha())
    return counted.most_common(1)[0][0] if counted else None


@cache
def _letter(sign: str) -> str:
    return unicodedata.name(sign, "UNKNOWN").split()[0]


def _host(url: str | None) -> str | None:
    if not url:
        return None
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:  # such as an IPv6 address that does not close
        return "no host"
