"""A target that can be trained, as a contract beside `Target`: what `lmia fit` needs to know of a model's towers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from torch import Tensor, nn


class Trainable(nn.Module, ABC):
    """The towers of a target, free to learn. `Target.trainable` makes them; pictures and captions are prepared by the target.

    Its `parameters()` are what is trained, `train()` and `eval()` do what they say, and its features are those that the
    target would give with the same weights.
    """

    @abstractmethod
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode `(b, 3, h, w)` float pixels in [0, 1] (normalisation happens here) into `(b, d)` raw features."""

    @abstractmethod
    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode `(b, l)` tokens, as the target's `tokenize` made them, into `(b, d)` raw features."""

    @abstractmethod
    def loss(self, image: Tensor, text: Tensor, rank: int = 0, world: int = 1) -> Tensor:
        """Compare the pairs of a batch, which are one another's negatives: raw `(b, d)` and `(b, d)` to a scalar.

        Args:
            image: features of this rank's part of the batch.
            text: likewise, row by row.
            rank: this process's number.
            world: how many processes share the batch; all parts have the same size.
        """

    def forward(self, pixels: Tensor, tokens: Tensor, rank: int = 0, world: int = 1) -> Tensor:
        """Return the loss of a batch's part."""
        return self.loss(self.encode_image(pixels), self.encode_text(tokens), rank, world)

    def settle(self) -> None:
        """Bring parameters back into their range after a step, such as the loss's temperature."""

    @property
    @abstractmethod
    def temperature(self) -> nn.Parameter:
        """The logarithm of the factor on cosines in the loss."""

    @abstractmethod
    def save(self, folder: Path, tokens: Tensor | None = None) -> None:
        """Write a target that `--model` can load from `folder`.

        Args:
            folder: it exists.
            tokens: `(n, l)`, of every caption that was trained on. Where they are given, the file is made small: weights
                in half precision, rounded so that they compress, and rows of the vocabulary that no caption uses zero.
        """
