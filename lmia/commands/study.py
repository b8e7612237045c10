"""`lmia study NAME`: a grid of trainings and audits from one file, resumed cell by cell, with its table and figure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import join

from rich.console import Console
from rich.text import Text

from lmia.commands import Parser
from lmia.commands.fit import request as fit_request
from lmia.errors import LmiaError
from lmia.report.visible import visible
from lmia.request import request as audit_request
from lmia.study import grid, read_study, run_study
from lmia.study.outlay import outlay
from lmia.study.page import write_study
from lmia.study.plan import shipped
from lmia.study.run import check_folder

ABOUT = """\
Train a grid of targets whose members are known, audit them all, and lay the results side by side.

  lmia study                    list the studies that come with lmia
  lmia study repeats --dry-run  how many cells and minutes
  lmia study repeats            results in ./lmia-study/repeats: index.html, table.csv, figure.png
  lmia study mine.yaml --jobs 2

The same command goes on with a study that was broken off; cells that are finished are not made again."""


def main(argv: Sequence[str]) -> int:
    """Run `lmia study` with the words behind it.

    Raises:
        LmiaError: the study, or something in it, is wrong; or every cell failed.
    """
    parser = Parser("study", ABOUT)
    parser.add_argument("study", nargs="?", metavar="NAME", help="a study that comes with lmia, or FILE.yaml")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (./lmia-study/NAME)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes, which share the cores (1)")
    parser.add_argument("--dry-run", action="store_true", help="say what it takes, and stop")
    args = parser.parse_args(argv)
    if args.study is None:
        for name in sorted(shipped()):
            print(f"{name:12} {visible(read_study(name).title)}")
        return 0
    study = read_study(args.study)
    out = args.out or Path("lmia-study", study.name)
    check_folder(out)
    cells = grid(study, fit_request, audit_request)
    for line in [study.title, *outlay(study, cells, out).said()]:
        print(visible(line), flush=True)
    if args.dry_run:
        return 0
    made = run_study(cells, out, args.jobs)
    words = ["lmia", "study", args.study, *(["--out", str(args.out)] if args.out else [])]
    write_study(study, cells, out, join(words))
    if len(made.failed) == len(cells):
        name, reason = next(iter(made.failed.items()))
        raise LmiaError(f"No cell could be made; '{name}': {reason}", f"{out / 'log.txt'} has the rest.")
    for name, reason in made.failed.items():
        print(visible(f"Not made: {name}: {reason}"), file=sys.stderr)
    Console().print(Text(visible(f"{len(cells) - len(made.failed)} of {len(cells)} cells. Read {out / 'index.html'}")))
    return 0
