"""A stranger's code at work: what it sets for the whole process is put back, it cannot end the program, what it writes shows."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

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

_WORD = 8
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, _WORD: torch.int64}


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


def bits(tensor: Tensor) -> Tensor:
    """Return a tensor's bits as integers, of eight bytes where its rows divide into such: they add up in a tenth of the time.

    `_version` does not count what is written through `.data` or `.numpy()`; a sum of these tells that as well.

    Example:
        >>> bits(torch.zeros(2, 6)).shape, bits(torch.zeros(2, 3)).shape
        (torch.Size([2, 3]), torch.Size([2, 3]))
        >>> bits(torch.tensor([1.0, -1.0])).sum() == bits(torch.tensor([-1.0, 1.0])).sum()
        tensor(False)
    """
    plain = torch.view_as_real(tensor.detach()) if tensor.is_complex() else tensor.detach()
    small = plain.view(_INTEGERS[plain.element_size()])
    many = _WORD // small.element_size()
    places = (*small.shape[-1:], *small.stride()[:-1], small.storage_offset())
    whole = small.stride()[-1:] == (1,) and not any(place % many for place in places)
    return small.view(torch.int64) if whole else small
