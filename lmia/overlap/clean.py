"""What is left of each role without its copies: a table that an audit reads, and a list of what was taken out."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmia.errors import LmiaError
from lmia.keys import unique_keys
from lmia.overlap.check import Found
from lmia.overlap.pictures import Pictures
from lmia.records import records
from lmia.report.aside import write_aside
from lmia.report.spreadsheet import as_csv
from lmia.source import Pair, Source

_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "key_in_source", "caption", "url")] + [("image", pa.binary())]
)
_ROWS, _BYTES = 1024, 64 << 20


@dataclass(frozen=True)
class _Row:
    """A pair that stays: its key as it is written, its key before, and its digest when the check saw it."""

    key: str
    before: str
    sha256: str


@dataclass(frozen=True)
class Left:
    """What became of the records of one role; `records` is the sum of the other four.

    Args:
        records: as the source has them.
        kept: pairs that were written.
        removed: pairs that are copies.
        rejected: records that cannot be used.
        left_out: pairs that a sample did not draw.
        renamed: kept pairs whose key stood there before, and got a number.
    """

    records: int
    kept: int
    removed: int
    rejected: int
    left_out: int
    renamed: int


def copies_table(roles: Mapping[str, Pictures], found: Found) -> bytes:
    """Return a CSV of every copy: which row, why it goes, by which rule, and of which row it is a copy.

    `record` is a row's position among all records of its role, from 0: keys may stand there twice.
    """
    names = [(role, key, place) for role, one in roles.items() for key, place in zip(one.keys, one.places, strict=True)]
    head = ("role", "key", "record", "why", "rule", "of_role", "of_key", "of_record", "detail")
    rows = [(*names[copy.row], copy.why, copy.rule, *names[copy.of], copy.detail) for copy in found.copies]
    return as_csv([head, *rows])


def write_clean(
    sources: Mapping[str, Source], roles: Mapping[str, Pictures], found: Found, folder: Path
) -> dict[str, Left]:
    """Write what stays of each role as a parquet table of key, caption, url and image, which `lmia audit` reads.

    A picture that lies in several roles is taken out of all of them; of those that one role repeats, the first stays. A
    key that comes twice is numbered (`a`, `a#2`); `key_in_source` keeps it as it was.

    Args:
        sources: where the pictures are read again.
        roles: the same pictures, as they were read for the check.
        found: what the check found.
        folder: where to; `removed.csv` beside the tables is `copies_table`.

    Raises:
        LmiaError: a role is left empty, the source has changed since, or the folder cannot be written.
    """
    gone, start = {copy.row for copy in found.copies}, 0
    stays: dict[str, dict[int, _Row]] = {}
    for role, one in roles.items():
        kept = [i for i in range(len(one)) if start + i not in gone]
        keys = unique_keys([one.keys[i] for i in kept])
        named = zip(keys, kept, strict=True)
        stays[role] = {one.places[i]: _Row(key, one.keys[i], one.facts[i].sha256) for key, i in named}
        start += len(one)
        if not kept:
            raise LmiaError(f"Nothing is left of {role}: all its pictures are in other roles.", "Give other pictures.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for role, source in sources.items():
            _write(source, role, stays[role], folder / f"{role}.parquet")
    except OSError as error:
        raise LmiaError(f"'{folder}' cannot be written: {error.strerror or error}.", "Give another folder.") from error
    write_aside(folder / "removed.csv", copies_table(roles, found))
    return {role: _left(one, list(stays[role].values())) for role, one in roles.items()}


def _left(one: Pictures, kept: Sequence[_Row]) -> Left:
    rejected = sum(one.rejected.values())
    renamed = sum(row.key != row.before for row in kept)
    return Left(one.records, len(kept), len(one) - len(kept), rejected, one.left_out, renamed)


def _write(source: Source, role: str, stays: Mapping[int, _Row], path: Path) -> None:
    """Write the records at these places of a source under their keys, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    written = 0
    try:
        with pq.ParquetWriter(part, _SCHEMA) as out:
            for rows in _batches(_rows(source, stays)):
                written += len(rows)
                out.write_table(pa.Table.from_pylist(rows, _SCHEMA))
        if written != len(stays):
            raise LmiaError(
                f"The pictures of {role} changed while they were read: {written:,} of {len(stays):,} are as they were.",
                "Run again when nothing writes them.",
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _rows(source: Source, stays: Mapping[int, _Row]) -> Iterator[dict[str, str | bytes | None]]:
    """Yield the records that stay; not those that are others than they were."""
    found = (record for shard in source.shards() for record in records(source, shard))
    for place, record in enumerate(found):
        if (row := stays.get(place)) is None or not isinstance(record, Pair):
            continue
        image, digest = _image(record)
        if digest == row.sha256:
            words = {"key": row.key, "key_in_source": row.before, "caption": record.caption, "url": record.url}
            yield {**words, "image": image}


def _batches(rows: Iterator[dict[str, str | bytes | None]]) -> Iterator[list[dict[str, str | bytes | None]]]:
    """Gather rows until they are many, or large: a column of parquet holds 2 GiB at once."""
    batch: list[dict[str, str | bytes | None]] = []
    held = 0
    for row in rows:
        batch.append(row)
        held += len(row["image"] or b"")
        if len(batch) == _ROWS or held > _BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _image(pair: Pair) -> tuple[bytes, str]:
    """Return a picture as a file, and the digest that facts have of it: of the file, or of pixels where there is none."""
    if isinstance(pair.image, bytes):
        return pair.image, sha256(pair.image).hexdigest()
    pixels, out = pair.image.convert("RGB"), io.BytesIO()
    pixels.save(out, format="PNG")  # as every model sees it; not every mode is one of PNG's
    return out.getvalue(), sha256(pixels.tobytes()).hexdigest()
