"""The range of an option."""

from __future__ import annotations

import math

from lmia import LmiaError


def bounded(owner: object, name: str, value: float, low: float, high: float = math.inf, below: bool = False) -> None:
    """Check that an option is a number in its range.

    Args:
        owner: whose option it is.
        name: of the option.
        value: it must be finite.
        low: the least that is allowed.
        high: the most that is allowed.
        below: whether `high` itself is too much.

    Raises:
        LmiaError: the value is out of range.

    Example:
        >>> bounded(object(), "rate", 1.0, 0, 1, below=True)
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The rate of object cannot be 1.0.
        Give a number of at least 0 and below 1.
    """
    if math.isfinite(value) and low <= value <= high and not (below and value == high):
        return
    most = "" if high == math.inf else f" and {'below' if below else 'at most'} {high:g}"
    who = type(owner).__name__.lower()
    raise LmiaError(f"The {name} of {who} cannot be {value}.", f"Give a number of at least {low:g}{most}.")
