"""A study as its file says it: a question, a base training and audit, the factors that vary, and what is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml

import lmia
from lmia.errors import LmiaError, nearest
from lmia.study.measures import check_measures

KEYS = (
    *("title", "question", "claim", "budget", "rate", "seeds", "fit", "audit", "kept", "vary"),
    *("measure", "figure", "against", "laws", "limits"),
)
NEEDED = ("title", "question", "seeds", "fit", "audit", "vary", "measure", "figure")
FIGURE = ("x", "y", "colour", "log", "at")
LAW = ("x", "y", "claim")
ROOTS = ("fit", "audit", "kept")
"""What a level may override: keys of the training, keys of the audit, or which target kept on the way is audited."""

Tree = dict[str, Any]
Overrides = Mapping[str, object]


@dataclass(frozen=True)
class Study:
    """A study as asked for.

    Args:
        name: of its file; names the folder of its results.
        title: a line for the page.
        question: in plain words.
        seeds: each cell is made once with each: it seeds first weights, lots, orders, and the audit's cuts.
        fit: the base of every training, as `lmia fit --config` takes it.
        audit: the base of every audit, as `lmia audit --config` takes it; the target is the training's.
        vary: factor to level to what that level overrides, by dotted key.
        measure: what goes into the table, of `lmia.study.measures`.
        figure: `x` (a factor), `y` (a measure), and where wanted `colour` (a factor or `attack`), `log` (x, y or xy), and `at`
            (factor to the one level that is drawn).
        claim: what it speaks to, such as a paper's sentence; empty where none.
        kept: audit the target as it was after so many epochs (`save_epochs` of the plan); None is the finished one.
        budget: minutes that all of it takes on two slow cores, as its author measured or guessed.
        rate: `shown` (pairs a second that a training shows) and `audit` (seconds an audit takes), for the estimate.
        against: `factor` and `level` that all other levels are compared with, paired by seed, in these `measures` (the
            figure's, unless told).
        laws: power laws to be fitted: `x` (a factor), `y` (a measure), `claim` (the exponent that somebody claims).
        limits: what it cannot say, besides what no small world can.
    """

    name: str
    title: str
    question: str
    seeds: Sequence[int]
    fit: Tree
    audit: Tree
    vary: Mapping[str, Mapping[str, Overrides]]
    measure: Sequence[str]
    figure: Mapping[str, Any]
    claim: str = ""
    kept: int | None = None
    budget: float | None = None
    rate: Mapping[str, float] = field(default_factory=dict)
    against: Mapping[str, Any] = field(default_factory=dict)
    laws: Sequence[Mapping[str, Any]] = ()
    limits: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_measures(self.measure)
        _check_seeds(self.seeds)
        for factor, levels in self.vary.items():
            if factor in ("seed", "attack", "status", "failed") or factor in self.measure:
                raise LmiaError(f"A factor cannot be called '{factor}'.", "The table has a column of that name.")
            if not levels:
                raise LmiaError(f"The factor '{factor}' has no level.", "Give one or more: NAME: {KEY: VALUE}.")
        self._check_figure()
        for law in self.laws:
            _check_keys("law", law, LAW, ("x", "y"))
            _known("factor", law["x"], self.vary)
            _known("measure", law["y"], self.measure)
            if odd := [level for level in self.vary[law["x"]] if not _positive(level)]:
                problem = f"A law of '{law['x']}' has no place for its level '{odd[0]}'."
                raise LmiaError(problem, "Call its levels by numbers above 0.")
        if self.against:
            _check_keys("against", self.against, ("factor", "level", "measures"), ("factor", "level"))
            _known("factor", self.against["factor"], self.vary)
            _known("level", self.against["level"], self.vary[self.against["factor"]])
            for name in self.compared:
                _known("measure", name, self.measure)

    @property
    def compared(self) -> list[str]:
        """The measures that are set against those of another level."""
        return list(self.against.get("measures") or [self.figure["y"]])

    def _check_figure(self) -> None:
        _check_keys("figure", self.figure, FIGURE, ("x", "y"))
        _known("factor", self.figure["x"], self.vary)
        _known("measure", self.figure["y"], self.measure)
        if self.figure["y"] == "verdict":
            raise LmiaError(
                "A verdict is a word, which no axis has.", "Draw another measure; the table counts verdicts."
            )
        if "colour" in self.figure:
            _known("factor", self.figure["colour"], [*self.vary, "attack"])
        if not isinstance(at := self.figure.get("at", {}), Mapping):
            raise LmiaError(f"The figure's at holds no keys: {at!r}.", "Write at: {FACTOR: LEVEL}.")
        for factor, level in at.items():
            _known("factor", factor, self.vary)
            _known("level", level, self.vary[factor])
        if (log := self.figure.get("log", "")) not in ("", "x", "y", "xy"):
            raise LmiaError(f"The figure's log cannot be '{log}'.", "Write x, y or xy.")


def read_study(name: str) -> Study:
    """Read a study: one's own file, or one that is shipped, by its name.

    Raises:
        LmiaError: there is no such study, or its file is wrong.

    Example:
        >>> read_study("repaets")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: There is no study 'repaets'.
        Did you mean 'repeats'? Known: ...
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        found = shipped()
        if name not in found:
            raise LmiaError(f"There is no study '{name}'.", f"{nearest(name, found)} Or give a file: FILE.yaml.")
        path = found[name]
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise LmiaError(
            f"The study '{path}' cannot be read: {error.strerror}.", "Give FILE.yaml, or a name."
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise LmiaError(f"The study '{path}' is not YAML: {' '.join(str(error).split())}.", "Mend it.") from error
    return made(path.stem, told)


def shipped() -> dict[str, Path]:
    """Find the studies that come with lmia: in the package, or beside it where it runs from its repository.

    Example:
        >>> "repeats" in shipped()
        True
    """
    packed = Path(str(files("lmia.study").joinpath("configs")))
    beside = Path(lmia.__file__).parents[1] / "configs" / "studies"
    return {path.stem: path for folder in (beside, packed) for path in sorted(folder.glob("*.yaml"))}


def made(name: str, told: object) -> Study:
    """Make a study of what its file holds.

    Args:
        name: of the study.
        told: its file, read.

    Raises:
        LmiaError: a key is unknown or missing, or holds something of another kind.

    Example:
        >>> made("mine", {"titel": "x"})
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The study 'mine' has no key 'titel'.
        Did you mean 'title'? Known: ...
    """
    what = f"study '{name}'"
    _check_keys(what, told, KEYS, NEEDED)
    tree = cast("Tree", told)
    for key in ("fit", "audit", "vary", "figure", "rate", "against"):
        if not isinstance(tree.get(key, {}), dict):
            raise LmiaError(f"'{key}' of the {what} holds no keys: {tree[key]!r}.", "Write KEY: VALUE below it.")
    for key in ("seeds", "measure", "laws", "limits"):
        if not isinstance(tree.get(key, []), list):
            raise LmiaError(f"'{key}' of the {what} is no list: {tree[key]!r}.", "Write [ONE, TWO].")
    for factor, levels in tree["vary"].items():
        named: Tree = levels if isinstance(levels, dict) else {"": None}
        for level, overrides in named.items():
            if not isinstance(overrides, dict):
                problem = f"The level '{level}' of the factor '{factor}' overrides nothing: {overrides!r}."
                raise LmiaError(problem, f"Write {factor}: {{LEVEL: {{KEY: VALUE}}}}; {{}} is the base as it is.")
    words: Tree = {key: str(tree[key]).strip() for key in ("title", "question", "claim") if key in tree}
    vary = {str(f): {str(level): change for level, change in levels.items()} for f, levels in tree["vary"].items()}
    plain: Tree = {"figure": {key: value if key == "at" else str(value) for key, value in tree["figure"].items()}}
    against = tree.get("against", {})
    plain["against"] = {k: v if k == "measures" else str(v) for k, v in against.items()}
    limits = [str(one) for one in tree.get("limits", [])]
    args: Tree = {**tree, "name": name, **words, "vary": vary, **plain, "limits": limits}
    return Study(**args)


def _check_seeds(seeds: Sequence[object]) -> None:
    if not seeds or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in seeds):
        raise LmiaError(f"The seeds cannot be {list(seeds)}.", "Give whole numbers from 0: [1, 2, 3, 4, 5].")
    if twice := [seed for seed, times in Counter(seeds).items() if times > 1]:
        raise LmiaError(f"The seed {twice[0]} is given twice.", "A study made twice with one seed is made once.")


def _check_keys(what: str, given: object, known: Sequence[str], needed: Sequence[str]) -> None:
    if not isinstance(given, Mapping):
        raise LmiaError(f"The {what} holds no keys: {given!r:.60}.", f"Known: {', '.join(known)}.")
    for key in given:
        if key not in known:
            raise LmiaError(f"The {what} has no key '{key}'.", nearest(str(key), known))
    if missing := [key for key in needed if given.get(key) is None]:
        raise LmiaError(f"The {what} lacks '{missing[0]}'.", f"Give {', '.join(missing)}.")


def _positive(level: str) -> bool:
    try:
        return 0 < float(level) < float("inf")
    except ValueError:
        return False


def _known(what: str, name: object, known: Sequence[str] | Mapping[str, object]) -> None:
    if str(name) not in known:
        raise LmiaError(f"The study has no {what} '{name}'.", nearest(str(name), known))
