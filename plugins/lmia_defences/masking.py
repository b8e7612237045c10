"""Captions with words left out."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from lmia import Defence
from lmia_defences.bounds import bounded


class MaskCaptions(Defence):
    """Leaves words out of captions, other ones at every showing, so that no picture is tied to one exact sentence.

    What is known: to randomise captions mitigates memorisation in CLIP "considerably", at a moderate loss of use (Deja Vu,
    arXiv 2402.02103). How that paper draws what goes is not followed here. It costs the tokenizer's time at every step.

    Args:
        share: the chance of every word to go; at least one of a caption is kept.

    Raises:
        LmiaError: the share is below 0, or not below 1.

    Example:
        >>> MaskCaptions(0.5).captions(["a red bus in front of a house"], Random(1))
        ['red bus a house']
    """

    def __init__(self, share: float = 0.3) -> None:
        bounded(self, "share", share, 0, 1, below=True)
        self.share = share

    def captions(self, captions: Sequence[str], draw: Random) -> list[str]:
        """Leave words out; a caption that loses none stays as it is, spaces and all."""
        return [self._masked(caption, draw) for caption in captions]

    def _masked(self, caption: str, draw: Random) -> str:
        words = caption.split()
        kept = [word for word in words if draw.random() >= self.share]
        if len(kept) == len(words):
            return caption
        return " ".join(kept or [draw.choice(words)])
