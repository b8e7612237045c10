"""The cells of a study: every combination of its levels with every seed, resolved, checked, none of them twice."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from lmia.errors import LmiaError, nearest
from lmia.flags import TOP as AUDIT_KEYS
from lmia.flags import put
from lmia.judging import DEFAULT_FPRS
from lmia.listed import Listed
from lmia.settings import class_path, digest
from lmia.source import Sample
from lmia.study.measures import rate_of
from lmia.study.plan import ROOTS, Overrides, Study, Tree

Request = Callable[[Sequence[str]], Tree]
"""Turns words behind `lmia fit` or `lmia audit` into a checked config."""
FIT_KEYS = ("trainer", "model", "data", "seed", "out")
OWN = {"fit": ("seed", "out"), "audit": ("seed", "out", "demo", "seal")}
"""What a study says itself, of every cell."""
SIDES = {"members": "in", "nonmembers": "out"}
MANIFEST = "membership.parquet"
"""Stands in a cell's audit for the manifest of the training that it is of."""


@dataclass(frozen=True)
class Training:
    """A training that some cells share.

    Args:
        config: as `lmia fit` takes it, without `out`.
    """

    config: Tree

    @cached_property
    def key(self) -> str:
        """What makes it this one: a digest of its config."""
        return digest(self.config)[:16]


@dataclass(frozen=True)
class Cell:
    """One audit of one training.

    Args:
        levels: factor to level.
        seed: of both.
        training: whose target is audited.
        kept: as it was after so many epochs; None is the finished one.
        audit: as `lmia audit` takes it, without target, cache and `out`.
    """

    levels: Mapping[str, str]
    seed: int
    training: Training
    kept: int | None
    audit: Tree

    @property
    def name(self) -> str:
        """What a person calls it.

        Example:
            >>> Cell({"repeats": "8"}, 1, Training({}), None, {}).name
            'repeats 8, seed 1'
        """
        return ", ".join([*(f"{factor} {level}" for factor, level in self.levels.items()), f"seed {self.seed}"])

    @cached_property
    def key(self) -> str:
        """What makes it this one: a digest of everything that decides what it finds."""
        return digest(self.training.key, self.kept, self.audit)[:16]

    @property
    def folder(self) -> str:
        """Where it lies: words for a person, and its key, so that another config is another folder."""
        words = re.sub(r"[^A-Za-z0-9.+-]+", "-", self.name).strip("-.")[:80]
        return f"{words}-{self.key[:8]}"


def grid(study: Study, fit: Request, audit: Request) -> list[Cell]:
    """Resolve and check every cell of a study, in the order of its factors, seeds last.

    Args:
        study: as its file says it.
        fit: reads the config of a training.
        audit: reads the config of an audit.

    Raises:
        LmiaError: a key, level or config is wrong; two cells are the same; or a seed plays two parts.
    """
    cells: list[Cell] = []
    asked: dict[str, Tree] = {}
    for levels in product(*(study.vary[factor] for factor in study.vary)):
        chosen = dict(zip(study.vary, levels, strict=True))
        base = _overridden(study, chosen)
        cells += [_cell(base, chosen, seed, (fit, audit), asked) for seed in study.seeds]
    _check_apart(cells)
    for cell in cells:
        _check_seeds(cell, study.seeds)
        _check_rates(cell, study.measure)
    return cells


def _overridden(study: Study, chosen: Mapping[str, str]) -> Tree:
    """Lay the chosen levels over the base, factor by factor; two that set one key are a mistake."""
    tree: Tree = deepcopy({"fit": study.fit, "audit": study.audit, "kept": study.kept})
    for root, known in (("fit", FIT_KEYS), ("audit", AUDIT_KEYS)):
        for key in tree[root]:
            _check_key(root, key, known)
    setter: dict[str, str] = {}
    for factor, level in chosen.items():
        overrides: Overrides = study.vary[factor][level]
        for path, value in overrides.items():
            _check_path(factor, level, str(path))
            if path in setter:
                problem = f"The factors '{setter[path]}' and '{factor}' both set '{path}'."
                raise LmiaError(problem, "Let one factor set it: the other would do nothing.")
            setter[path] = factor
            if isinstance(tree["audit"].get("model"), str):
                tree["audit"]["model"] = {"target": tree["audit"]["model"]}
            put(tree, str(path), deepcopy(value))
    return tree


def _check_path(factor: str, level: str, path: str) -> None:
    root, _, rest = path.partition(".")
    if root not in ROOTS or (root == "kept") == bool(rest):
        problem = f"The level '{level}' of '{factor}' sets '{path}', which is no part of a study."
        raise LmiaError(problem, f"Begin with one of fit., audit., or write kept. {nearest(root, ROOTS)}")
    if rest:
        _check_key(root, rest.partition(".")[0], FIT_KEYS if root == "fit" else AUDIT_KEYS)


