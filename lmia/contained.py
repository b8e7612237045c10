"""A stranger's code at work: what it sets for the whole process is put back, and it cannot end the program."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lmia.errors import LmiaError

_Setting = tuple[Callable[[], Any], Callable[[Any], object]]  # how to get it, and how to put it back

_GENERATORS: tuple[_Setting, ...] = (
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (torch.random.get_rng_state, torch.random.set_rng_state),
)
_SETTINGS: tuple[_Setting, ...] = (
    (os.getcwd, os.chdir),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
)
"""Put back only where they were changed: setting some of them costs time, or says more than was said before."""


@contextmanager
def contained(who: str) -> Iterator[None]:
    """Let a stranger's code run: generators, folder, number type, threads and gradient mode are put back behind it.

    It is no sandbox: a plugin can do all that its user can.

    Args:
        who: whose code it is, to begin a sentence with.

    Raises:
        LmiaError: it tried to end the program, which would pass for an audit that is done.

    Example:
        >>> with contained("The attack 'x'"):
        ...     torch.set_default_dtype(torch.float64)
        >>> torch.get_default_dtype()
        torch.float32
        >>> with contained("The attack 'x'"):
        ...     raise SystemExit(0)
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The attack 'x' tried to end the program (exit code 0).
        Leave it out, or tell its author.
    """
    drawn, were = [get() for get, _ in _GENERATORS], [get() for get, _ in _SETTINGS]
    try:
        yield
    except SystemExit as leaving:
        if isinstance(leaving, SIGTERMException) or isinstance(leaving.__context__, KeyboardInterrupt):
            raise  # somebody told the program to end, and Lightning makes a leaving of it
        problem = f"{who} tried to end the program (exit code {leaving.code})."
        raise LmiaError(problem, "Leave it out, or tell its author.") from leaving
    finally:
        for (_, put), state in zip(_GENERATORS, drawn, strict=True):
            put(state)
        for (get, put), value in zip(_SETTINGS, were, strict=True):
            if get() != value:
                put(value)
