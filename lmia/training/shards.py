"""The two sides of a training as tar shards, to audit its target with as with any other data."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from PIL import Image

from lmia.membership import Membership
from lmia.picture import FORMATS
from lmia.records import records
from lmia.source import Pair, Source

PAIRS = 1000
"""Pairs of a shard."""


def shard_key(row: int) -> str:
    """Name the pair at `row` of a manifest inside tar shards, where a source's own key may hold dots or slashes.

    Example:
        >>> shard_key(7)
        'pair-000007'
    """
    return f"pair-{row:06d}"


def write_shards(out: Path, source: Source, known: Membership) -> None:
    """Write `shards/members-000.tar` ... and `shards/nonmembers-000.tar` ..., 1,000 pairs each, as WebDataset reads them.

    Image files are copied as they are; pictures without a file become PNG. Pairs that the manifest does not list are
    left out.
    """
    rows = {key: row for row, key in enumerate(known.keys)}
    waiting: dict[str, list[tuple[str, Pair]]] = {"members": [], "nonmembers": []}
    written = dict.fromkeys(waiting, 0)
    (out / "shards").mkdir(exist_ok=True)

    def flush(role: str) -> None:
        if waiting[role]:
            _write(out / "shards" / f"{role}-{written[role]:03d}.tar", waiting[role])
            waiting[role] = []
            written[role] += 1

    for shard in source.shards():
        for pair in records(source, shard):
            if isinstance(pair, Pair) and (row := rows.get(pair.key)) is not None:
                role = "members" if known.inside[row] else "nonmembers"
                waiting[role].append((shard_key(row), pair))
                if len(waiting[role]) == PAIRS:
                    flush(role)
    for role in waiting:
        flush(role)


def _write(path: Path, pairs: list[tuple[str, Pair]]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, pair in pairs:
            data, suffix = _file(pair)
            for member, content in ((f"{name}.{suffix}", data), (f"{name}.txt", pair.caption.encode())):
                info = tarfile.TarInfo(member)  # no time, no owner: the same pairs make the same file
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def _file(pair: Pair) -> tuple[bytes, str]:
    if isinstance(pair.image, bytes):
        with Image.open(io.BytesIO(pair.image), formats=FORMATS) as image:
            kind = (image.format or "png").lower()
        return pair.image, "jpg" if kind in ("jpeg", "mpo") else kind
    buffer = io.BytesIO()
    pair.image.save(buffer, "PNG")
    return buffer.getvalue(), "png"
