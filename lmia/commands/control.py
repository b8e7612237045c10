"""`lmia control`: how often must one's own data be repeated in a training before an audit finds it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import cast

import yaml
from rich.console import Console
from rich.text import Text

from lmia import options, specs
from lmia.commands.fit import request as fit_request
from lmia.control import Control, study
from lmia.control.page import RUNS, outcome, trainings, write_control
from lmia.control.summary import summary
from lmia.errors import LmiaError
from lmia.flags import Flag, Tree, read_config, split
from lmia.guide import section
from lmia.report.aside import write_aside
from lmia.report.visible import visible
from lmia.request import request as audit_request
from lmia.settings import plain
from lmia.source import Source
from lmia.study import Cell, grid, run_study
from lmia.study.grid import OWN, SIDES
from lmia.study.run import LOG, MARK, check_folder
from lmia.training import FitData, Plan

START = """\
lmia control: how often must YOUR data be shown to YOUR model before these attacks find it?

A real audit that finds nothing says little unless one knows what it would have found. This trains on a random half of your pairs,
some of which, drawn by lot, an epoch shows again and again; audits each training; and says from how many repeats on data is found.

  lmia control --plugin csa --source 'mine/*.tar' --model ViT-B-32,openai --epochs 5 --lr 1e-5
  lmia control --plugin csa --source emoji:0:1200 --model demo,random --planted 40 --repeats 1 4 16 --epochs 8

What you need most
  --plugin NAME            an attack, as in `lmia audit`; repeat it for several. Take those of the audit that this stands beside
  --source SPEC            your pairs, as an audit reads them. A share of 0.5 (--share) is trained on, the others are held out
  --model SPEC             what to begin from: a trained model to fine-tune, or ARCHITECTURE,random
  --epochs N --lr X ...    every option of `lmia fit`; the training should be as near to the real one as can be
  --views, --fpr, --placebo, --known-nonmembers, --pool, --cache
                           of `lmia audit`, whose every other option is --audit.OPTION (`--audit.confidence 0.9`)
  --config FILE            all of this from a file; flags go on top. OUT/config.yaml replays a run
  --print_config           print the config that results, and stop

