"""How far a cosine moves when its pair is encoded in other company: in a batch of its own, its caption padded to no other's.

Sums of floating point depend on their order, and a model's kernels choose that by the shape of the batch. Workers, ranks, shards and
their order change no batch, so they change no score; `--batch` does, by about as much as is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.data import Read
from lmia.encoding import floats
from lmia.store import Store
from lmia.target import Target

PAIRS = 8
"""Pairs of an extraction that are encoded once more, one by one."""
ARRAY = "again"
"""What the store calls their differences."""


class Again:
    """The first pairs of a pass, kept until their cosines are known and then encoded once more, one by one."""

    def __init__(self) -> None:
        self.shard = ""
        self.pixels: Tensor | None = None
        self.captions: list[str] = []

    def look(self, batch: Read) -> None:
        """Keep the first pairs of the first batch that has any."""
        if self.pixels is None and batch.pixels is not None:
            self.shard, self.pixels = batch.shard, batch.pixels[:PAIRS].clone()
            self.captions = [caption for _, caption, _ in batch.rows[:PAIRS]]

    def moved(self, shard: str, target: Target, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Say how far the cosines of a shard's first pairs lie from those of the same pairs alone, NaN for the others.

        Args:
            shard: its key.
            target: the model.
            arrays: of the shard.

        Returns:
            `again`, `(n,)`; nothing where the pairs kept are another shard's, or there are no cosines.
        """
        if self.pixels is None or shard != self.shard or "cosine" not in arrays:
            return {}
        found = np.full(len(arrays["cosine"]), np.nan, np.float32)
        with torch.no_grad():
            for i, caption in enumerate(self.captions):
                image = target.encode_image(floats(self.pixels[i : i + 1])).float()
                text = target.encode_text(target.tokenize([caption]).to(image.device)).float()
                found[i] = abs(float(target.cosine(image, text)) - float(arrays["cosine"][i]))
        return {ARRAY: found}


def told(store: Store, shards: Sequence[str]) -> dict[str, object]:
    """Say what was found when these shards were extracted, in this run or an earlier one.

    Args:
        store: of the target.
        shards: their keys.

    Returns:
        `encoded_again`, how many pairs, and `cosine_moved`, the largest difference; None where there were none.
    """
    again = [store.array(ARRAY, shard) for shard in shards if not store.lacks(shard, [ARRAY])]
    moved = np.concatenate([np.zeros(0, np.float32), *again])
    moved = moved[~np.isnan(moved)]
    return {"encoded_again": len(moved), "cosine_moved": float(f"{moved.max():.2g}") if len(moved) else None}
