"""What can be told of a pair without the model: its caption, its file, its pixels' statistics, where it was published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import HashingVectorizer

KINDS = ("captions", "files", "pixels", "metadata", "all")
"""The kinds of baselines; `all` is the others, joined."""
_READS = {
    "captions": ("caption",),
    "files": ("width", "height", "bytes", "format", "tables"),
    "pixels": ("pixels",),
    "metadata": ("url",),
}
COLUMNS = tuple(name for names in _READS.values() for name in names)
"""All columns that traits are taken from."""

Floats = NDArray[np.float32]
_WORDS, _SIGNS, _HOSTS = 2**16, 2**15, 2**14
_BINS = 16
_COMMON = 200
"""So many formats, and so many JPEG tables, are told apart; the rarer ones are one category."""
_SCRIPTS = ((0x00C0, 0x024F), (0x0370, 0x03FF), (0x0400, 0x04FF), (0x0590, 0x06FF), (0x0900, 0x0DFF),
            (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0x1F300, 0x1FAFF))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Traits:
    """What a baseline may learn from.

    Args:
        kind: its name, such as one of `KINDS`.
        matrix: `(n, d)` float32; sparse goes to a logistic regression, dense to boosted trees. None where there is
            nothing to learn from.
        categories: columns of a dense matrix that hold numbers of categories, below 255, not amounts.
        reason: why there is nothing to learn from, else empty.
    """

    kind: str
    matrix: csr_matrix | Floats | None
    categories: tuple[int, ...] = ()
    reason: str = ""


def features_of(kind: str, table: pa.Table) -> Traits:
    """Take one kind of traits from a table of pairs. Nothing is fitted to labels, and texts are hashed, not counted.

    Args:
        kind: one of `KINDS`.
        table: one row a pair; `captions` reads the column `caption`, `files` reads `width`, `height`, `bytes`, `format`
            and `tables`, `pixels` reads `pixels`, `metadata` reads `url`: as `lmia.picture.Facts` has them.

    Returns:
        the traits; where a column is missing or says nothing, the reason instead.

    Raises:
        ValueError: there is no such kind.

    Example:
        >>> table = pa.table({"caption": ["a cat", "Two dogs."], "url": ["", ""]})
        >>> features_of("captions", table).matrix.shape[0], features_of("metadata", table).reason
        (2, 'no pair has a url')
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, not one of {KINDS}")
    if kind == "all":
        return _joined([_one(part, table) for part in KINDS[:-1]])
    return _one(kind, table)


def traits_of(table: pa.Table) -> tuple[Traits, ...]:
    """Take all kinds of traits, in the order of `KINDS`; what is joined is made once.

    Args:
        table: as for `features_of`.

    Example:
        >>> [one.reason for one in traits_of(pa.table({"caption": ["a cat"]}))][1:4]
        ['the table has no column width', 'the table has no column pixels', 'the table has no column url']
    """
    parts = [_one(kind, table) for kind in KINDS[:-1]]
    return (*parts, _joined(parts))


_Made = tuple[csr_matrix | Floats, tuple[int, ...]]


def _one(kind: str, table: pa.Table) -> Traits:
    missing = [name for name in _READS[kind] if name not in table.column_names]
    if missing:
        return Traits(kind, None, reason=f"the table has no column {missing[0]}")
    if not len(table):
        return Traits(kind, None, reason="the table has no rows")
    made = _MAKERS[kind](table)
    return Traits(kind, None, reason=made) if isinstance(made, str) else Traits(kind, made[0], made[1])


def _captions(table: pa.Table) -> _Made | str:
    captions = [caption or "" for caption in table["caption"].to_pylist()]
    words = HashingVectorizer(
        ngram_range=(1, 2), n_features=_WORDS, alternate_sign=False, dtype=np.float32, token_pattern=r"(?u)\w+|[^\w\s]"
    )
    signs = HashingVectorizer(
        analyzer="char_wb",
        ngram_range=(1, 3),
        n_features=_SIGNS,
        alternate_sign=False,
        dtype=np.float32,
        lowercase=False,
    )
    shape = np.array([_shape(caption) for caption in captions], np.float32)
    return hstack([words.transform(captions), signs.transform(captions), binned(shape)], format="csr"), ()


