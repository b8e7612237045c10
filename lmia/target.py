"""The model under audit, as a contract: two towers, their preprocessing, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from lmia.samples import TargetFacts
from lmia.settings import Made
from lmia.trainable import Trainable

Precision = Literal["fp32", "bf16", "fp16"]


class Target(Made, nn.Module, ABC):
    """A dual encoder. Stays in eval mode; features are raw (not normalised).

    Without a GPU, `encode_image`, `encode_text`, `tokenize` and `preprocess` are called from several threads at once.

    A defence at query time is a Target around a Target, and may lower `answers`.
    """

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        """Return init arguments if `spec` names a model of this kind, else None. No I/O beyond stat."""
        return None

    @property
    def answers(self) -> frozenset[str]:
        """What may be asked of it, of `cosine`, `embeddings`, `view_embeddings`, `gradients`."""
        return frozenset({"cosine", "embeddings", "view_embeddings", "gradients"})

    @property
    def precision(self) -> Precision:
        """The precision its towers compute in."""
        return "fp32"

    @abstractmethod
    def preprocess(self, image: Image.Image) -> Tensor:
        """Turn an RGB image into the model's picture: `(3, h, w)` uint8, resized and cropped, not normalised."""

    @abstractmethod
    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Turn b captions into `(b, l)` int64 tokens; may be cut to the longest caption where that changes nothing."""

    @abstractmethod
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode `(b, 3, h, w)` float pixels in [0, 1] (normalisation happens here) into `(b, d)` raw features."""

    @abstractmethod
    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode `(b, l)` tokens into `(b, d)` raw features."""

    def cosine(self, image: Tensor, text: Tensor) -> Tensor:
        """Compare each image with its own text; whoever wants a cosine asks here, and nowhere else.

        Args:
            image: `(b, d)`, as `encode_image` gave them.
            text: `(b, d)`, as `encode_text` gave them.

        Returns:
            `(b,)` float32 in [-1, 1]; 0 where either feature is zero.
        """
        return (normalize(image, dim=-1).double() * normalize(text, dim=-1).double()).sum(-1).float()

    def untrained(self, seed: int) -> Target | None:
        """Return its untrained twin: this architecture, preprocessing and tokenizer, with weights drawn by `seed`.

        What an attack finds on the twin is in the data, not in the training. None where there is no such twin, as for a
        table of features; the report then says so.
        """
        return None

    def trainable(self) -> Trainable | None:
        """Return this target's towers, free to learn, for `lmia fit`; None where it cannot be trained.

        They are the target's own: what they learn, it answers with.
        """
        return None

    @abstractmethod
    def facts(self) -> TargetFacts:
        """What is known of the model; goes into the report whole."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest that changes whenever a feature would: weights, architecture, activation, preprocessing, precision."""
