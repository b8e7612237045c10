"""`lmia lookup`: are your pictures listed in a data set's published index?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from lmia import overlap, specs
from lmia.commands import Parser
from lmia.errors import LmiaError
from lmia.evidence.duplicates import RADIUS, as_hashes, normal_caption, normal_url
from lmia.evidence.duplicates import near_hashes as near
from lmia.report.visible import visible

ABOUT = """\
Look your pictures up in the list of a data set, before anything is inferred.

  lmia lookup --mine my-photos/ --index laion-part-0.parquet --index laion-part-1.parquet
  lmia lookup --mine my-photos/ --index clip-retrieval-folder/

An index is parquet or CSV with any of the columns url, key, sha256, caption (or text, title), phash; or a folder of
clip-retrieval, of which the metadata are read. Addresses are compared without scheme, www., default port, fragment and
closing slash; captions without case and punctuation."""

COLUMNS = {
    "url": ("url", "image_url"),
    "key": ("key", "uid", "id"),
    "sha256": ("sha256",),
    "phash": ("phash", "perceptual_hash"),
    "caption": ("caption", "text", "title"),
}
"""What columns of an index are usually called, in any case; of several, the first counts."""

LISTED, NEAR = ("sha256", "url", "key"), ("phash", "caption")
"""Rules that find the pair itself, and those that find something like it."""

LIMIT = (
    "Listed is not downloaded, and downloaded is not trained on: lists outlive pictures, and trainers filter. "
    "Not listed here says nothing about other copies of the picture, or other lists."
)


def main(argv: Sequence[str]) -> int:
    """Run `lmia lookup` with the words behind it.

    Raises:
        LmiaError: the pictures or an index cannot be read, or an index has no column that can be compared.
    """
    parser = Parser("lookup", ABOUT)
    parser.add_argument("--mine", required=True, metavar="SPEC", help="your pictures, as in lmia audit")
    parser.add_argument("--index", required=True, action="append", type=Path, metavar="FILE", help="repeatable")
    parser.add_argument("--radius", type=int, default=RADIUS, help=f"bits a near copy may differ in (default {RADIUS})")
    args = parser.parse_args(argv)
    if not 0 <= args.radius <= 15:
        raise LmiaError(f"A radius of {args.radius} bits is out of range.", "Give --radius from 0 to 15.")
    files = [file for index in args.index for file in files_of(index)]
    for file in files:
        columns_of(file)
    mine = overlap.read(specs.source(args.mine), "mine")
    found, compared = look_up(mine, files, args.radius)
    listed = np.any([found[rule] for rule in LISTED], axis=0)
    copies = np.any([found[rule] for rule in NEAR], axis=0) & ~listed
    print(f"Mine: {len(mine):,} pairs; rejected: {visible(str(dict(mine.rejected))) if mine.rejected else 'none'}.")
    print(f"Listed: {listed.sum():,}. Near-copy listed: {copies.sum():,}. Not listed: {(~listed & ~copies).sum():,}.")
    for rule, hits in found.items():
        print(
            f"  by {rule}: {int(hits.sum()):,}" if rule in compared else f"  by {rule}: not compared (no such column)"
        )
    for i in np.flatnonzero(listed | copies).tolist():
        rules = ", ".join(rule for rule, hits in found.items() if hits[i])
        print(visible(f"{'listed' if listed[i] else 'near copy'}: {mine.keys[i]} ({rules})"))
    print(LIMIT)
    return 0


def files_of(index: Path) -> list[Path]:
    """List the tables of an index: itself, or the metadata of a clip-retrieval folder.

    Example:
        >>> files_of(Path("nowhere.txt"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 'nowhere.txt' is no index.
        Give a .parquet or .csv file, or a folder with metadata/*.parquet.
    """
    found = sorted(index.glob("metadata/*.parquet")) if index.is_dir() else [index]
    if not found or not all(file.is_file() and file.suffix.lower() in (".parquet", ".csv") for file in found):
        raise LmiaError(f"'{index}' is no index.", "Give a .parquet or .csv file, or a folder with metadata/*.parquet.")
    return found


def columns_of(file: Path) -> dict[str, str]:
    """Return which column of an index each rule compares.

    Raises:
        LmiaError: the file cannot be read, or none of its columns can be compared.
    """
    try:
        parquet = file.suffix.lower() == ".parquet"
        names = pq.read_schema(file).names if parquet else pa.csv.open_csv(file).schema.names
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error
    lower = {name.lower(): name for name in reversed(names)}
    found = {rule: next((lower[name] for name in usual if name in lower), "") for rule, usual in COLUMNS.items()}
    if not any(found.values()):
        known = ", ".join(name for usual in COLUMNS.values() for name in usual)
        raise LmiaError(
            f"'{file}' has no column that can be compared: {', '.join(names)[:200] or 'none'}.",
            f"Name one of its columns {known}.",
        )
    return {rule: name for rule, name in found.items() if name}


def look_up(
    mine: overlap.Pictures, files: Sequence[Path], radius: int = RADIUS
) -> tuple[dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]], set[str]]:
    """Compare pictures with an index, batch by batch: memory grows with `mine`, not with the index.

    Returns:
        `(n,)` by rule: whether the index holds a row like it; and the rules that some file had a column for.

    Raises:
        LmiaError: a file cannot be read, or holds a hash that is none.
    """
    found = {rule: np.zeros(len(mine), np.bool_) for rule in (*LISTED, *NEAR)}
    rows: dict[str, dict[str, list[int]]] = {rule: {} for rule in found}
    for rule in found:
        for i, word in enumerate(mine.words(rule)):
            if word:
                rows[rule].setdefault(word, []).append(i)
    hashes = overlap.hashes(mine)
    compared: set[str] = set()
    for file in files:
        columns = columns_of(file)
        compared |= columns.keys()
        for batch in _batches(file, list(dict.fromkeys(columns.values()))):
            for rule, name in columns.items():
                words = {_normal(rule, str(word)) for word in batch.column(name).to_pylist() if word is not None}
                if rule == "phash":
                    links = near(hashes, _hashes(words, file), radius)
                    found[rule] |= overlap.spread(links, mine) >= 0
                for word in words & rows[rule].keys() if rule != "phash" else ():
                    found[rule][rows[rule][word]] = True
    return found, compared


def _normal(rule: str, word: str) -> str:
    if rule in ("sha256", "phash"):
        return word.strip().lower()
    return normal_url(word) if rule == "url" else normal_caption(word) if rule == "caption" else word


def _hashes(words: set[str], file: Path) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    try:
        return as_hashes([word for word in words if word])
    except ValueError as error:
        raise LmiaError(
            f"'{file}': {error}", "Write each phash as 16 hexadecimal digits, or leave it empty."
        ) from error


def _batches(file: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        if file.suffix.lower() == ".parquet":
            yield from pq.ParquetFile(file).iter_batches(65_536, columns=names)
        else:
            text = {name: pa.string() for name in names}  # so that keys of digits keep their zeros
            options = pa.csv.ConvertOptions(include_columns=names, column_types=text)
            yield from pa.csv.open_csv(file, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> LmiaError:
    return LmiaError(
        f"The index '{file}' cannot be read: {' '.join(str(error).split())[:200]}", "Give a whole parquet or CSV file."
    )
