"""`python -m fuzz [READER ...] --inputs N --seed S`, from the folder of the tests: every reader in a process of its own.

Prints what became of the inputs, and of those that broke the contract the numbers, which `--only` repeats.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from ctypes import c_int64
from pathlib import Path
from typing import Any

from fuzz.contract import Outcome, fuzz
from fuzz.readers import READERS


def main() -> int:
    """Run what is asked for; 1 where an input broke the contract."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(READERS)}; all unless told")
    parser.add_argument("--inputs", type=int, help="for each; as many as a proof takes unless told")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this input alone, with what it raised")
    args = parser.parse_args()
    failed = False
    for name in args.readers or READERS:
        inputs = range(args.inputs or READERS[name].many) if args.only is None else [args.only]
        failed |= _report(name, *_apart(name, inputs, args.seed))
    return int(failed)


def _apart(name: str, inputs: range | list[int], seed: int) -> tuple[Outcome | None, int]:
    """Feed a reader in a process of its own, which an input may bring down; return what came, and the last input."""
    context = multiprocessing.get_context("fork")
    last, (ours, theirs) = context.Value(c_int64, -1), context.Pipe(duplex=False)
    process = context.Process(target=_feed, args=(name, inputs, seed, theirs, last))
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        found = None
    process.join()
    return found, int(last.value)


def _feed(name: str, inputs: range | list[int], seed: int, result: Any, last: Any) -> None:
    def counted() -> Iterator[int]:
        for number in inputs:
            last.value = number
            yield number

    with tempfile.TemporaryDirectory() as folder:
        result.send(fuzz(name, READERS[name].feed, Path(folder, "input"), counted(), seed))


def _report(name: str, found: Outcome | None, last: int) -> bool:
    """Print a line for a reader, and what broke its contract; say whether anything did."""
    if found is None:
        print(f"{name}: brought down by input {last}")
        return True
    rejected = sum(found.rejected.values())
    print(
        f"{name:11} {found.inputs:7,} inputs  {found.refused:7,} refused  {found.pairs:7,} pairs  {rejected:7,} rejected"
        f"  {len(found.broken):4} broke  {found.seconds:7.1f} s",
        flush=True,
    )
    kinds: dict[tuple[str, str], list[int]] = {}
    for number, said in found.broken.items():
        place = [line.strip() for line in said.splitlines() if line.startswith('  File "')][-1:]
        kinds.setdefault((said.strip().splitlines()[-1].partition(":")[0], *place), []).append(number)
    for numbers in kinds.values():
        print(f"--- {len(numbers)} like --only {numbers[0]}\n{found.broken[numbers[0]][-2500:]}")
    return bool(found.broken)


if __name__ == "__main__":
    sys.exit(main())
