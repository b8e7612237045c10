"""Features that can be carried about, and read only by whoever closed them."""

from __future__ import annotations

import secrets
from hashlib import blake2b, shake_256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia import LmiaError

_TAG = 16
"""Bytes of a row's tag: a keyed digest of the row, which also chooses the key stream (a synthetic nonce, as in SIV)."""


class Envelope:
    """Closes rows of features under a key that is drawn once, and opens what it closed.

    A closed row is a float32 row like any other, so it is batched, moved and picked like one; each of its numbers holds 16
    bits of tag and ciphertext. Equal rows close alike, and a row that was changed in any way does not open.

    Example:
        >>> envelope = Envelope()
        >>> closed = envelope.close(torch.tensor([[3.0, 4.0]]), "image")
        >>> closed.shape, envelope.open(closed, "image")
        (torch.Size([1, 12]), tensor([[3., 4.]]))
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def close(self, features: Tensor, tower: str) -> Tensor:
        """Close `(b, d)` features into `(b, 2 d + 8)` float32 whole numbers below 65536.

        Args:
            features: any.
            tower: whose they are: they open under this word alone.
        """
        rows = np.ascontiguousarray(features.detach().float().cpu().numpy())
        closed = np.empty((len(rows), _TAG + 4 * rows.shape[1]), np.uint8)
        for row, into in zip(rows, closed, strict=True):
            data = row.tobytes()
            tag = self._tag(data, tower)
            into[:_TAG] = np.frombuffer(tag, np.uint8)
            into[_TAG:] = np.frombuffer(data, np.uint8) ^ self._stream(tag, len(data))
        return torch.from_numpy(closed.view("<u2").astype(np.float32)).to(features.device)

    def open(self, closed: Tensor, tower: str) -> Tensor:
        """Open `(b, 2 d + 8)` numbers into the `(b, d)` float32 features they were.

        Raises:
            LmiaError: they are not this envelope's, or not of that tower.
        """
        numbers = closed.detach().float().cpu().numpy()
        right = closed.dim() == 2 and closed.shape[1] > _TAG // 2 and closed.shape[1] % 2 == 0
        if not right or not ((numbers >= 0) & (numbers < 2**16) & (numbers == np.floor(numbers))).all():
            raise _strange(tower)
        rows = numbers.astype("<u2").view(np.uint8)
        features = np.empty((len(rows), rows.shape[1] - _TAG), np.uint8)
        for row, into in zip(rows, features, strict=True):
            tag = row[:_TAG].tobytes()
            into[:] = row[_TAG:] ^ self._stream(tag, len(into))
            if not secrets.compare_digest(tag, self._tag(into.tobytes(), tower)):
                raise _strange(tower)
        return torch.from_numpy(features.view(np.float32)).to(closed.device)

    def _tag(self, data: bytes, tower: str) -> bytes:
        return blake2b(data, key=self._key, digest_size=_TAG, person=tower.encode()).digest()

    def _stream(self, tag: bytes, size: int) -> NDArray[np.uint8]:
        return np.frombuffer(shake_256(self._key + tag).digest(size), np.uint8)


def _strange(tower: str) -> LmiaError:
    problem = f"The {tower} features are not what this target's encode_{tower} returned."
    return LmiaError(problem, "Hand them to cosine unchanged: they are closed, and nothing else can be done with them.")
