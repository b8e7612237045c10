"""The processes of a run on several devices: where one is killed, the others end too, and say so."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from threading import Event, Thread

import torch.distributed
from lightning.pytorch import Trainer

SECONDS = 0.5
"""Between two looks; Lightning looks every five seconds, and then kills what is left without a word."""


@contextmanager
def companions(trainer: Trainer) -> Iterator[None]:
    """End this process if one that shares its work is killed meanwhile: it would wait for it for ever.

    A first process looks after those that it started, and those look after it. Whatever else started them, such as
    torchrun or srun, does it for them.

    Args:
        trainer: whose devices share the work.

    Example:
        >>> from lmia.record import trainer
        >>> with companions(trainer(accelerator="cpu")):
        ...     pass
    """
    ended, parent = Event(), os.getppid()

    def look() -> None:
        while not ended.wait(SECONDS):
            codes = [one.poll() for one in _started(trainer)]
            orphan = not trainer.is_global_zero and os.getppid() != parent
            absent = 0 in codes and not torch.distributed.is_initialized()
            if orphan or absent or any(codes):
                _end(trainer, next((code for code in codes if code and code > 0), None))

    watch = Thread(target=look, name="companions", daemon=True)
    if trainer.world_size > 1:
        watch.start()
    try:
        yield
    finally:
        ended.set()


def gathered(trainer: Trainer) -> bool:
    """Whether other processes share the work already: all go into a pass then, even one that finds nothing to do in it.

    Else they are only started when the first one goes in.

    Example:
        >>> from lmia.record import trainer
        >>> gathered(trainer(accelerator="cpu"))
        False
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    outside = environment is not None and environment.creates_processes_externally
    return trainer.world_size > 1 and (outside or torch.distributed.is_initialized())


def _started(trainer: Trainer) -> list[Popen[bytes]]:
    procs = getattr(trainer.strategy.launcher, "procs", None) or ()
    return [one for one in procs if isinstance(one, Popen)]


def _end(trainer: Trainer, code: int | None) -> None:
    """Leave at once: the main thread may wait within a library, where no exception reaches it.

    Args:
        trainer: whose processes are to end.
        code: with which one of them ended by itself; it has said why.
    """
    absent = any(one.poll() == 0 for one in _started(trainer))
    why = "found nothing to do: another run has just done it" if absent else "was killed, perhaps for want of memory"
    for one in _started(trainer):
        one.kill()
    if trainer.is_global_zero and code is None:
        print(
            f"lmia: Another process of this run {why}.\nRun the same command again; what is finished is kept.",
            file=sys.stderr,
            flush=True,
        )
    os._exit(2 if code is None else code)