"""
OF_AUDIT = (
    "plugin",
    "placebo",
    "views",
    "fpr",
    "known_nonmembers",
    "known_members",
    "pool",
    "cache",
    "cluster_by",
    "columns",
    "detect",
)
"""Flags that are the audit's; what no one else has is the training's."""
CONFIG = "config.yaml"
UNSEEDED = 987_654_321
"""A seed that nobody asks for, to see which parts of a config follow the seed."""


@dataclass(frozen=True)
class Asked:
    """A control, checked as far as nothing is made yet.

    Args:
        control: levels, seeds, folder.
        cells: a training and an audit for every seed.
        tree: the config that replays it.
    """

    control: Control
    cells: Sequence[Cell]
    tree: Tree


def main(argv: Sequence[str]) -> int:
    """Run `lmia control` with the words behind it.

    Raises:
        LmiaError: something asked for is wrong, or a training or an audit cannot be made.
    """
    words = [word for word in argv if word not in ("--print_config", "--print-config")]
    if {"-h", "--help"} & set(words):
        print(guide())
        return 0
    asked = request(words)
    if len(words) < len(argv):
        print(yaml.safe_dump(asked.tree, sort_keys=False), end="")
        return 0
    control, out = asked.control, asked.control.out
    check_folder(out, Path(RUNS) / MARK, "control")
    _check_made(asked)
    (out / RUNS).mkdir(parents=True, exist_ok=True)
    write_aside(out / CONFIG, yaml.safe_dump(asked.tree, sort_keys=False).encode("utf-8"))
    made = run_study(asked.cells, out / RUNS, control.jobs)
    for reason in made.failed.values():
        remedy = f"Mend that and run the same command again: what is finished is kept. {out / RUNS / LOG} has the rest."
        raise LmiaError(f"A training or audit of the control cannot be made: {reason}", remedy)
    found, trained = outcome(control, asked.cells), trainings(control, asked.cells)
    write_control(control, found, trained, join(["lmia", "control", *argv]))
    console = Console()
    console.print(summary(found, control, trained))
    console.print(Text(visible(f"Read {out / 'index.html'}")), soft_wrap=True)
    return 0


def _check_made(asked: Asked) -> None:
    """Make what of a training costs nothing, so that a mistake in it is said before the first one begins."""
    tree = asked.cells[0].training.config
    Plan(**tree["model"].get("plan", {}))
    source = cast("Source", specs.build("source", tree["data"]["source"]))
    data = FitData(**{**tree["data"], "source": source})
    asked.control.check_pairs(source, data.share)


def guide() -> str:
    """Return the whole of `lmia control --help`.

    Example:
        >>> "--planted PLANTED" in guide() and "--lr LR" in guide()
        True
    """
    skip = {"source", "levels", "planted", "repeated", "repeats"}
    parts = [section("The control", Control, None), section("The training", Plan, None)]
    return "\n".join([START, *parts, section("The data", FitData, None, skip)])


def request(argv: Sequence[str]) -> Asked:
    """Turn the words behind `lmia control` into trainings and audits, checked as far as nothing is made yet.

    Raises:
        LmiaError: a flag, key, name, spec or value is wrong.

    Example:
        >>> request(["--repeats", "4", "2"])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The levels of repeats cannot be 4 2.
        Give whole numbers from 1, each larger than the one before: 1 2 4 8.
    """
    flags = split(argv)
    own = options.names(Control)
    tree = read_config([flag.text for flag in flags if flag.name == "config"], (*own, "fit", "audit"))
    given = {name: tree[name] for name in own if name in tree}
    given |= {flag.name: flag.value for flag in flags if flag.name in own}
    checked = options.checked("control", Control, given)
    if "out" in checked:
        checked["out"] = Path(str(checked["out"]))
    control = Control(**checked)  # type: ignore[arg-type]
    flags = [flag for flag in flags if flag.name not in (*own, "config")]
    for flag in flags:
        _check_flag(flag)
    bases = {part: _section(tree, part) for part in ("fit", "audit")}
    ask = _added(fit_request, _words(flags, audit=False)), _added(audit_request, _words(flags, audit=True))
    with _plainly():
        asked = study(control, bases["fit"], bases["audit"])
        cells = grid(asked, *ask)
        ghost = grid(study(_with_seed(control), bases["fit"], bases["audit"]), *ask)[0]
    return Asked(control, cells, _replayed(control, ghost))


def _section(tree: Tree, part: str) -> Tree:
    found = tree.get(part) or {}
    if not isinstance(found, dict):
        raise LmiaError(f"The config's key '{part}' holds no keys of its own: {found}.", "Write KEY: VALUE.")
    return found


def _check_flag(flag: Flag) -> None:
    """Refuse what a control says itself."""
    if flag.name in ("seed", "audit.seed"):
        raise LmiaError(f"{flag.typed} is not how a control is seeded.", "Give --seeds 0 1 2: a training with each.")
    if flag.name in ("levels", "data.levels", "repeated", "data.repeated", "data.repeats", "data.planted"):
        raise LmiaError(f"{flag.typed} is not how a control plants repeats.", "Give --repeats 1 2 4 8 and --planted N.")
    name = flag.name.removeprefix("audit.")
    sides = ("members", "nonmembers", "suspects", "truth")
    if name in sides or (name.startswith("data.") and name.removeprefix("data.") in sides):
        raise LmiaError(f"{flag.typed} says who was in, which a control draws itself.", "Give --source SPEC alone.")


def _words(flags: Sequence[Flag], audit: bool) -> list[str]:
    """Write the flags of the audit, or those of the training, as words again."""
    words: list[str] = []
    for flag in flags:
        of_audit = flag.name.partition(".")[0] in (*OF_AUDIT, "audit")
        if of_audit == audit:
            words += [f"--{flag.name.removeprefix('audit.')}", *flag.words]
    return words


def _added(ask: Callable[[Sequence[str]], Tree], more: Sequence[str]) -> Callable[[Sequence[str]], Tree]:
    """Return a reader of configs that lays flags over them."""

    def request(words: Sequence[str]) -> Tree:
        return ask([*words, *more])

    request.__module__ = ask.__module__  # by which the grid tells readers apart
    return request


@contextmanager
def _plainly() -> Iterator[None]:
    """Say a mistake without the name of a cell, of which a user of this command has never heard."""
    try:
        yield
    except LmiaError as error:
        told = error.problem
        if told.startswith("In the cell '"):
            told = told.partition("': ")[2]
        raise LmiaError(told.replace("The study's", "The control's"), error.remedy) from error


def _with_seed(control: Control) -> Control:
    return Control(
        control.repeats, control.planted, [UNSEEDED], control.power, control.alpha, control.out, control.jobs
    )


def _replayed(control: Control, ghost: Cell) -> Tree:
    """Return the config that replays a control: what follows the seed is left to it."""
    fit, audit = deepcopy(ghost.training.config), deepcopy(ghost.audit)
    target = fit["model"]["target"]["init_args"]
    if target.get("seed") == UNSEEDED:
        del target["seed"]
    for name in ("levels", "planted"):
        fit["data"].pop(name, None)
    for role in SIDES:
        audit["data"].pop(role, None)
    fit = {key: value for key, value in fit.items() if key not in OWN["fit"]}
    audit = {key: value for key, value in audit.items() if key not in OWN["audit"]}
    asked = {name: plain(getattr(control, name)) for name in options.names(Control)}
    return cast("Tree", {**asked, "fit": plain(fit), "audit": plain(audit)})
