"""How a broken law is said, and the ground every check stands on: generators in another state, inputs watched."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

_T = TypeVar("_T")


class ConformanceError(AssertionError):
    """A plugin breaks a law of its contract.

    Args:
        law: the law in a few words.
        found: what breaks it, with the value.
        remedy: what to do.

    Example:
        >>> print(ConformanceError("scores are finite", "3 of 10 are NaN", "guard the division"))
        scores are finite: 3 of 10 are NaN; guard the division.
    """

    def __init__(self, law: str, found: str, remedy: str) -> None:
        super().__init__(f"{law}: {found}; {remedy}.")
        self.law = law


def require(holds: bool, law: str, found: str, remedy: str) -> None:
    """Raise `ConformanceError` unless the law holds."""
    if not holds:
        raise ConformanceError(law, found, remedy)


@contextmanager
def generators(state: int, who: str) -> Iterator[None]:
    """Put the global generators of Python, NumPy and torch into some state; they must be left as they are.

    Their own states are restored at the end. Where modules were imported meanwhile it is not judged, as some draw while
    they load; every check calls again.

    Args:
        state: a number for the state.
        who: whose law it is.

    Raises:
        ConformanceError: one of them was moved.
    """
    before = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    try:
        random.seed(state)
        np.random.seed(state)
        torch.default_generator.manual_seed(state)
        put, loaded = _states(), len(sys.modules)
        yield
        moved = [name for name, value in _states().items() if value != put[name] and len(sys.modules) == loaded]
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.random.set_rng_state(before[2])
    require(
        not moved,
        "no hidden randomness",
        f"{who} moved the global generator of {' and '.join(moved)}",
        "draw from a generator of your own, made from a seed",
    )


def _states() -> dict[str, object]:
    _, words, *rest = np.random.get_state()
    return {
        "random": random.getstate(),
        "numpy": (np.asarray(words).tobytes(), *rest),
        "torch": torch.random.get_rng_state().numpy().tobytes(),
    }


def same(one: Tensor, other: Tensor, relative: float) -> bool:
    """Whether two tensors agree within `relative` of the largest magnitude in the first; NaN agrees with nothing.

    Example:
        >>> same(torch.tensor([1.0, 1e-9]), torch.tensor([1.0, 0.0]), 1e-6)
        True
    """
    if one.shape != other.shape:
        return False
    if not one.numel():
        return True
    gap = (one.double() - other.double()).abs().max()
    return bool(gap <= relative * one.double().abs().max())


def largest_gap(one: Tensor, other: Tensor) -> str:
    """Say how far two tensors of the same shape lie apart, and where.

    Example:
        >>> largest_gap(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
        'row 1 differs by 0.5'
    """
    gap = (one.double() - other.double()).abs().flatten(1) if one.dim() > 1 else (one.double() - other.double()).abs()
    rows = gap.max(dim=1).values if gap.dim() > 1 else gap
    row = int(rows.nan_to_num(torch.inf).argmax())
    return f"row {row} differs by {float(rows[row]):.3g}"


def called(law: str, what: str, remedy: str, call: Callable[[], _T]) -> _T:
    """Return `call()`; whatever it raises becomes a broken law, with the cause behind it."""
    try:
        return call()
    except ConformanceError:
        raise
    except Exception as error:  # whatever a stranger's code raises
        said = " ".join(str(error).split()) or "no message"
        raise ConformanceError(law, f"{what} raised {type(error).__name__}: {said}", remedy) from error
