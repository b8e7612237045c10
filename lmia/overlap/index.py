"""The published index of a data set: tables of addresses, digests and captions, and the embeddings that lie beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq

from lmia.errors import LmiaError
from lmia.evidence.neighbours import Features
from lmia.store import mapped

COLUMNS = {
    "sha256": ("sha256",),
    "md5": ("md5",),
    "url": ("url", "image_url"),
    "phash": ("phash", "perceptual_hash"),
    "key": ("key", "uid", "id"),
    "caption": ("caption", "text", "title"),
}
"""What columns of an index are usually called, in any case; of several, the first counts."""
_TOGETHER = 65_536


@dataclass(frozen=True)
class Part:
    """A piece of an index: a table and, where there are any, the embeddings of its rows.

    Args:
        table: parquet or CSV.
        embeddings: a `.npy` of `(m, d)`, row by row those of the table.
    """

    table: Path
    embeddings: Path | None = None


def parts_of(index: Path) -> list[Part]:
    """List the pieces of an index: a table; or the folder that clip-retrieval writes, metadata and embeddings by number.

    Raises:
        LmiaError: it is neither.

    Example:
        >>> parts_of(Path("nowhere.txt"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 'nowhere.txt' is no index.
        Give a .parquet or .csv file, or a folder with metadata/*.parquet.
    """
    found = [Part(index)]
    if index.is_dir():
        found = [Part(table, _beside(index, table)) for table in sorted(index.glob("metadata/*.parquet"))]
    if not found or not all(one.table.is_file() and one.table.suffix.lower() in (".parquet", ".csv") for one in found):
        raise LmiaError(f"'{index}' is no index.", "Give a .parquet or .csv file, or a folder with metadata/*.parquet.")
    return found


def _beside(index: Path, table: Path) -> Path | None:
    path = index / "img_emb" / f"img_emb_{table.stem.removeprefix('metadata_')}.npy"
    return path if path.is_file() else None


def columns_of(part: Part) -> dict[str, str]:
    """Return which column of a table each rule compares.

    Raises:
        LmiaError: the file cannot be read, or neither a column nor embeddings can be compared.
    """
    file = part.table
    try:
        parquet = file.suffix.lower() == ".parquet"
        names = pq.read_schema(file).names if parquet else pa.csv.open_csv(file).schema.names
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a name that is not UTF-8
        raise _unreadable(file, error) from error
    lower = {name.lower(): name for name in reversed(names)}
    found = {rule: next((lower[name] for name in usual if name in lower), "") for rule, usual in COLUMNS.items()}
    if twice := [name for name in found.values() if names.count(name) > 1]:
        raise LmiaError(f"'{file}' has two columns '{twice[0]}'.", "Rename one of them.")
    if not any(found.values()) and part.embeddings is None:
        known = ", ".join(name for usual in COLUMNS.values() for name in usual)
        raise LmiaError(
            f"'{file}' has no column that can be compared: {', '.join(names)[:200] or 'none'}.",
            f"Name one of its columns {known}.",
        )
    return {rule: name for rule, name in found.items() if name}


def words_of(file: Path, names: Sequence[str]) -> Iterator[list[list[str]]]:
    """Yield a table's columns in pieces, each as a list of words; an empty cell is an empty word.

    Raises:
        LmiaError: the file cannot be read.
    """
    try:
        for batch in _batches(file, list(names)):
            yield [_words(batch.column(name)) for name in names]
    except Exception as error:  # a stranger's table can break a reader in any way
        raise _unreadable(file, error) from error


def _batches(file: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    if file.suffix.lower() == ".parquet":
        with pq.ParquetFile(file) as table:
            yield from table.iter_batches(_TOGETHER, columns=names)
    else:
        text = {name: pa.string() for name in names}  # so that keys of digits keep their zeros
        options = pa.csv.ConvertOptions(include_columns=names, column_types=text)
        with pa.csv.open_csv(file, convert_options=options) as table:
            yield from table


def _words(column: pa.Array) -> list[str]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if any(kind(column.type) for kind in kinds):
        raw = pa.compute.cast(column, pa.large_binary()).to_pylist()  # a stranger's text need not be UTF-8
        return ["" if word is None else word.decode("utf-8", "replace") for word in raw]
    return ["" if word is None else str(word) for word in column.to_pylist()]


def rows_of(part: Part) -> int:
    """Count the rows of a piece that has embeddings, after a look at whether they fit its table.

    Raises:
        LmiaError: the embeddings cannot be read, are no numbers in rows, or are not as many as the table's rows.
    """
    array = embeddings_of(part)
    try:
        rows = int(pq.read_metadata(part.table).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(part.table, error) from error
    if len(array) != rows:
        raise LmiaError(
            f"'{part.embeddings}' has {len(array):,} rows, its table '{part.table}' has {rows:,}.",
            "Take both from one run of clip-retrieval.",
        )
    return rows


def embeddings_of(part: Part) -> Features:
    """Map the embeddings of a piece into memory, `(m, d)`, read-only.

    Raises:
        LmiaError: there are none, or they cannot be read.
    """
    try:
        array = mapped(Path(str(part.embeddings)))
    except Exception as error:  # a stranger's bytes can break a reader in any way
        raise _unreadable(Path(str(part.embeddings)), error) from error
    if array.ndim != 2 or array.dtype.kind != "f":
        raise _unreadable(Path(str(part.embeddings)), ValueError("it holds no rows of floating point numbers"))
    found: Features = array
    return found


def blocks_of(parts: Sequence[Part], width: int, rows: int = 8192) -> Iterator[Features]:
    """Yield the embeddings of an index in blocks, piece by piece.

    Args:
        parts: pieces that have embeddings.
        width: what the model at hand answers.
        rows: rows a block.

    Raises:
        LmiaError: embeddings cannot be read, are of another width, or hold what is no number, which would hide the rest.
    """
    for part in parts:
        array = embeddings_of(part)
        if array.shape[1] != width:
            raise LmiaError(
                f"'{part.embeddings}' holds embeddings of {array.shape[1]} numbers, the model answers {width}.",
                "Give --model the model that made this index.",
            )
        for start in range(0, len(array), rows):
            block = np.asarray(array[start : start + rows], np.float32)
            if not (finite := np.isfinite(block).all(axis=1)).all():
                odd = start + int(np.argmin(finite))
                raise _unreadable(Path(str(part.embeddings)), ValueError(f"its row {odd:,} holds what is no number"))
            yield block


def _unreadable(file: Path, error: Exception) -> LmiaError:
    return LmiaError(
        f"The index '{file}' cannot be read: {' '.join(str(error).split())[:200]}",
        "Give a whole parquet or CSV file; beside metadata, embeddings as clip-retrieval writes them.",
    )
