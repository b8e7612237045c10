"""A study under way: trainings with their cells, one after the other or in several processes, resumed cell by cell.

Processes of the standard library are the whole scheduler. Hydra's and ray's sweeps bring a config language or a cluster of
their own and resume by job, where a study has to share trainings between its cells and resume within a training.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lmia.alone import alone
from lmia.errors import LmiaError
from lmia.report.visible import visible
from lmia.study.cell import audit, close, finished, train, unfinished
from lmia.study.grid import Cell

LOG, MARK = "log.txt", "study.json"
"""What trainings and audits say on the way; and what marks a folder as a study's."""
POLL = 0.5
"""Seconds between looks at what other processes have finished."""

Tell = Callable[[Cell], None]


@dataclass(frozen=True)
class Made:
    """What became of a study's cells.

    Args:
        cells: all of them.
        failed: those that ended in a mistake, with the reason.
    """

    cells: Sequence[Cell]
    failed: dict[str, str]


def run_study(cells: Sequence[Cell], out: Path, jobs: int = 1) -> Made:
    """Make every cell that is not finished; a study that was broken off goes on where it was.

    Args:
        cells: of `lmia.study.grid`.
        out: the study's folder.
        jobs: processes; each takes a training with all its cells, and its share of the cores.

    Raises:
        LmiaError: the folder holds something else, or a process died.
    """
    check_folder(out)
    if jobs < 1:
        raise LmiaError(f"A study cannot run in {jobs} processes.", "Give --jobs 1 or more.")
    with alone(out):
        (out / MARK).touch()
        todo = unfinished(cells, out)
        with _told(len(cells), len(cells) - len(todo)) as tell:
            (_singly if jobs == 1 else _together)(_groups(todo), out, jobs, tell)
    ends = {cell.name: finished(cell, out) or {} for cell in cells}
    return Made(cells, {name: str(end["failed"]) for name, end in ends.items() if "failed" in end})


def check_folder(out: Path, mark: Path = Path(MARK), what: str = "study") -> None:
    """Refuse a folder that holds something but a study, or what else leaves its mark there.

    Args:
        out: the folder.
        mark: the file in it by which it is known.
        what: it is to hold.

    Raises:
        LmiaError: it does.

    Example:
        >>> check_folder(Path("nowhere"))
    """
    if out.exists() and not out.is_dir():
        raise LmiaError(f"'{out}' is no folder.", "Give another --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / mark).exists():
        raise LmiaError(f"'{out}' is not empty, and holds no {what}.", "Give another --out.")


def make(group: Sequence[Cell], out: Path, tell: Tell | None = None) -> None:
    """Make a training and every cell that audits it; a training that cannot be made fails them all.

    Args:
        group: cells of one training.
        out: the study's folder.
        tell: called with every cell that is done.
    """
    failed = ""
    with (out / LOG).open("a", buffering=1) as log, redirect_stderr(log):
        print(f"training {group[0].training.key}", file=log)
        try:
            train(group[0].training, out)
        except LmiaError as error:
            failed = f"{error.problem} {error.remedy}"
        for cell in group:
            print(visible(f"cell {cell.name}: {failed or 'auditing'}"), file=log)
            if failed:
                close(cell, out, {"failed": failed})
            else:
                audit(cell, out)
            if tell is not None:
                tell(cell)


def _groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Put cells of one training together, in order."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.training.key, []).append(cell)
    return list(found.values())


def _singly(groups: Sequence[Sequence[Cell]], out: Path, jobs: int, tell: Tell) -> None:
    for group in groups:
        make(group, out, tell)


def _together(groups: Sequence[Sequence[Cell]], out: Path, jobs: int, tell: Tell) -> None:
    """Let processes make the groups, and tell of cells as their records appear."""
    waiting = {cell.key: cell for group in groups for cell in group}
    before = {key: finished(cell, out) for key, cell in waiting.items()}
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_begin, initargs=(jobs,))
    try:
        pending: set[Future[None]] = {pool.submit(make, group, out) for group in groups}
        while pending:
            done, pending = wait(pending, POLL, FIRST_COMPLETED)
            for one in done:
                one.result()
            for key, cell in list(waiting.items()):
                if finished(cell, out) != before[key]:
                    tell(waiting.pop(key))
    except BrokenProcessPool as error:
        problem = "A process of the study died, perhaps for want of memory."
        raise LmiaError(problem, "Run the same command again with fewer --jobs; what is done is kept.") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(jobs: int) -> None:
    """Give a process its share of the cores: torch threads that want the same core slow each other down severalfold."""
    Thread(target=_follow, name="study", daemon=True).start()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // jobs))


def _follow() -> None:
    """End where the study was killed: whatever outlives it holds its memory, and the cells that the same command makes anew."""
    study = parent_process()
    assert study is not None  # a pool's process has one
    study.join()
    os._exit(2)


@contextmanager
def _told(cells: int, done: int) -> Iterator[Tell]:
    """Show a bar of cells to a person, and say a line a cell to a file."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        count = iter(range(done + 1, cells + 1))
        yield lambda cell: print(
            visible(f"cell {next(count, cells)} of {cells}: {cell.name}"), file=console.file, flush=True
        )
        return
    columns = (TextColumn("Cells"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[last]}", markup=False), console=console) as bar:
        task = bar.add_task("cells", total=cells, completed=done, last="")
        yield lambda cell: bar.update(task, advance=1, last=visible(cell.name))
