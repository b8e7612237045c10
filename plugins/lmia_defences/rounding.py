"""Cosines told to a few digits."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from lmia import Defence, Target
from lmia_defences.bounds import bounded
from lmia_defences.defended import Defended
from lmia_defences.envelope import Envelope


class Rounding(Defence):
    """Answers cosines alone, rounded: features are closed, so that nobody can compute the digits that are left out.

    What is known: no figure for CLIP. It costs the use that fine differences have, and all use that needs features; to
    close or open a row takes some tens of microseconds on the CPU. Whoever may ask about many slightly changed pictures can learn finer
    digits from where the answer jumps.

    Args:
        digits: behind the point.

    Raises:
        LmiaError: digits are not from 0 to 6.
    """

    def __init__(self, digits: int = 2) -> None:
        bounded(self, "digits", digits, 0, 6)
        self.digits = digits

    def around(self, target: Target) -> Target:
        """Return the target that answers rounded cosines."""
        return Rounded(target, self.digits)


class Rounded(Defended):
    """A target that answers cosines alone, rounded.

    Args:
        target: the one behind.
        digits: behind the point.
    """

    leaves: ClassVar[frozenset[str]] = frozenset({"cosine"})

    def __init__(self, target: Target, digits: int = 2) -> None:
        super().__init__(target)
        self.digits = digits
        self._envelope = Envelope()

    @property
    def sealed(self) -> bool:
        """They are."""
        return True

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode `(b, 3, h, w)` pixels into `(b, 2 d + 8)` closed features, good for `cosine` alone."""
        with torch.no_grad():
            return self._envelope.close(self.behind.encode_image(pixels), "image")

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode `(b, l)` tokens into `(b, 2 d + 8)` closed features, good for `cosine` alone."""
        with torch.no_grad():
            return self._envelope.close(self.behind.encode_text(tokens), "text")

    def cosine(self, image: Tensor, text: Tensor) -> Tensor:
        """Open the features of both towers, compare, and round: `(b,)` float32.

        Raises:
            LmiaError: the features are not this target's, or were changed.
        """
        opened = self._envelope.open(image, "image"), self._envelope.open(text, "text")
        rounded = self.behind.cosine(*opened).double().round(decimals=self.digits)
        return (rounded + 0.0).float()  # no -0.0, which would tell a sign that rounding took away
