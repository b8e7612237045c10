"""What every reader promises of every input, and how an input is held against it.

A reader gives pairs and rejected records, or says in an `LmiaError` what is wrong: no other exception, no hang, no memory
without bound; and where it is known how many records there are, each is accounted for.
"""

from __future__ import annotations

import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from lmia import LmiaError, Pair, Rejected

SECONDS = 20.0
"""Time of the processor that one input may take."""
STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MEMORY = 1 << 30
"""Bytes by which one input may let the process grow."""


@dataclass(frozen=True)
class Case:
    """One input, ready to be read.

    Args:
        read: reads it, to the end; what is no source yields nothing.
        records: how many records there are, where that is known.
    """

    read: Callable[[], Iterable[Pair | Rejected]]
    records: int | None = None


Feed = Callable[[Path, Random], Case]
"""A reader: writes one input into an empty folder."""


@dataclass
class Outcome:
    """What became of the inputs of one reader.

    Args:
        inputs: how many there were.
        refused: how many were refused in a sentence.
        pairs: records that could be used.
        rejected: records that could not, by reason.
        broken: what broke the contract: by the number of the input, what happened.
        seconds: wall time.
    """

    inputs: int = 0
    refused: int = 0
    pairs: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0


class Broken(AssertionError):
    """The contract is broken."""


class _Slow(BaseException):
    """Too much time; no `except Exception` of a reader's can hold it up."""


def fuzz(name: str, feed: Feed, folder: Path, inputs: Iterable[int], seed: int = 0) -> Outcome:
    """Feed a reader with inputs, each drawn from its own dice, and note what breaks the contract.

    Args:
        name: of the reader; part of the dice.
        feed: the reader.
        folder: for the inputs; emptied before each.
        inputs: their numbers: the same number, name and seed are the same input.
        seed: of all dice.
    """
    found, began = Outcome(), time.perf_counter()
    for number in inputs:
        found.inputs += 1
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            judge(feed(folder, Random(f"{name} {seed} {number}")), found)
        except (Exception, _Slow) as error:
            found.broken[number] = "".join(traceback.format_exception(error)[-9:])
    found.seconds = time.perf_counter() - began
    return found


def judge(case: Case, found: Outcome) -> None:
    """Read one input and hold it against the contract.

    Raises:
        Broken: a record was lost or made up, an error says nothing, or memory or time ran out.
        Exception: whatever else the reader raised.
    """
    with _bounded():
        try:
            records = list(case.read())
        except LmiaError as error:
            if not (error.problem.strip() and error.remedy.strip()):
                raise Broken(f"An error without a sentence: {error!r}") from error
            found.refused += 1
            return
    for record in records:
        if isinstance(record, Rejected):
            found.rejected[record.reason] += 1
        elif not isinstance(record, Pair):
            raise Broken(f"Neither a pair nor rejected: {record!r:.200}")
    found.pairs += sum(isinstance(record, Pair) for record in records)
    if case.records is not None and len(records) != case.records:
        raise Broken(f"{case.records} records, {len(records)} accounted for: {[one.key for one in records][:9]!r}")


@contextmanager
def _bounded() -> Iterator[None]:
    """Stop what takes more than `SECONDS` of the processor, and complain of what takes more than `MEMORY`."""

    def stop(*_: object) -> None:
        raise _Slow(f"more than {SECONDS} seconds")

    PEAK.write_text("5")  # the peak begins anew, at what is held now
    before, handler = _peak(), signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
    if (more := _peak() - before) > MEMORY:
        raise Broken(f"{more >> 20} MiB more")


def _peak() -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10
