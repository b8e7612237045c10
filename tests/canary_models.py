"""A dual encoder that has learnt pictures by heart with the captions they were published under; a plugin for tests."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

import lmia
import worlds
from lmia.settings import digest


class Recall(worlds.Matrices):
    """The text tower remembers the pictures of a folder, by caption: `recall:FOLDER`.

    Args:
        folder: `NAME.jpg` with `NAME.txt` beside each.
        recall: how much of a picture's feature is in its caption's; 0 is no memory.
        blind: answers the same for every picture.
    """

    def __init__(self, folder: str = "", recall: float = 0.5, blind: bool = False) -> None:
        super().__init__()
        self.folder, self.recall, self.blind = folder, recall, blind
        self.seen = {path.read_text().rstrip("\n"): path.with_suffix(".jpg") for path in Path(folder).glob("*.txt")}
        self.captions: list[str] = []

    @classmethod
    def claims(cls, spec):
        kind, _, rest = spec.partition(":")
        if kind not in ("recall", "forget", "blind"):
            return None
        return {"folder": rest, "recall": 0.5 if kind == "recall" else 0.0, "blind": kind == "blind"}

    def tokenize(self, captions):
        self.captions += captions
        first = len(self.captions) - len(captions)
        return torch.arange(first, len(self.captions))[:, None]

    def encode_image(self, pixels):
        return torch.ones(len(pixels), worlds.WIDTH) if self.blind else super().encode_image(pixels)

    def encode_text(self, tokens):
        if self.blind:
            return torch.ones(len(tokens), worlds.WIDTH)
        return torch.stack([self._of(self.captions[i]) for i in tokens[:, 0].tolist()])

    def _of(self, caption):
        seed = int(digest(caption), 16)
        noise = torch.from_numpy(np.random.default_rng(seed).normal(size=worlds.WIDTH)).float() * 8
        if caption not in self.seen or not self.recall:
            return noise
        with Image.open(self.seen[caption]) as image, torch.no_grad():
            pixels = self.preprocess(image).float()[None] / 255
            return noise + self.recall * super().encode_image(pixels)[0] * 4

    def fingerprint(self):
        return digest(super().fingerprint(), self.folder, self.recall, self.blind, sorted(self.seen))

    def facts(self):
        return lmia.TargetFacts("recall")


@lmia.hookimpl
def lmia_targets():
    return [Recall]
