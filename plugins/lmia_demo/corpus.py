"""All pairs of a source in memory, decoded once: what a small target is trained on and watched with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lmia.errors import LmiaError
from lmia.picture import open_pair
from lmia.registry import registry
from lmia.source import Rejected, Source


@dataclass(frozen=True)
class Corpus:
    """n pairs of a source, without near-copies if that was asked for.

    Args:
        keys: n unique keys.
        captions: n captions, as found.
        pixels: `(n, 3, s, s)` uint8, squashed to the model's input size.
        dropped: how many records are not here, by reason.
    """

    keys: list[str]
    captions: list[str]
    pixels: Tensor
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)


def open_source(spec: str) -> Source:
    """Make the source that claims `spec`.

    Raises:
        LmiaError: none claims it, or several do.

    Example:
        >>> open_source("emoji:0:10").count("scenes-0-10")
        10
    """
    kind, arguments = registry().claim("source", spec)
    source = kind(**arguments)
    assert isinstance(source, Source)
    return source


def read_corpus(source: Source, size: int, near: int | None = None) -> Corpus:
    """Decode every pair of a source once.

    Args:
        source: where the pairs come from.
        size: side of the pictures in pixels; others are squashed to it, as the target's preprocessing will.
        near: drop a picture whose 64-bit perceptual hash differs from a kept one's in at most so many bits
            (one of two near-copies would otherwise be trained on, the other called a non-member); None keeps all.

    Raises:
        LmiaError: two records share a key, or fewer than two pairs are left.

    Example:
        >>> corpus = read_corpus(open_source("emoji:0:4"), 32)
        >>> corpus.keys[3], tuple(corpus.pixels.shape)
        ('scene-3', (4, 3, 32, 32))
    """
    keys: list[str] = []
    captions: list[str] = []
    pictures: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []
    hashes: list[int] = []
    dropped: Counter[str] = Counter()
    for shard in source.shards():
        for record in source.read(shard):
            opened = record if isinstance(record, Rejected) else open_pair(record)
            if isinstance(record, Rejected) or isinstance(opened, Rejected):
                dropped[opened.reason if isinstance(opened, Rejected) else ""] += 1
                continue
            image, facts = opened
            keys.append(record.key)
            captions.append(record.caption)
            pictures.append(np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)))
            hashes.append(int(facts.phash, 16))
    if doubled := [key for key, times in Counter(keys).items() if times > 1]:
        raise LmiaError(f"Several records have the key '{doubled[0]}'.", "Give each pair a key of its own.")
    kept = list(range(len(keys))) if near is None else without_near_copies(hashes, near)
    dropped["near-copy"] += len(keys) - len(kept)
    if len(kept) < 2:
        raise LmiaError(f"The source holds {len(kept)} usable pairs.", "A target needs two or more to train on.")
    pixels = torch.from_numpy(np.stack([pictures[row] for row in kept])).permute(0, 3, 1, 2).contiguous()
    return Corpus([keys[i] for i in kept], [captions[i] for i in kept], pixels, dict(+dropped))


def without_near_copies(hashes: list[int], bits: int) -> list[int]:
    """Return the rows whose hash differs from every earlier kept one's in more than `bits` bits.

    Example:
        >>> without_near_copies([0b0000, 0b0001, 0b1111], bits=1)
        [0, 2]
    """
    words = np.array(hashes, dtype=np.uint64)
    kept: list[int] = []
    for row, word in enumerate(words):
        if not kept or int(np.bitwise_count(words[kept] ^ word).min()) > bits:
            kept.append(row)
    return kept
