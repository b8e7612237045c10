"""What the benchmarks run on: JPEGs in tar shards with captions of known length, of thirty words that every cache soon knows."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

TEXT = (
    "a small brown dog runs over green grass beside an old wooden house while two people watch from the "
    "open door and clouds gather above the distant hills before evening rain"
)
WORDS = TEXT.split()


def caption(index: int, words: int | None = None) -> str:
    """A caption of 3 to 28 words (CLIP's tokenizer makes 5 to 30 tokens of them), or of exactly `words`."""
    random = np.random.default_rng((1, index))
    n = words or int(random.integers(3, 29))
    return " ".join(random.choice(WORDS, n))


def jpeg(index: int, side: int) -> bytes:
    """A picture with structure at several scales, about 33 kB at 512 px."""
    random = np.random.default_rng((2, index))
    layers = [
        np.asarray(
            Image.fromarray(random.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(
                (side, side), Image.Resampling.BICUBIC
            ),
            np.float32,
        )
        for n in (4, 16, 64)
    ]
    pixels = (0.55 * layers[0] + 0.3 * layers[1] + 0.15 * layers[2]).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88)
    return file.getvalue()


def shards(folder: Path, pairs: int, side: int = 512, each: int = 500, words: int | None = None) -> list[Path]:
    """Write tar shards of `each` pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for start in range(0, pairs, each):
        path = folder / f"{start // each:05d}.tar"
        with tarfile.open(path, "w") as tar:
            for index in range(start, min(start + each, pairs)):
                for name, data in _members(index, side, words):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        paths.append(path)
    return paths


def _members(index: int, side: int, words: int | None) -> Iterator[tuple[str, bytes]]:
    yield f"{index:08d}.jpg", jpeg(index, side)
    yield f"{index:08d}.txt", caption(index, words).encode()
