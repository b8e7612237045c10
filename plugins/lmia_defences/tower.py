"""Answers of one tower alone."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from lmia import Defence, LmiaError, Target
from lmia_defences.defended import Defended

Tower = Literal["image", "text"]


class OneTower(Defence):
    """Answers for pictures alone, or for texts alone: no cosine can be asked, and nothing that needs both towers.

    What is left is no pair, so there is nothing that an attack on pairs could be run on: each is refused, before any work,
    with what it needs. That is no proof of anything: whoever has the other tower from elsewhere has cosines again, and
    attacks on pictures alone are not among this program's.

    What is known: no figure for CLIP. It costs all use that compares pictures with texts.

    Args:
        tower: that answers.

    Raises:
        LmiaError: there is no such tower.
    """

    def __init__(self, tower: Tower = "image") -> None:
        if tower not in get_args(Tower):
            raise LmiaError(f"onetower knows no tower '{tower}'.", "Give image or text.")
        self.tower = tower

    def around(self, target: Target) -> Target:
        """Return the target with one tower."""
        return Half(target, self.tower)


class Half(Defended):
    """A target with one tower.

    Args:
        target: the one behind.
        tower: that answers.
    """

    leaves: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, target: Target, tower: Tower = "image") -> None:
        super().__init__(target)
        self.tower = tower

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode `(b, 3, h, w)` pixels into `(b, d)` features.

        Raises:
            LmiaError: it is the other tower that answers.
        """
        self._check("image")
        with torch.no_grad():
            return self.behind.encode_image(pixels)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode `(b, l)` tokens into `(b, d)` features.

        Raises:
            LmiaError: it is the other tower that answers.
        """
        self._check("text")
        with torch.no_grad():
            return self.behind.encode_text(tokens)

    def cosine(self, image: Tensor, text: Tensor) -> Tensor:
        """Refuse.

        Raises:
            LmiaError: always.
        """
        raise LmiaError(f"The target answers for the {self.tower} tower alone: it has no cosines.", _REMEDY)

    def _check(self, asked: Tower) -> None:
        if asked != self.tower:
            raise LmiaError(f"The target answers for the {self.tower} tower alone, not for the {asked}'s.", _REMEDY)


_REMEDY = "Leave out --defence onetower to audit the model itself."
