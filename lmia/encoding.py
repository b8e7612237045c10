"""Pictures and captions into features, on streams of a CPU's cores or on a GPU's queue, each begun and asked for later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lmia import returned
from lmia.streams import Streams
from lmia.target import Target
from lmia.views import View

PIXELS = 1 << 20
"""Pixels encoded at once without a GPU: larger calls gain nothing, and the last of them keeps its stream busy alone."""
CAPTIONS, FEWEST, ON_GPU = 64, 16, 256
"""Captions encoded at once, of similar length: at most and at least, fewer being padded less, and on a GPU."""


class Encoder:
    """A target at work, who counts what it encodes.

    Args:
        target: the model.
        views: what it sees of a picture, by name.

    Attributes:
        streams: where it runs.
        encoded: how many `images` and `captions` it has encoded.
    """

    def __init__(self, target: Target, views: Mapping[str, View]) -> None:
        self.target, self.views = target, views
        self.streams = Streams()
        self.encoded = {"images": 0, "captions": 0}

    def images(self, raw: Tensor, names: Sequence[str]) -> list[Callable[[], dict[str, Tensor]]]:
        """Begin to encode `(b, 3, h, w)` bytes in the views named; return how to get `(m, d)` of each, piece by piece."""
        self.encoded["images"] += len(raw) * len(names)
        return [self.streams.run(self._images, piece, names) for piece in torch.split(raw, piece_of(raw))]

    def captions(self, captions: Sequence[str], device: torch.device) -> Callable[[], Tensor]:
        """Begin to encode each distinct caption once, in chunks of similar length; return how to get `(n, d)`."""
        order = sorted(set(captions), key=lambda caption: (len(caption), caption))
        place = {caption: i for i, caption in enumerate(order)}
        size = chunk_of(len(order), device)
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        results = [self.streams.run(self._captions, chunk, device) for chunk in chunks]
        self.encoded["captions"] += len(order)

        def all_of_them() -> Tensor:
            texts = torch.cat([result() for result in results])
            return texts[torch.tensor([place[caption] for caption in captions], device=texts.device)]

        return all_of_them

    def tokens(self, tokens: Tensor) -> Callable[[], Tensor]:
        """Begin to encode `(n, l)` tokens as the target makes them; return how to get `(n, d)`."""
        self.encoded["captions"] += len(tokens)
        return self.streams.run(self._tokens, tokens, len(tokens))

    def _images(self, raw: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        pixels = floats(raw)
        views = {name: self.views[name].image for name in names}
        seen = {name: pixels if view is None else returned.seen(view, pixels, name) for name, view in views.items()}
        answers = {name: self.target.encode_image(each) for name, each in seen.items()}
        return {name: returned.features(one, len(raw), self.target, "encode_image") for name, one in answers.items()}

    def _captions(self, captions: Sequence[str], device: torch.device) -> Tensor:
        return self._tokens(self.target.tokenize(captions).to(device), len(captions))

    def _tokens(self, tokens: Tensor, n: int) -> Tensor:
        return returned.features(self.target.encode_text(tokens), n, self.target, "encode_text")


def piece_of(raw: Tensor) -> int:
    """Return how many of `(b, 3, h, w)` pictures are encoded at once: a matter of their size and device alone.

    Example:
        >>> piece_of(torch.zeros(64, 3, 48, 48)), piece_of(torch.zeros(64, 3, 224, 224))
        (64, 20)
    """
    return len(raw) if raw.device.type != "cpu" else max(1, min(len(raw), PIXELS // raw[0, 0].numel()))


def chunk_of(n: int, device: torch.device) -> int:
    """Return how many of n captions are encoded at once: a matter of their number and the device alone.

    Example:
        >>> [chunk_of(n, torch.device("cpu")) for n in (10, 300, 4096)]
        [16, 37, 64]
    """
    return max(FEWEST, min(CAPTIONS, n // 8)) if device.type == "cpu" else ON_GPU


def floats(raw: Tensor) -> Tensor:
    """Bring bytes into [0, 1], as targets take them.

    Example:
        >>> floats(torch.tensor([0, 255], dtype=torch.uint8))
        tensor([0., 1.])
    """
    return raw.to(torch.float32).div_(255)
