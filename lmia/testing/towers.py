"""Small towers to try a defence on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from lmia.trainable import Trainable

SIDE, WORDS, LENGTH = 16, 32, 6
"""Pixels a side, words of the vocabulary, and tokens of a caption."""


def make_towers(seed: int = 0) -> Trainable:
    """Return towers of a few hundred weights, with CLIP's loss: pictures `(b, 3, 16, 16)`, tokens `(b, 6)` below 32.

    Args:
        seed: of the weights.

    Example:
        >>> towers = make_towers()
        >>> towers(torch.rand(4, 3, 16, 16), torch.arange(24).reshape(4, 6)).shape
        torch.Size([])
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _Small()


class _Small(Trainable):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(
            nn.AvgPool2d(4), nn.Flatten(), nn.Linear(48, 16), nn.GELU(), nn.Dropout(0), nn.Linear(16, 8)
        )
        self.text = nn.Sequential(nn.EmbeddingBag(WORDS, 16), nn.Dropout(0), nn.Linear(16, 8))
        self.logit_scale = nn.Parameter(torch.tensor(2.66))

    @property
    def temperature(self) -> nn.Parameter:
        return self.logit_scale

    def encode_image(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.image(pixels)
        return features

    def encode_text(self, tokens: Tensor) -> Tensor:
        features: Tensor = self.text(tokens)
        return features

    def loss(self, image: Tensor, text: Tensor, rank: int = 0, world: int = 1) -> Tensor:
        logits = self.temperature.exp() * normalize(image, dim=-1) @ normalize(text, dim=-1).T
        own = torch.arange(len(logits), device=logits.device)
        return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2

    def save(self, folder: Path, tokens: Tensor | None = None) -> None:
        raise NotImplementedError("these towers are for tests of defences alone")