def _check_key(root: str, key: str, known: Sequence[str]) -> None:
    if key in OWN[root]:
        raise LmiaError(f"The study's {root} sets '{key}', which a study sets itself.", "Leave it out.")
    if key not in known:
        raise LmiaError(f"The study's {root} has no key '{key}'.", nearest(key, known))


def _cell(
    base: Tree, levels: Mapping[str, str], seed: int, ask: tuple[Request, Request], asked: dict[str, Tree]
) -> Cell:
    name = ", ".join(f"{factor} {level}" for factor, level in levels.items())
    fit = _resolved(name, {**base["fit"], "seed": seed}, ask[0], asked)
    kept = base["kept"]
    _check_kept(name, kept, fit)
    audit = _resolved(name, _audited(base["audit"], fit, seed), ask[1], asked)
    audit = {**audit, "model": {key: value for key, value in audit["model"].items() if key != "target"}}
    return Cell(dict(levels), seed, Training(fit), kept, audit)


def _audited(base: Tree, fit: Tree, seed: int) -> Tree:
    """Let the training's manifest say who is on either side, unless the study names a side itself."""
    tree = deepcopy(base)
    model = tree.get("model") or {}
    if isinstance(model, str) or model.get("target") is not None:
        raise LmiaError("The study's audit names a model.", "Leave it out: a study audits what it trains.")
    data = dict(tree.get("data") or {})
    listed = [role for role in SIDES if data.get(role) is None]
    for role in listed:
        args = {"source": deepcopy(fit["data"]["source"]), "manifest": MANIFEST, "side": SIDES[role]}
        data[role] = {"class_path": class_path(Listed), "init_args": args}
    if len(listed) == len(SIDES):
        tree.setdefault("regime", "one-run")
    return {**tree, "model": {**model, "target": deepcopy(fit["model"]["target"])}, "data": data, "seed": seed}


def _resolved(name: str, tree: Tree, ask: Request, asked: dict[str, Tree]) -> Tree:
    """Let the command's own parser read a config; the same config is read once."""
    key = digest(getattr(ask, "__module__", ""), tree)
    if key not in asked:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "config.yaml")
            path.write_text(yaml.safe_dump(tree, sort_keys=False))
            try:
                asked[key] = ask(["--config", str(path)])
            except LmiaError as error:
                raise LmiaError(f"In the cell '{name}': {error.problem}", error.remedy) from error
    return deepcopy(asked[key])


def _check_kept(name: str, kept: object, fit: Tree) -> None:
    saved = fit["model"].get("plan", {}).get("save_epochs") or []
    if kept is not None and kept not in saved:
        problem = f"The cell '{name}' wants the target after epoch {kept}, which its training does not keep."
        raise LmiaError(problem, f"Name it in fit.model.plan.save_epochs, which is {list(saved)}.")


def _check_apart(cells: Sequence[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        if (other := seen.setdefault(cell.key, cell)) is not cell:
            problem = f"The cells '{other.name}' and '{cell.name}' are the same audit of the same training."
            raise LmiaError(problem, "Let their levels differ in something that counts, or leave one out.")


def _check_rates(cell: Cell, measures: Sequence[str]) -> None:
    """Refuse a measure at a rate that no audit is asked for: its column would be empty."""
    asked = cell.audit.get("fpr") or list(DEFAULT_FPRS)
    if missing := [name for name in measures if (rate := rate_of(name)) is not None and rate not in asked]:
        said = ", ".join(map(str, asked))
        problem = f"The measure '{missing[0]}' is at a rate that '{cell.name}' does not report: {said}."
        raise LmiaError(problem, f"Give audit.fpr: [{rate_of(missing[0])}].")


def _check_seeds(cell: Cell, seeds: Sequence[int]) -> None:
    """Refuse a draw of reference data, or a reference model, with a seed of the study's: it would share lots with the truth."""
    places = {"fit.data": cell.training.config["data"], "audit.data": cell.audit.get("data", {})}
    places["audit.placebo"] = cell.audit.get("placebo") or []
    for place, tree in places.items():
        for at, seed in _seeds(tree, place):
            if seed in seeds:
                problem = f"The seed {seed} is the study's, and also that of {at} in the cell '{cell.name}'."
                raise LmiaError(problem, "Give one of them another: draws that share a seed are not independent.")


def _seeds(tree: object, at: str) -> Iterator[tuple[str, int]]:
    """Find the seeds in a resolved config, a sample's own default among them."""
    if isinstance(tree, Mapping):
        args: Any = tree.get("init_args")
        if tree.get("class_path") == class_path(Sample) and isinstance(args, Mapping) and "seed" not in args:
            yield at, 0
        for key, value in tree.items():
            if key == "seed" and isinstance(value, int):
                yield at, value
            else:
                yield from _seeds(value, at if key in ("init_args", "class_path") else f"{at}.{key}")
    elif isinstance(tree, list):
        for one in tree:
            yield from _seeds(one, at)
