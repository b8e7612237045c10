"""Features told with noise."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lmia import Defence, LmiaError, Target
from lmia_defences.bounds import bounded
from lmia_defences.defended import Defended

_FIELDS, _LEVELS = 4, 15
"""What a picture's noise goes by: means of 4 x 4 fields, in sixteenths. Float errors, and small changes, leave them alone."""


class Noise(Defence):
    """Adds Gaussian noise to features, the same whenever the same is asked: asking again and averaging gains nothing.

    A picture's noise goes by its coarse looks, so that many small changes do not draw anew either; a caption's by its
    tokens. No gradients are answered, as they would pass by the noise.

    What is known: no figure for CLIP's answers. It costs use as far as it blurs what is near. Whoever may ask about many
    changed pictures and wordings can still average over those, and whoever knows the seed can subtract the noise: a service
    keeps it secret.

    Args:
        scale: the noise's length over the feature's, on average.
        seed: of the noise.

    Raises:
        LmiaError: the scale is below 0; or the target hands out no features that noise could be added to.
    """

    def __init__(self, scale: float = 0.1, seed: int = 0) -> None:
        bounded(self, "scale", scale, 0)
        self.scale, self.seed = scale, seed

    def around(self, target: Target) -> Target:
        """Return the target that answers with noise."""
        if isinstance(target, Defended) and target.sealed:
            raise LmiaError("noise has no features to be added to: they are closed already.", "Name noise first.")
        return Noisy(target, self.scale, self.seed)


class Noisy(Defended):
    """A target whose features have noise.

    Args:
        target: the one behind.
        scale: the noise's length over the feature's, on average.
        seed: of the noise.
    """

    leaves: ClassVar[frozenset[str]] = frozenset({"cosine", "embeddings", "view_embeddings"})

    def __init__(self, target: Target, scale: float = 0.1, seed: int = 0) -> None:
        super().__init__(target)
        self.scale, self.seed = scale, seed
        self._padding = int(target.tokenize(["a", "a caption longer than that"])[0, -1])

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode `(b, 3, h, w)` pixels into `(b, d)` features with noise."""
        fields = adaptive_avg_pool2d(pixels.detach().float(), _FIELDS).mul(_LEVELS).round().to(torch.uint8)
        contents = [row.tobytes() for row in fields.cpu().numpy()]
        with torch.no_grad():
            return self._noised(self.behind.encode_image(pixels), contents, "image")

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode `(b, l)` tokens into `(b, d)` features with noise, whatever they were padded to."""
        contents = [self._words(row) for row in tokens.tolist()]
        with torch.no_grad():
            return self._noised(self.behind.encode_text(tokens), contents, "text")

    def _words(self, row: list[int]) -> bytes:
        while row and row[-1] == self._padding:
            row.pop()
        return repr(row).encode()

    def _noised(self, features: Tensor, contents: Sequence[bytes], tower: str) -> Tensor:
        size = features.shape[1]
        drawn = np.array([self._drawn(content, tower, size) for content in contents], np.float32).reshape(-1, size)
        length = torch.linalg.vector_norm(features, dim=1, keepdim=True) * (self.scale / size**0.5)
        noised: Tensor = features + length * torch.from_numpy(drawn).to(features)
        return noised

    def _drawn(self, content: bytes, tower: str, size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        seed = blake2b(f"{self.seed} {tower} ".encode() + content, digest_size=16).digest()
        return np.random.Generator(np.random.Philox(int.from_bytes(seed))).standard_normal(size)
