"""The `lmia` command: help, version and dispatch. Only the standard library is imported before a command is chosen."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches

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
  plugins    list the attacks, targets, views and sources that are installed

Options
  --version  print the version
  --help     print this

Results go to ./lmia-audit (or --out DIR): report.html to read, report.json and scores.parquet to compute with.
Exit codes: 0 done, 1 a fault of lmia or of a plugin (with traceback), 2 something you can mend (said in two lines).
"""

_MISMATCH = "torchvision"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))


def run(argv: list[str]) -> int:
    """Run a command and return its exit code: 0, or 2 with two lines on standard error.

    Example:
        >>> run(["--version"])
        lmia 0.1.0
        0
    """
    word = argv[0] if argv else "--help"
    if word in ("--help", "-h", "help"):
        print(HELP, end="")
        return 0
    if word == "--version":
        from lmia import __version__

        print(f"lmia {__version__}")
        return 0
    if word not in ("audit", "plugins"):
        near = get_close_matches(word, ["audit", "plugins"], n=1)
        hint = f"Did you mean 'lmia {near[0]}'? " if near else ""
        return _say(f"There is no command '{word}'.", f"{hint}`lmia --help` shows what there is.")
    return _guarded(lambda: _command(word, argv[1:]))


def _command(word: str, argv: list[str]) -> int:
    from lmia import cli

    return cli.audit(argv) if word == "audit" else cli.plugins(argv)


def _guarded(command: Callable[[], int]) -> int:
    """Turn a user's mistake into two lines; let every other fault keep its traceback."""
    from lmia.errors import LmiaError

    try:
        return command()
    except LmiaError as error:
        return _say(error.problem, error.remedy)
    except KeyboardInterrupt:
        print("Interrupted; what was extracted is kept, and the same command goes on from there.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ImportError, RuntimeError) as error:
        if _MISMATCH not in str(error) or "lmia" in sys.modules.get("torchvision", sys).__name__:
            raise
        return _say(
            f"torch and torchvision do not match: {str(error).splitlines()[0]}.",
            "Install them together: pip install --upgrade torch torchvision",
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        return _say(
            f"{error.filename or 'A file'} cannot be written: {error.strerror}.", "Free some space, or give --out DIR."
        )


def _say(problem: str, remedy: str) -> int:
    print(f"lmia: {problem}\n{remedy}", file=sys.stderr)
    return 2
