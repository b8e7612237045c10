"""Python's search for garbage, put off where there is none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unswept() -> Iterator[None]:
    """Do not look for garbage for a while: imports make a million objects to keep, and looking costs a fifth of their time.

    Example:
        >>> with unswept():
        ...     import json
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
