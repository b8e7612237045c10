"""Inputs for the sources: tar shards, tables and image folders, with records that are known, or bytes that are not."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import os
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.contract import Broken, Case
from fuzz.mutations import TEXTS, mutated, mutated_tree, raw, text, value
from lmia import Pair, Rejected, Source
from lmia_folder import Folder
from lmia_table import Table
from lmia_webdataset import WebDataset

ABOUT = {"caption": "from json", "url": "https://host/a", "width": 3, "tags": [{"a": 1}]}


def every(source: Source, counted: bool = True) -> Iterator[Pair | Rejected]:
    """Read all shards, and hold what is counted, and a second reading, against the first."""
    for shard in source.shards():
        if source.fingerprint(shard) != source.fingerprint(shard):
            raise Broken("A fingerprint that changes by itself.")
        records = list(source.read(shard))
        if counted and source.count(shard) != len(records):
            raise Broken(f"{source.count(shard)} records counted, {len(records)} read.")
        yield from records


# tar shards


def tar(folder: Path, dice: Random) -> Case:
    """A tar with hostile members, of which every key is a record; or one whose bytes were changed."""
    n, path = dice.randrange(1, 6), folder / dice.choice(("00000.tar", "00000.tar", "a.tgz"))
    known = dice.random() < 0.4
    data = _tar(dice, n, hostile=known)
    if not known:
        data = mutated(data, dice, [_tar(Random(1), 3, hostile=False)])
    packed = gzip.compress(data, 1) if path.suffix == ".tgz" else data
    path.write_bytes(packed if known or dice.random() < 0.7 else mutated(packed, dice))
    return Case(lambda: every(WebDataset(str(path)), counted=known), n if known else None)


def _tar(dice: Random, n: int, hostile: bool) -> bytes:
    file = io.BytesIO()
    form = dice.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=file, mode="w", format=form) as out:
        for i in range(n):
            for ending, data in _members(dice, hostile):
                _add(out, f"{i:03d}.{ending}", data, dice, hostile)
    return file.getvalue()


def _members(dice: Random, hostile: bool) -> list[tuple[str, bytes]]:
    files = [("jpg", b"JPEG"), ("txt", b"a dot\n"), ("json", json.dumps(ABOUT).encode())]
    if not hostile:
        return files
    about = json.dumps(mutated_tree(ABOUT, dice)).encode()
    files = [("jpg", dice.randbytes(9)), ("txt", raw(text(dice))), ("json", about), ("png", b""), ("cls", b"1")]
    files = [(ending, mutated(data, dice) if dice.random() < 0.3 else data) for ending, data in files]
    return dice.sample(files, dice.randrange(1, 5))


def _add(out: tarfile.TarFile, name: str, data: bytes, dice: Random, hostile: bool) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    if hostile and dice.random() < 0.2:
        member.type = dice.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE))
        member.linkname, member.size, data = dice.choice(("/etc/hostname", "000.jpg", name, "x" * 200)), 0, b""
    if hostile and dice.random() < 0.2 and out.format == tarfile.PAX_FORMAT:
        member.pax_headers = {"comment": text(dice).replace("\0", ""), "mtime": dice.choice(("nan", "1", "-1"))}
    try:
        out.addfile(member, io.BytesIO(data))
    except (UnicodeError, ValueError):  # what a tar cannot say
        member.pax_headers, member.linkname = {}, member.linkname[:99]
        out.addfile(member, io.BytesIO(data))


# tables


def table(folder: Path, dice: Random) -> Case:
    """A table of which every row is a record, with hostile cells; or one whose bytes were changed."""
    kind = dice.choice(("csv", "tsv", "jsonl", "parquet", "csv.gz"))
    known, n = dice.random() < 0.4, dice.randrange(1, 8)
    rows = [_row(dice, i, hostile=known or dice.random() < 0.2) for i in range(n)]
    data = _table(kind, rows, dice, hostile=known)
    if not known:
        data = mutated(data, dice, [_table(kind, [_row(Random(i), i, False) for i in range(3)], Random(0), False)])
    packed = gzip.compress(data, 1) if kind.endswith("gz") else data
    path = folder / f"pairs.{kind}"
    path.write_bytes(packed if known or dice.random() < 0.7 else mutated(packed, dice))
    (folder / "a.jpg").write_bytes(b"JPEG")
    return Case(lambda: every(Table(str(path))), n if known else None)


def _row(dice: Random, i: int, hostile: bool) -> dict[str, object]:
    row: dict[str, object] = {"filepath": "a.jpg", "caption": f"a dog, {i}", "key": f"k{i}", "url": f"http://h/{i}"}
    if hostile:
        for name in dice.sample(list(row), dice.randrange(1, 4)):
            row[name] = value(dice)
    return row


def _table(kind: str, rows: list[dict[str, object]], dice: Random, hostile: bool) -> bytes:
    if kind == "parquet":
        return _parquet(rows, dice, hostile)
    if kind == "jsonl":
        return b"".join(raw(json.dumps(row, ensure_ascii=dice.random() < 0.5)) + b"\n" for row in rows)
    file = io.StringIO()
    writer = csv.writer(
        file, delimiter="\t" if kind == "tsv" else ",", lineterminator="\r\n"
    )  # or it quotes no lone \r
    writer.writerow(list(rows[0]))
    writer.writerows([str(cell)[:9000] for cell in row.values()] for row in rows)
    return raw(file.getvalue())


def _parquet(rows: list[dict[str, object]], dice: Random, hostile: bool) -> bytes:
    columns = {name: column_of([row[name] for row in rows]) for name in rows[0]}
    if hostile and dice.random() < 0.5:
        columns[dice.choice(list(columns))] = _odd(len(rows), dice)
    file = io.BytesIO()
    packing = dice.choice(("zstd", "snappy", "none"))
    pq.write_table(pa.table(columns), file, row_group_size=dice.choice((1, 3, 1000)), compression=packing)
    return file.getvalue()


def column_of(cells: list[object]) -> pa.Array:
    """Hold bytes that need not be UTF-8 in a column that says it is."""
    words = pa.array([raw(cell if isinstance(cell, str) else repr(cell)) for cell in cells], pa.binary())
    return pa.Array.from_buffers(pa.string(), len(words), words.buffers())


def _odd(n: int, dice: Random) -> pa.Array:
    """A column of another type than anybody would give."""
    far = dice.choice((2**62, -(2**62), 0, 10**15))
    kinds = (
        lambda: pa.array([far] * n, pa.timestamp(dice.choice(("ms", "us", "ns")))),
        lambda: pa.array([far] * n, pa.timestamp("us", tz=dice.choice(("UTC", "Mars/Phobos", "+99:99")))),
        lambda: pa.array([far] * n, pa.duration(dice.choice(("s", "us", "ns")))),
        lambda: pa.array([min(abs(far), 2**31 - 1)] * n, pa.date32()),
        lambda: pa.array([[("a", 1), ("a", 2)]] * n, pa.map_(pa.string(), pa.int64())),
        lambda: pa.array([{"bytes": b"JPEG", "path": "\x00"}] * n),
        lambda: pa.array([{"bytes": None, "path": dice.choice(TEXTS[:12])}] * n),
        lambda: pa.array([[1.5, float("nan")]] * n),
        lambda: pa.array([b"\xff\xfe"] * n, pa.binary()),
        lambda: pa.array([None] * n),
        lambda: pa.array([float("nan")] * n),
        lambda: pa.array([datetime.time(1)] * n),
        lambda: pa.array(["a.jpg"] * n).dictionary_encode(),
        lambda: pa.array([1] * n, pa.uint64()).cast(pa.decimal128(38, 2)),
        lambda: pa.StructArray.from_arrays([pa.array([b"x"] * n), pa.array(["p"] * n)], names=["bytes", "bytes"]),
    )
    return dice.choice(kinds)()


# folders


def folder(place: Path, dice: Random) -> Case:
    """Pictures and texts under hostile names, links, pipes: every picture, lone text and linked folder is a record."""
    root = place / "root"
    root.mkdir()
    (root / "ok.jpg").write_bytes(b"JPEG")
    (root / "ok.txt").write_text("a dot")
    records = 1
    for i in range(dice.randrange(6)):
        records += _file(root, f"{i}-", dice)
    return Case(lambda: every(Folder(str(root))), records)


@cache
def _names() -> tuple[str, ...]:
    """Texts as names of files: whatever bytes a disk takes."""
    words = [raw(word).replace(b"/", b"").replace(b"\0", b"")[:120] for word in TEXTS]
    words = [word for word in words if word.strip(b".")]
    return tuple(os.fsdecode(word) for word in (*words, b"\xff\xfe", b"x.tar", b"metadata", b"a.b.c"))


def _file(root: Path, prefix: str, dice: Random) -> int:
    """Put one thing, with or without its text, into a folder; return how many records that is."""
    stem = root / (prefix + dice.choice(_names()))
    picture, beside = Path(f"{stem}{dice.choice(('.jpg', '.PNG', '.tiff'))}"), Path(f"{stem}.txt")
    kind = dice.choice(("pair", "pair", "picture", "text", "pipe", "dangling", "loop", "linked", "folder"))
    if kind in ("pair", "picture"):
        picture.write_bytes(dice.randbytes(dice.randrange(9)))
    if kind in ("pair", "text", "pipe", "dangling", "loop"):
        beside.write_bytes(mutated(raw(text(dice)), dice))
    if kind == "pipe":
        os.mkfifo(picture)
    if kind in ("dangling", "loop"):
        picture.symlink_to(picture if kind == "loop" else "/nowhere")
    if kind == "linked":
        stem.symlink_to(".")
    if kind == "folder":
        picture.mkdir()
    return int(kind != "folder")
