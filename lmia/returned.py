"""What a stranger's towers, views and attacks give back, checked as it comes: a fault that goes on is scored, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

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
    """Return a view of `(b, 3, h, w)` pictures, which other views look at as well: it is handed a copy.

    Raises:
        LmiaError: it is of another shape, or the copy was seen to be changed.

    Example:
        >>> import torch
        >>> seen(lambda pixels: pixels.zero_(), torch.ones(1, 3, 2, 2), "black")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The view 'black' changed the pictures that it was given.
        Other views look at the same ones: it must work on a copy; tell its author.
    """
    copy = pixels.clone()  # not every write is counted, and to look for them would make a GPU wait
    before = copy._version
    made = transform(copy)
    if copy._version != before:
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


def findings(found: object, attack: str) -> dict[str, object]:
    """Return what an attack found, once it is what a report can hold.

    Raises:
        LmiaError: it is no mapping, or holds what JSON cannot.

    Example:
        >>> findings({"kept": np.float32(1)}, "odd")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The attack 'odd' has findings that are not JSON: Object of type float32 is not JSON serializable.
        Its findings must be plain numbers (not NaN), texts, lists and dicts by name; tell its author.
    """
    remedy = "Its findings must be plain numbers (not NaN), texts, lists and dicts by name; tell its author."
    if not isinstance(found, Mapping):
        raise LmiaError(f"The attack '{attack}' returned {told(found)} as its findings.", remedy)
    try:
        json.dumps(dict(found), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise LmiaError(f"The attack '{attack}' has findings that are not JSON: {error}.", remedy) from error
    return dict(found)


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
