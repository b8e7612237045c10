"""One training, one audit of it: what a cell of a study is made by, and the record that says it is finished."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Trainer

from lmia import record, specs
from lmia.attack import Attack
from lmia.audit import run_audit
from lmia.data import AuditData
from lmia.defence import Defence
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.faults import faults
from lmia.flags import ROLES
from lmia.membership import NAME as MANIFEST_FILE
from lmia.quiet import quiet
from lmia.registry import Kind
from lmia.report.aside import write_aside
from lmia.source import Source
from lmia.study.grid import MANIFEST, Cell, Training
from lmia.study.plan import Tree
from lmia.target import Target
from lmia.training import FitData, Learner, Plan, run_fit
from lmia.training.keeping import EPOCHS, clear
from lmia.training.keeping import RECORD as TRAINED
from lmia.training.run import TRAINER_DEFAULTS
from lmia.views import Views

TRAININGS, CELLS, CACHE = "trainings", "cells", "cache"
"""Folders of a study."""
RECORD = "cell.json"
CHOSEN = ("fpr", "detect", "regime", "seed", "confidence", "show_pairs")
"""What an audit is told besides what is made for it."""


def trained(training: Training, out: Path) -> dict[str, Any] | None:
    """Read the record of a finished training, with `seconds` where they are known; None where it is not finished."""
    place = out / TRAININGS / training.key
    told = _read(place / TRAINED)
    if told is None or not told.get("finished"):
        return None
    return told | (_read(place.with_suffix(".json")) or {})


def finished(cell: Cell, out: Path) -> dict[str, Any] | None:
    """Read the record of a finished cell: `seconds`, or `failed` with the reason; None where it is to be made."""
    told = _read(out / CELLS / cell.folder / RECORD)
    return told if told is not None and told.get("of") == cell.key else None


def figures(cell: Cell, out: Path) -> dict[str, float]:
    """Return what is known of the target that a cell audits: its figures, N, T, and what defences promise of it."""
    told = trained(cell.training, out) or {}
    last = told.get("last", {}) if cell.kept is None else told.get("kept", {}).get(_kept(cell), {})
    epochs = told.get("epochs") if cell.kept is None else cell.kept
    promises = told.get("promises", {}) if cell.kept is None else {}
    return {**last, **promises, "pairs": told.get("pairs"), "epochs": epochs}


def train(training: Training, out: Path) -> None:
    """Make a training, or finish one that was broken off; nothing happens where it is there.

    Raises:
        LmiaError: it cannot be made.
    """
    place, tree, started = out / TRAININGS / training.key, training.config, time.perf_counter()
    if trained(training, out) is not None:
        clear(place)
        return
    model, begun = tree["model"], (place / TRAINED).is_file()
    target = cast("Target", specs.build("target", model["target"]))
    defences = [cast("Defence", specs.build("defence", one)) for one in model.get("defence") or []]
    learner = Learner(target, Plan(**model.get("plan", {})), defences)
    data = FitData(**{**tree["data"], "source": cast("Source", specs.build("source", tree["data"]["source"]))})
    asked = _trainer(tree)
    with quiet():
        trainer = Trainer(**{**TRAINER_DEFAULTS, "enable_progress_bar": False, **asked})
    run_fit(learner, data, place, tree["seed"], trainer, asked)
    if not begun:  # the rest of a training says nothing of how long one takes
        _write(place.with_suffix(".json"), {"seconds": round(time.perf_counter() - started, 2)})


def audit(cell: Cell, out: Path) -> None:
    """Make a cell's audit; nothing happens where it is finished. What the user can mend is written down as its result.

    A cell that failed is made again the next time.
    """
    told = finished(cell, out)
    if told is not None and "failed" not in told:
        return
    started, failed = time.perf_counter(), {}
    try:
        with faults("Give fewer pairs, or fewer --jobs.", "What was extracted is kept."):
            _audit(cell, out)
    except LmiaError as error:
        failed = {"failed": f"{error.problem} {error.remedy}"}
    close(cell, out, {"seconds": round(time.perf_counter() - started, 2), **failed})


def close(cell: Cell, out: Path, told: Mapping[str, object]) -> None:
    """Write a cell's record, which finishes it."""
    place = out / CELLS / cell.folder
    place.mkdir(parents=True, exist_ok=True)
    _write(place / RECORD, {"of": cell.key, "cell": cell.name, "training": cell.training.key, **told})


def _audit(cell: Cell, out: Path) -> None:
    tree, place = _located(cell.audit, out / TRAININGS / cell.training.key / MANIFEST_FILE), target_of(cell, out)
    target = specs.target(f"local-dir:{place}")
    defences = [cast("Defence", specs.build("defence", one)) for one in tree["model"].get("defence") or []]
    views = cast("Views | None", _made("views", tree["model"].get("views")))
    model = FeatureExtractor(target, views, Path(tree["model"].get("cache") or out / CACHE), defences)
    roles = {role: cast("Source | None", _made("source", tree["data"].get(role))) for role in ROLES}
    run_audit(
        model,
        AuditData(**{**tree["data"], **roles}),
        [cast("Attack", specs.build("attack", one)) for one in tree["plugin"]],
        placebo=[cast("Target", specs.build("target", one)) for one in tree.get("placebo") or []],
        out=out / CELLS / cell.folder,
        trainer=record.trainer(**_trainer(tree)),
        trainer_config=tree.get("trainer") or {},
        **{name: tree[name] for name in CHOSEN if name in tree},
    )


def target_of(cell: Cell, out: Path) -> Path:
    """Return the folder of the target that a cell audits.

    Raises:
        LmiaError: the training stopped before it was kept.
    """
    place = out / TRAININGS / cell.training.key
    if cell.kept is None:
        return place
    if not (place / _kept(cell)).is_dir():
        epochs = (trained(cell.training, out) or {}).get("epochs")
        problem = f"The training of '{cell.name}' ended after epoch {epochs}, before epoch {cell.kept}."
        raise LmiaError(problem, "Let nothing stop it sooner, or ask for an earlier epoch.")
    return place / _kept(cell)


def _kept(cell: Cell) -> str:
    return f"{EPOCHS}/{cell.kept:03d}"


def _located(tree: Tree, manifest: Path) -> Tree:
    """Put the place of a manifest wherever an audit names one."""
    tree = deepcopy(tree)
    for role in ROLES:
        args = (tree["data"].get(role) or {}).get("init_args", {})
        if args.get("manifest") == MANIFEST:
            args["manifest"] = str(manifest)
    return tree


def _trainer(tree: Tree) -> dict[str, Any]:
    """Return the trainer's options; those that are objects have no place in a study."""
    asked: dict[str, Any] = dict(tree.get("trainer") or {})
    if odd := [name for name, value in asked.items() if isinstance(value, Mapping)]:
        raise LmiaError(f"A study's trainer takes no '{odd[0]}' with a class path.", "Give plain options alone.")
    return asked


def _made(kind: Kind, config: Mapping[str, object] | None) -> object:
    return None if config is None else specs.build(kind, config)


def _read(path: Path) -> dict[str, Any] | None:
    """Read a record; a missing or torn one is none."""
    with contextlib.suppress(OSError, ValueError):
        told = json.loads(path.read_text("utf-8"))
        return told if isinstance(told, dict) else None
    return None


def _write(path: Path, told: Mapping[str, object]) -> None:
    write_aside(path, (json.dumps(dict(told), indent=2) + "\n").encode())


def unfinished(cells: Sequence[Cell], out: Path) -> list[Cell]:
    """List the cells that are still to be made."""
    return [cell for cell in cells if "failed" in (finished(cell, out) or {"failed": ""})]
