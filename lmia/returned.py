"""What a stranger's towers and views give back, checked as it comes: a fault that goes on is scored, and kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, uint8

from lmia.errors import LmiaError
from lmia.target import Target

_TELL = "Tell its author; `lmia.testing` has the checks that find this."


def check_picture(target: Target) -> None:
    """Refuse a target whose pictures are not what the reader takes them for; other numbers would be divided by 255.

    Raises:
        LmiaError: `preprocess` does not return `(3, h, w)` uint8.
    """
    made: object = target.preprocess(Image.new("RGB", (8, 8)))
    if not isinstance(made, Tensor) or made.dtype != uint8 or made.dim() != 3 or len(made) != 3:
        raise LmiaError(f"{_name(target)}.preprocess returned {told(made)}, not (3, h, w) uint8.", _TELL)


def seen(transform: Callable[[Tensor], Tensor], pixels: Tensor, view: str) -> Tensor:
    """Return a view of `(b, 3, h, w)` pictures, which other views look at as well.

    Raises:
        LmiaError: it is of another shape, or the pictures themselves were changed.

    Example:
        >>> import torch
        >>> seen(lambda pixels: pixels.zero_(), torch.ones(1, 3, 2, 2), "black")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The view 'black' changed the pictures that it was given.
        Other views look at the same ones: it must work on a copy; tell its author.
    """
    before = pixels._version
    made = transform(pixels)
    if pixels._version != before:
        remedy = "Other views look at the same ones: it must work on a copy; tell its author."
        raise LmiaError(f"The view '{view}' changed the pictures that it was given.", remedy)
    if not isinstance(made, Tensor) or made.shape != pixels.shape:
        raise LmiaError(f"The view '{view}' made {told(made)} of pictures {told(pixels)}.", _TELL)
    return made


def features(found: Tensor, n: int, target: Target, tower: str) -> Tensor:
    """Return what a tower answered of n inputs, as float32 `(n, d)`.

    Raises:
        LmiaError: it is something else.
    """
    if not isinstance(found, Tensor) or found.dim() != 2 or len(found) != n or found.is_complex():
        raise LmiaError(f"{_name(target)}.{tower} returned {told(found)} for {n} inputs, not ({n}, d).", _TELL)
    return found.float()


def check_finite(values: NDArray[np.floating], target: Target, column: str) -> None:
    """Refuse to keep what no number can be made of.

    Raises:
        LmiaError: a value is NaN or infinite.
    """
    if bad := int((~np.isfinite(values)).sum()):
        problem = f"{_name(target)} answered {bad} numbers of {values.size} that are NaN or infinite ({column})."
        raise LmiaError(
            problem, "Its weights may be damaged, or its precision too small: try --precision bf16 or fp32."
        )


def told(value: object) -> str:
    """Say what a value is: shape and type of a tensor, else the name of its type.

    Example:
        >>> import torch
        >>> told(torch.zeros(2, 3)), told(None)
        ('(2, 3) float32', 'NoneType')
    """
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
    return type(value).__name__


def _name(target: Target) -> str:
    return type(target).__name__
