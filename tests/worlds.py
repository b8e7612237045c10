"""A small world for tests of the core: pictures of noise, a dual encoder of two matrices, and a leak of known size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import lmia
from lmia.settings import digest

SIDE = 8
WIDTH = 16


def picture(index: int) -> Image.Image:
    """Noise drawn from the index, 8 x 8."""
    pixels = np.random.default_rng(index).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class Noise(lmia.Source):
    """Pictures of noise with the caption `pair INDEX`.

    Args:
        start: first index.
        stop: one behind the last.
        shard: pairs a shard.
        broken: every so manieth record does not decode; 0 for none.
    """

    def __init__(self, start: int, stop: int, shard: int = 64, broken: int = 0) -> None:
        self.start, self.stop, self.shard, self.broken = start, stop, shard, broken
        self.reads = 0

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        kind, _, numbers = spec.partition(":")
        if kind != "noise":
            return None
        start, _, stop = numbers.partition(":")
        return {"start": int(start), "stop": int(stop)}

    def shards(self) -> Sequence[str]:
        return [f"{at}" for at in range(self.start, self.stop, self.shard)]

    def read(self, shard: str) -> Iterator[lmia.Pair | lmia.Rejected]:
        self.reads += 1
        for index in range(int(shard), min(int(shard) + self.shard, self.stop)):
            bad = self.broken and index % self.broken == 0
            yield lmia.Pair(f"noise/{index}", f"pair {index}", b"not a picture" if bad else png(picture(index)))

    def fingerprint(self, shard: str) -> str:
        return digest(shard, self.shard, self.stop, self.broken)


class Counted(Noise):
    """Noise that counts its records without making them."""

    def count(self, shard: str) -> int:
        return min(self.shard, self.stop - int(shard))


class Matrices(lmia.Target):
    """An image tower that is a random matrix, a text tower that remembers pictures of the pairs it was 'trained' on.

    Args:
        members: `START:STOP` indices of the pairs it has seen.
        leak: how much of the picture's feature is in the text feature of a member; 0 is no memory.
        seed: of the matrix and the noise.
    """

    def __init__(self, members: str = "0:0", leak: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        self.start, self.stop = map(int, members.split(":"))
        self.leak, self.seed = leak, seed
        generator = torch.Generator().manual_seed(seed)
        self.image = torch.nn.Linear(3 * SIDE * SIDE, WIDTH, bias=False)
        self.image.weight.data = torch.randn(WIDTH, 3 * SIDE * SIDE, generator=generator)
        self.calls = {"image": 0, "text": 0}

    def preprocess(self, image: Image.Image) -> Tensor:
        return torch.from_numpy(np.asarray(image.resize((SIDE, SIDE))).copy()).permute(2, 0, 1)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        return torch.tensor([[int(word) if word.isdigit() else 0 for word in c.split()[-1:]] for c in captions])

    def encode_image(self, pixels: Tensor) -> Tensor:
        self.calls["image"] += len(pixels)
        return self.image((pixels - 0.5).flatten(1))

    def encode_text(self, tokens: Tensor) -> Tensor:
        self.calls["text"] += len(tokens)
        return torch.stack([self._text(int(index)) for index in tokens[:, 0]]).to(tokens.device)

    def _text(self, index: int) -> Tensor:
        noise = torch.from_numpy(np.random.default_rng((self.seed, index)).normal(size=WIDTH)).float() * 8
        if not self.start <= index < self.stop:
            return noise
        seen = torch.from_numpy(np.asarray(picture(index)).copy()).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            return noise + self.leak * self.image((seen - 0.5).flatten(1))[0]

    def facts(self) -> lmia.TargetFacts:
        return lmia.TargetFacts("matrices", logit_scale=10.0, details={"weights": self.fingerprint()})

    def fingerprint(self) -> str:
        return digest(self.start, self.stop, self.leak, self.seed, self.image.weight.sum().item())


class Reflections(lmia.Views):
    """The picture, upside down and mirrored, and a caption view."""

    def views(self) -> dict[str, lmia.View]:
        return {
            "identity": lmia.View(),
            "down": lmia.View(image=_down),
            "mirror": lmia.View(image=_mirror),
            "loud": lmia.View(caption=str.upper),
        }


def _down(pixels: Tensor) -> Tensor:
    return pixels.flip(-2)


def _mirror(pixels: Tensor) -> Tensor:
    return pixels.flip(-1)


class Plain(lmia.Attack):
    """The cosine."""

    def score(self, samples: lmia.Samples) -> Tensor:
        return samples.cosine[:, 0]


class Loss(lmia.Attack):
    """Minus the gradient's norm at the image matrix: white-box."""

    needs = frozenset({"cosine", "gradients"})

    def measure(self, target: lmia.Target, batch: lmia.Batch, anchors: lmia.Samples | None) -> Mapping[str, Tensor]:
        pixels = batch.pixels.detach().requires_grad_()
        image = torch.nn.functional.normalize(target.encode_image(pixels), dim=-1)
        text = torch.nn.functional.normalize(target.encode_text(batch.tokens), dim=-1)
        (gradient,) = torch.autograd.grad((image * text).sum(), pixels)
        return {"norm": gradient.flatten(1).norm(dim=1)}

    def score(self, samples: lmia.Samples) -> Tensor:
        return -samples.measured["norm"]
