"""What a training leaves on the disk: its targets, and training.json, which says how far it is."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lmia.aside import PART, aside
from lmia.errors import LmiaError
from lmia.training.learner import Learner
from lmia.training.watch import Watch

RECORD, EPOCHS, UNDERWAY = "training.json", "epochs", "underway"
"""Files and folders of a run: its record, the targets kept on the way, and what is only needed until it ends."""
RESUME = "last.ckpt"
_SHORT, _SHARE = 1.0, 0.1
"""Seconds in which a checkpoint is written after every epoch, and the share of the time that larger ones may take."""
_ROOM = "Make room on the disk, and run the same command again: it goes on after the last epoch that was kept."


@dataclass(frozen=True)
class Record:
    """How a target came to be; written as `training.json` when it begins, and again when it ends.

    Args:
        of: a digest of everything that decides the outcome; a run that was broken off goes on only under the same one.
        source: the pairs.
        target: what it began from.
        pairs: how many were trained on, the members (N).
        held_out: how many usable ones were not, the non-members.
        repeated: how many members an epoch showed more than once.
        repeats: how often; of several levels the highest.
        rejected: records left out, by reason.
        seed: of lots, orders, dropout and defences; first weights have their own.
        defences: what was done against leaks, with options.
        epochs: how many it took (T).
        finished: whether it ended.
        promises: what defences promise of it, such as an epsilon.
        last: the figures of its last epoch, as in metrics.csv.
        kept: targets kept on the way: folder to the figures of that epoch.
        torch: the version that trained it.
    """

    of: str
    source: str
    target: str
    pairs: int
    held_out: int
    repeated: int
    repeats: int
    rejected: Mapping[str, int]
    seed: int
    defences: list[str]
    torch: str
    epochs: int = 0
    finished: bool = False
    promises: Mapping[str, float] = field(default_factory=dict)
    last: Mapping[str, float] = field(default_factory=dict)
    kept: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it, whole or not at all. An unfinished one says no `epochs`: there is no model yet that had them."""
        told = asdict(self)
        if not self.finished:
            del told["epochs"]
        with aside(folder / RECORD, _ROOM) as file:
            file.write((json.dumps(told, indent=2) + "\n").encode())


def check_free(out: Path, of: str) -> None:
    """Refuse a folder that holds a finished target, or a run of another kind; the same run may go on there.

    Raises:
        LmiaError: as said.

    Example:
        >>> check_free(Path("nowhere"), "0")
    """
    if not (out / RECORD).is_file():
        there = [path.name for path in out.iterdir()] if out.is_dir() else []
        if [name for name in there if name != UNDERWAY and not name.endswith(PART)]:  # these, a kill leaves soon
            raise LmiaError(f"'{out}' is not empty, and holds no training.", "Give another --out.")
        return
    try:
        told = json.loads((out / RECORD).read_text())
        finished, same = told.get("finished", True), told.get("of") == of
    except (OSError, ValueError, AttributeError) as error:
        raise LmiaError(
            f"'{out / RECORD}' cannot be read: {error}.", "Remove that folder, or give another --out."
        ) from error
    if finished:
        clear(out)
        raise LmiaError(f"'{out}' already holds a target.", "Give another --out, or remove that folder.")
    if not same:
        problem = f"'{out}' holds a training that was broken off, and was asked for in another way."
        raise LmiaError(problem, f"Run it as {out / 'config.yaml'} says, or give another --out.")


def clear(out: Path) -> None:
    """Remove what a finished training needs no more; a kill may have come before that.

    Args:
        out: of the run.

    Example:
        >>> clear(Path("nowhere"))
    """
    shutil.rmtree(out / UNDERWAY, ignore_errors=True)


class Whole(TorchCheckpointIO):
    """Writes checkpoints aside in their own folder; one that takes over a second to write, not after every epoch.

    Lightning's own go through the system's temporary folder, and a kill while they are copied from there to another disk
    leaves half a one.
    """

    def __init__(self) -> None:
        self._due = float("-inf")

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write a checkpoint, whole or not at all; leave it out where writing would take more than a tenth of the time."""
        if (begun := time.monotonic()) < self._due:
            return
        buffer = BytesIO()
        torch.save(checkpoint, buffer)
        with aside(Path(path), _ROOM) as file:
            file.write(buffer.getbuffer())
        took = time.monotonic() - begun
        self._due = begun + (took / _SHARE if took > _SHORT else 0.0)


class Keep(Callback):
    """Keeps targets on the way: after chosen epochs, and when the live AUC first reaches chosen values.

    Args:
        watch: who measures.
        out: of the run.
    """

    tokens: Tensor | None = None
    """Of all captions that were trained on, where files are to be small."""

    def __init__(self, watch: Watch, out: Path) -> None:
        self.watch, self.out = watch, out
        self.kept: dict[str, Mapping[str, float]] = {}

    def state_dict(self) -> dict[str, object]:
        """Return what a resumed run has to know."""
        return {"kept": self.kept}

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Take up where a broken run ended."""
        kept = state_dict["kept"]
        assert isinstance(kept, dict)  # as above
        self.kept = kept

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep this epoch's target where the plan asks for it; called after `watch` has measured."""
        assert isinstance(pl_module, Learner)
        plan, epochs = pl_module.plan, self.watch.epochs
        number, auc = trainer.current_epoch + 1, epochs[-1]["auc"]
        before = max((one["auc"] for one in epochs[:-1]), default=float("-inf"))
        if number not in plan.save_epochs and not any(before < value <= auc for value in plan.save_aucs):
            return
        name = f"{EPOCHS}/{number:03d}"
        self.kept[name] = epochs[-1]
        if trainer.is_global_zero:
            (self.out / name).mkdir(parents=True, exist_ok=True)
            pl_module.towers.save(self.out / name, self.tokens)
            told = {"pairs": pl_module.pairs, "epochs": number, "finished": True}
            (self.out / name / RECORD).write_text(json.dumps(told, indent=2) + "\n")
