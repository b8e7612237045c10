"""All pairs of a source, decoded once onto the disk: epochs then read pixels, and no file is opened again."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from lmia.aside import aside
from lmia.data import ShardReader, shards_of
from lmia.errors import LmiaError
from lmia.evidence.hashes import first_of_each
from lmia.picture import MAX_PIXELS
from lmia.settings import digest
from lmia.source import Source

PIXELS, TABLE = "pixels.u8", "pairs.parquet"
"""How their names end; they begin with a digest of what they hold, so that two nodes of a training write the same."""
_ROOM = "Make room on the disk, or give another --out."
BATCH = 256
"""Pairs decoded before they are written."""


@dataclass(frozen=True)
class Pairs:
    """n usable pairs of a source.

    Args:
        keys: n unique keys.
        captions: n captions, as found.
        phash: n perceptual hashes, 16 hexadecimal digits each.
        pixels: `(n, 3, h, w)` uint8, mapped from the disk.
        rejected: records that are not here, by reason.
    """

    keys: Sequence[str]
    captions: Sequence[str]
    phash: Sequence[str]
    pixels: Tensor
    rejected: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.keys)


def decoded(
    source: Source,
    preprocess: Callable[[Image.Image], Tensor],
    folder: Path,
    threads: int = 1,
    max_pixels: int = MAX_PIXELS,
    near: int | None = None,
) -> Pairs:
    """Decode every pair of a source into `folder`, unless it already lies there.

    Args:
        source: where the pairs come from.
        preprocess: an RGB image to `(3, h, w)` uint8, the same size for all: a target's.
        folder: where pixels and captions are kept; made if it is missing.
        threads: that decode.
        max_pixels: larger pictures are rejected.
        near: a picture whose perceptual hash (64 bits) differs from an earlier one's in at most so many bits is left out:
            of two near copies one would be trained on, and the other called a non-member. None keeps all.

    Raises:
        LmiaError: two records share a key, or fewer than two pairs can be used.
    """
    shards = shards_of(source)
    probe = preprocess(_probe())
    wanted = digest([one.key for one in shards], max_pixels, near, list(probe.shape), bytes(probe.numpy()).hex())
    if (kept := _kept(folder, wanted)) is None:
        folder.mkdir(parents=True, exist_ok=True)
        _write(ShardReader(shards, preprocess, BATCH, threads, max_pixels), folder, wanted, tuple(probe.shape), near)
        kept = _kept(folder, wanted)
    assert kept is not None  # it has just been written
    return _checked(kept)


def _probe() -> Image.Image:
    """A picture that two preparations show differently: no two of its corners are alike."""
    down = Image.linear_gradient("L")
    return Image.merge("RGB", (down, down.rotate(90), Image.radial_gradient("L").crop((0, 0, 256, 256))))


def _write(reader: ShardReader, folder: Path, wanted: str, shape: tuple[int, ...], near: int | None) -> None:
    """Write pixels as they come, and the table last: without it the pixels count for nothing."""
    rows: list[tuple[str, str, str]] = []
    rejected: Counter[str] = Counter()
    for old in (path for ending in (TABLE, PIXELS) for path in folder.glob(f"*-{ending}")):
        if not old.name.startswith(wanted):
            old.unlink(missing_ok=True)
    with aside(folder / f"{wanted}-{PIXELS}", _ROOM) as file:
        for read in reader:
            if read.error:
                raise read.error
            rejected.update(one.reason for one in read.rejected)
            rows += [(key, caption, facts.phash) for key, caption, facts in read.rows]
            if read.pixels is not None:
                file.write(read.pixels.contiguous().numpy().tobytes())
        if near is not None:
            kept = first_of_each([phash for _, _, phash in rows], near)
            file.flush()
            _compact(Path(file.name), kept, len(rows), shape)
            rejected["near copy"] += len(rows) - len(kept)
            rows = [rows[i] for i in kept]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    table = pa.table(
        {name: pa.array(c, pa.string()) for name, c in zip(("key", "caption", "phash"), columns, strict=True)}
    )
    told = {"shape": json.dumps(shape), "rejected": json.dumps(dict(+rejected))}
    with aside(folder / f"{wanted}-{TABLE}", _ROOM) as file:
        pq.write_table(table.replace_schema_metadata(told), file)


def _compact(path: Path, kept: Sequence[int], n: int, shape: tuple[int, ...]) -> None:
    """Leave only some pictures in a file of n, in place: rows move forward, one after the other."""
    if len(kept) == n:
        return
    pixels = np.memmap(path, np.uint8, "r+", shape=(n, *shape))
    for to, row in enumerate(kept):
        pixels[to] = pixels[row]
    pixels.flush()
    os.truncate(path, len(kept) * int(np.prod(shape)))


def _kept(folder: Path, wanted: str) -> Pairs | None:
    if not (folder / f"{wanted}-{TABLE}").is_file():
        return None
    table = pq.read_table(folder / f"{wanted}-{TABLE}")
    told = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    shape = (len(table), *json.loads(told["shape"]))
    # Mapped as a private copy: nothing is read before it is asked for, and torch need not fear a read-only page.
    pixels = folder / f"{wanted}-{PIXELS}"
    mapped = np.memmap(pixels, np.uint8, "c", shape=shape) if len(table) else np.zeros(shape, np.uint8)
    keys, captions, phash = (table[name].to_pylist() for name in ("key", "caption", "phash"))
    return Pairs(keys, captions, phash, torch.from_numpy(mapped), json.loads(told["rejected"]))


def _checked(pairs: Pairs) -> Pairs:
    twice = next((key for key, times in Counter(pairs.keys).items() if times > 1), None)
    if twice is not None:
        raise LmiaError(f"Several records have the key '{twice}'.", "Give each pair a key of its own.")
    if len(pairs) < 2:
        why = f": {dict(pairs.rejected)}" if pairs.rejected else ""
        raise LmiaError(
            f"The source holds {len(pairs)} usable pairs{why}.", "A target needs two or more to learn from."
        )
    return pairs
