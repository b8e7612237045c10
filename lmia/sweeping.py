"""Looking for garbage where there is none: put off while modules come in, and left out when a command is done."""

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


def spare() -> None:
    """Exempt all there is now from the search: at its end Python would go through every module for nothing, for seconds.

    Example:
        >>> spare()
        >>> gc.get_freeze_count() > 0
        True
        >>> gc.unfreeze()
    """
    gc.freeze()
