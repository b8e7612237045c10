"""How far a cosine moves when its pair is encoded in other company: in a batch of its own, its caption padded to no other's.

Sums of floating point depend on their order, and a model's kernels choose that by the shape of the batch. Workers, ranks, shards and
their order change no batch, so they change no score; `--batch` does, by about as much as is measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.encoding import floats
from lmia.store import Store
from lmia.target import Target

PAIRS = 8
"""Pairs of an extraction that are encoded once more, one by one."""
ARRAY = "again"
"""What the store calls their differences."""


def moved(target: Target, pixels: Tensor, captions: Sequence[str], cosines: NDArray[Any]) -> NDArray[np.float32]:
    """Encode n pairs one by one, and say how far each cosine lies from the one it has.

    Args:
        target: the model.
        pixels: `(n, 3, h, w)` bytes.
        captions: n of them.
        cosines: `(n,)` as they were computed in a batch.
    """
    alone = []
    with torch.no_grad():
        for picture, caption in zip(pixels, captions, strict=True):
            image = target.encode_image(floats(picture[None])).float()
            text = target.encode_text(target.tokenize([caption]).to(pixels.device)).float()
            alone.append(float(target.cosine(image, text)))
    found: NDArray[np.float32] = np.abs(np.array(alone) - cosines).astype(np.float32)
    return found


def told(store: Store, shards: Sequence[str]) -> dict[str, object]:
    """Say what was found when these shards were extracted, in this run or an earlier one.

    Args:
        store: of the target.
        shards: their keys.

    Returns:
        `encoded_again`, how many pairs, and `cosine_moved`, the largest difference; None where there were none.
    """
    again = [store.array(ARRAY, shard) for shard in shards if not store.lacks(shard, [ARRAY])]
    most = max((float(one.max()) for one in again if len(one)), default=None)
    return {"encoded_again": sum(map(len, again)), "cosine_moved": None if most is None else float(f"{most:.2g}")}
