"""Augmentation sets: named, deterministic views of an image or a caption."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lmia.errors import LmiaError
from lmia.settings import Made


@dataclass(frozen=True)
class View:
    """One way of looking at a pair. A part left None is left as it is, and is not encoded again.

    Args:
        image: `(b, 3, h, w)` in [0, 1] to the same shape and range; the same for every sample, whoever its batch-mates.
        caption: a caption to a caption.
    """

    image: Callable[[Tensor], Tensor] | None = None
    caption: Callable[[str], str] | None = None


IDENTITY = View()


class Views(Made, ABC):
    """An augmentation set. Its typed `__init__` is its command line; equal arguments mean equal views."""

    @abstractmethod
    def views(self) -> dict[str, View]:
        """Return the views in order by name; the first is `"identity": View()`."""


class Identity(Views):
    """No augmentation: the pair as it is, and nothing else.

    Example:
        >>> list(Identity().views())
        ['identity']
    """

    def views(self) -> dict[str, View]:
        """Return the identity view alone."""
        return {"identity": IDENTITY}


def checked_views(augmentation: Views) -> dict[str, View]:
    """Return an augmentation set's views, the identity first.

    Raises:
        LmiaError: the set does not begin with `"identity": View()`.
    """
    views = augmentation.views()
    if next(iter(views), None) != "identity" or views["identity"] != IDENTITY:
        raise LmiaError(
            f"The views {list(views)[:3]} of {type(augmentation).__name__} do not begin with an untouched 'identity'.",
            "Its author must return {'identity': lmia.View(), ...}.",
        )
    return views
