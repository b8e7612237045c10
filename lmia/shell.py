"""The `lmia` command: help, version and dispatch. Only the standard library is imported before a command is chosen."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from traceback import format_exception
from types import TracebackType

from lmia.errors import LmiaError, nearest
from lmia.faults import out_of_memory, ran_out
from lmia.sweeping import unswept

HELP = """\
lmia: was this in the training data? Audit CLIP-like models by membership inference.

  lmia audit --plugin wsa                       a demo, on pictures drawn and a small model shipped for it
  lmia audit --plugin csa --plugin wsa \\
       --model ViT-B-16 --pretrained laion400m_e32 \\
       --members 'in/{00000..00009}.tar' --nonmembers 'out/{00000..00009}.tar'
                                                what does this model leak? (you know who was in)
  lmia audit --plugin wsa --model local-dir:my-clip \\
       --suspects mine.csv --known-nonmembers 'later/*.tar'
                                                were these used? (you do not)
  lmia audit --config configs/wsa.yaml          the same from a file; every report holds one to replay it

Commands
  audit      audit a model; `lmia audit --help` explains every option
  fit        train a target whose members are known, to try attacks and defences on
  study      a grid of trainings and audits from one file, to a table, a figure and a page
  control    would an audit have found your data? train on half of them with planted repeats, and see
  plugins    list the attacks, targets, views, sources and defences that are installed
  data       `lmia data check`: what is twice in the data, within a role and across roles; no model is needed
  lookup     is your collection listed in an index of training data? listed, near copy listed, not listed
  dataset    was this collection used? one p-value against pairs that the model cannot have seen
  verify     recompute a report's numbers from its scores, and name what is not as written
  seal       fix what an audit will do before anything is scored, and print a digest of it to publish
  show       finished audits side by side: the attack, what stands against it, the verdict
  compare    set two audits of the same pairs side by side, pair by pair
  unlearned  did a model forget? the model before and after, or audits of both, within a margin
  canary     the only proof an owner can have: publish one of many variants by lot, then test which one a model prefers

Options
  --version  print the version
  --help     print this

Results go to ./lmia-audit (or --out DIR): report.html to read, report.json and scores.parquet to compute with.
Exit codes: 0 done, 1 a fault of lmia or of a plugin (with traceback), 2 something you can mend (said in two lines).
"""

COMMANDS = {"audit": "lmia.cli:audit", "plugins": "lmia.cli:plugins"} | {
    word: f"lmia.commands.{word}:main"
    for word in (
        "show",
        "verify",
        "compare",
        "unlearned",
        "canary",
        "data",
        "lookup",
        "dataset",
        "seal",
        "fit",
        "study",
        "control",
    )
}
"""Where each command lives; only the one that was asked for is imported."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_LONGEST = 4000


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.excepthook = _traced
    code = run(list(sys.argv[1:] if argv is None else argv))
    gc.freeze()  # else Python would go through every module for garbage as it ends, for three seconds
    sys.exit(code)


def run(argv: list[str]) -> int:
    """Run a command and return its exit code: 0, 2 with two lines on standard error, or 130 (143) where it was told to end.

    Example:
        >>> run(["--version"])
        lmia 0.1.0
        0
    """
    return _guarded(lambda: _command(argv[0] if argv else "--help", argv[1:]))


def _command(word: str, argv: list[str]) -> int:
    if word in ("--help", "-h", "help"):
        print(HELP, end="")
        return 0
    if word == "--version":
        from lmia import __version__

        print(f"lmia {__version__}")
        return 0
    if word not in COMMANDS:
        raise LmiaError(f"There is no command '{word}'.", f"{nearest(word, list(COMMANDS))} `lmia --help` shows more.")
    with unswept():
        command = _imported(COMMANDS[word])
    return command(argv)


def _imported(place: str) -> Callable[[list[str]], int]:
    """Import a command; torch comes with it where the command has use for it, which takes seconds."""
    module, _, function = place.partition(":")
    try:
        command: Callable[[list[str]], int] = getattr(import_module(module), function)
    except Exception:
        _check_torch()
        raise
    if "torch" in sys.modules:
        _check_torch()
    return command


def _check_torch() -> None:
    """Say in plain words that torch and torchvision do not match; Lightning would fail over it in ways of its own."""
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        raise LmiaError(
            f"torch and torchvision do not match: {error}.",
            "Install them together: pip install --upgrade torch torchvision",
        ) from error


def _guarded(command: Callable[[], int]) -> int:
    """Turn a user's mistake into two lines; let every other fault keep its traceback."""
    try:
        code = command()
        sys.stdout.flush()
        return code
    except LmiaError as error:
        return _say(error.problem, error.remedy)
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):  # Lightning makes exit code 1 of it
            return _interrupted()
        if type(leaving).__name__ == "SIGTERMException":  # and of a request to end, 0
            return _interrupted(143)
        raise
    except BrokenPipeError:  # the reader has seen enough (`lmia plugins | head`); Python would complain when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if (told := _fault(error)) is None:
            raise
        return _say(*told)


def _fault(error: Exception) -> tuple[str, str] | None:
    """Say what an error tells of the machine: a disk that is full or closed, memory that ran out."""
    if out_of_memory(error):
        return ran_out(error), "Free some memory, or give fewer pairs (SPEC?n=1000&seed=0); what was extracted is kept."
    if not isinstance(error, OSError) or error.errno not in (*_FULL, *_CLOSED):
        return None
    where = error.filename or "A file"
    if error.errno in _FULL:
        return f"{where} cannot be written: {error.strerror}.", "Free some space there, or give --out DIR."
    return f"{where} cannot be opened: {error.strerror}.", "Mend its permissions, or choose another."


def _interrupted(code: int = 130) -> int:
    print("Interrupted; what was extracted is kept, and the same command goes on from there.", file=sys.stderr)
    return code


def _say(problem: str, remedy: str) -> int:
    """Print two lines, whatever a message from elsewhere holds: line breaks, escapes, or a name of a million letters."""
    print(f"lmia: {_line(problem)}\n{_line(remedy)}", file=sys.stderr)
    return 2


def _line(said: str) -> str:
    from lmia.report.visible import visible

    line = visible(" ".join(said[:_LONGEST].split()))
    return f"{line} ..." if len(said) > _LONGEST else line


def _traced(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback as Python does, with what cannot be seen written out: its last line may quote data."""
    from lmia.report.visible import visible

    print(visible("".join(format_exception(kind, error, trace)), lines=True), end="", file=sys.stderr)
