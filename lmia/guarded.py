"""A pass over a model, and whatever can go wrong in it turned into two lines: strangers' code, memory, disks, killed companions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Trainer

from lmia.companions import companions
from lmia.contained import contained
from lmia.faults import faults
from lmia.quiet import quiet

_SMALLER = "Give fewer pairs a batch, with --batch, or read on threads, with --workers 0."
_KEPT = "Finished shards are kept, and the same command goes on from there."


@contextmanager
def guarded(trainer: Trainer) -> Iterator[None]:
    """Guard a pass.

    Args:
        trainer: runs it.

    Raises:
        LmiaError: memory or disk ran out, a process was killed, or the target, a view or a source tried to end the program.

    Example:
        >>> from lmia.record import trainer
        >>> with guarded(trainer(accelerator="cpu")):
        ...     pass
    """
    with contained("The target, a view or a source"), quiet(), faults(_SMALLER, _KEPT), companions(trainer):
        yield