def _shape(caption: str) -> list[float]:
    """Measure a caption's length, capitals, digits and marks, and which scripts it is written in."""
    n, words = max(1, len(caption)), caption.split()
    capitals, digits = sum(map(str.isupper, caption)), sum(map(str.isdigit, caption))
    marks = n - sum(map(str.isalnum, caption)) - caption.count(" ")
    foreign = [ord(sign) for sign in caption if sign > "\x7f"] if not caption.isascii() else []
    scripts = [sum(low <= sign <= high for sign in foreign) / n for low, high in _SCRIPTS]
    return [len(caption), len(words), n / max(1, len(words)), capitals / n, digits / n, marks / n, *scripts]


def _files(table: pa.Table) -> _Made | str:
    width, height, size = (_column(table, name) for name in ("width", "height", "bytes"))
    area = np.maximum(1, width * height)
    amounts = [width, height, size, width / np.maximum(1, height), area, size / area]
    codes = [_coded(table[name].to_pylist()) for name in ("format", "tables")]
    return np.stack([*amounts, *codes], 1).astype(np.float32), (len(amounts), len(amounts) + 1)


def _column(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table[name].to_numpy(), np.float64)


def _coded(values: Sequence[str | None]) -> NDArray[np.float64]:
    """Number the commonest values, most frequent first."""
    counted = sorted(Counter(value or "" for value in values).items(), key=lambda item: (-item[1], item[0]))
    code = {value: float(i) for i, (value, _) in enumerate(counted[:_COMMON])}
    return np.array([code.get(value or "", float(_COMMON)) for value in values])


def _pixels(table: pa.Table) -> _Made | str:
    column = table["pixels"].combine_chunks()
    if column.null_count:
        return f"{column.null_count} pairs have no pixel statistics"
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(table), -1), np.float32), ()


def _metadata(table: pa.Table) -> _Made | str:
    urls = [url or "" for url in table["url"].to_pylist()]
    if not any(urls):
        return "no pair has a url"
    hashed = HashingVectorizer(analyzer=_places, n_features=_HOSTS, alternate_sign=False, dtype=np.float32)
    return hashed.transform(urls), ()


def _places(url: str) -> list[str]:
    """Name a url's host, and the domains above it."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # such as an IPv6 address that does not close
        host = "unreadable"
    parts = host.split(".")
    return [f"{len(parts) - i} {'.'.join(parts[i:])}" for i in range(len(parts))]


def binned(values: Floats) -> csr_matrix:
    """Cut columns at their quantiles, so that a linear model sees thresholds too; NaN has a bin of its own.

    Args:
        values: `(n, d)`, n at least 1.

    Returns:
        `(n, bins)` of 0 and 1, with one 1 for each column and row.

    Example:
        >>> binned(np.array([[640], [640], [640], [641]], np.float32)).toarray().argmax(1).tolist()
        [1, 1, 1, 2]
    """
    n, d = values.shape
    codes, width = np.empty((n, d), np.int64), 0
    for j, column in enumerate(values.T):
        known = column[~np.isnan(column)]
        edges = (
            np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1], method="lower")) if len(known) else known
        )
        # Counted from both sides, a value that is an edge is apart from those above and below it.
        code = np.searchsorted(edges, column, "left") + np.searchsorted(edges, column, "right")
        codes[:, j] = width + np.where(np.isnan(column), 2 * len(edges) + 1, code)
        width += 2 * len(edges) + 2
    starts = np.arange(n + 1) * d
    return csr_matrix((np.ones(n * d, np.float32), codes.ravel(), starts), shape=(n, width))


def _joined(parts: Sequence[Traits]) -> Traits:
    matrices = [_sparse(part) for part in parts if part.matrix is not None]
    if not matrices:
        return Traits("all", None, reason="; ".join(dict.fromkeys(part.reason for part in parts)))
    return Traits("all", hstack(matrices, format="csr", dtype=np.float32))


def _sparse(part: Traits) -> csr_matrix:
    if not isinstance(part.matrix, np.ndarray):
        return part.matrix
    amounts = [j for j in range(part.matrix.shape[1]) if j not in part.categories]
    pieces = [binned(part.matrix[:, amounts])]
    for j in part.categories:
        codes = part.matrix[:, j].astype(np.int64)
        ones = np.ones(len(codes), np.float32)
        pieces.append(csr_matrix((ones, codes, np.arange(len(codes) + 1)), shape=(len(codes), _COMMON + 1)))
    return hstack(pieces, format="csr")


_MAKERS: dict[str, Callable[[pa.Table], _Made | str]] = {
    "captions": _captions,
    "files": _files,
    "pixels": _pixels,
    "metadata": _metadata,
}
