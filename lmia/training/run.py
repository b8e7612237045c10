"""A training from its data to a finished target with its manifest: the one path of `lmia fit`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler, ModelCheckpoint, Timer
from torch import Tensor

from lmia.alone import alone
from lmia.aside import sweep
from lmia.companions import companions
from lmia.errors import LmiaError
from lmia.faults import faults
from lmia.membership import NAME, write
from lmia.quiet import quiet
from lmia.settings import describe, digest, plain
from lmia.training.data import FitData
from lmia.training.keeping import RESUME, UNDERWAY, Keep, Record, Whole, check_free, clear
from lmia.training.learner import Learner
from lmia.training.shards import write_shards
from lmia.training.watch import Watch, Watched

CONFIG = "config.yaml"
TRAINER_DEFAULTS: Mapping[str, object] = {
    "logger": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "num_sanity_val_steps": 0,
}
"""What every training wants of Lightning's Trainer; checkpoints are kept by the run itself."""

_DECIDING = ("gradient_clip_val", "gradient_clip_algorithm")
"""What else of a trainer decides the weights, where it is given."""
_SMALLER = "Free some memory, or give another --out and a smaller --batch."
_KEPT = "The same command goes on after the last epoch that was kept."


def run_fit(
    learner: Learner,
    data: FitData,
    out: Path | str = "lmia-fit",
    seed: int = 0,
    trainer: Trainer | None = None,
    trainer_config: Mapping[str, object] | None = None,
) -> Record:
    """Train a target on a drawn part of some pairs, and write it with the manifest of who was in.

    A run that was broken off goes on after the last epoch that was kept, and ends in the same weights.

    Args:
        learner: the target and how it learns.
        data: the pairs, and how they are drawn.
        out: a new folder: the target (`--model local-dir:OUT`), `membership.parquet`, `metrics.csv`, `training.json`.
        seed: of everything random but the first weights.
        trainer: Lightning's; made on the fly if not given.
        trainer_config: how it was made, for the record.

    Raises:
        LmiaError: the data does not do, or is not what a broken run began with; a defence does not fit; `out` is taken; the
            trainer adds up batches, or is to stop within an epoch.
    """
    run = _Run(learner, data, Path(out), seed, dict(trainer_config or {}))
    with quiet():
        trainer = trainer or Trainer(**TRAINER_DEFAULTS)  # type: ignore[arg-type]
        _check_steps(trainer)
        _check_whole(trainer)
        with alone(run.out) if trainer.is_global_zero else nullcontext():
            check_free(run.out, run.of)
            with faults(_SMALLER, _KEPT), companions(trainer):
                return run.go(trainer)


def _check_steps(trainer: Trainer) -> None:
    """Refuse steps of several batches: the schedule, and an epsilon, count a step for each batch."""
    planned = [one.scheduling.values() for one in trainer.callbacks if isinstance(one, GradientAccumulationScheduler)]  # type: ignore[attr-defined]
    if (batches := max(chain([trainer.accumulate_grad_batches], *planned))) != 1:
        problem = f"The trainer adds up the gradients of {batches} batches for a step."
        raise LmiaError(problem, f"Give a --batch {batches} times as large: a loss tells pairs of one batch apart.")


def _check_whole(trainer: Trainer) -> None:
    """Refuse a trainer that would end within an epoch: who was in, but was never shown, would be called a member."""
    limit = trainer.limit_train_batches  # 1.0 is all, 1 is one
    timers = [one for one in trainer.callbacks if isinstance(one, Timer)]  # type: ignore[attr-defined]
    early = {
        "limit_train_batches": None if isinstance(limit, float) and limit == 1.0 else limit,
        "overfit_batches": trainer.overfit_batches or None,  # type: ignore[attr-defined]
        "fast_dev_run": trainer.fast_dev_run or None,  # type: ignore[attr-defined]
        "max_steps": None if trainer.max_steps == -1 else trainer.max_steps,
        "max_time": timers[0].time_remaining() if timers else None,
    }
    if said := [f"{name}={value}" for name, value in early.items() if value is not None]:
        remedy = "Leave it out, and give fewer epochs or pairs instead: --epochs 2, SPEC?n=1000&seed=0."
        raise LmiaError(f"The trainer is to stop early: {', '.join(said)}.", remedy)


class _Run(Callback):
    """One training under way; see `run_fit`. As a callback it hears when the data is there, on every rank."""

    def __init__(
        self, learner: Learner, data: FitData, out: Path, seed: int, trainer_config: Mapping[str, object]
    ) -> None:
        self.learner, self.data, self.out, self.seed = learner, data, out, seed
        self.trainer_config = trainer_config
        numbers = [trainer_config.get(name) for name in ("devices", "num_nodes", "precision")]
        given = {name: value for name in _DECIDING if (value := trainer_config.get(name)) is not None}
        rest = [given] if given else []  # without any, the digest is what it was before they counted
        self.of = digest(
            learner.fingerprint, self._drawn(), asdict(learner.plan), learner.defences, seed, numbers, *rest
        )
        self.watch = Watch(out)
        self.keep = Keep(self.watch, out)

    def go(self, trainer: Trainer) -> Record:
        """Train to the end; the checkpoint of an epoch is there for resuming alone."""
        place, learner, data = self.out / UNDERWAY, self.learner, self.data
        sweep(self.out)
        data.begin(learner.preprocess, learner.tokenize, learner.defences, place, self.seed)
        last = ModelCheckpoint(place, filename=Path(RESUME).stem, every_n_epochs=1, enable_version_counter=False)
        trainer.callbacks += [self, self.watch, self.keep, last]  # type: ignore[attr-defined]
        trainer.fit_loop.max_epochs = learner.plan.epochs
        trainer.strategy.checkpoint_io = Whole()
        begun = place / RESUME if (place / RESUME).is_file() else None
        trainer.fit(learner, data, ckpt_path=begun, weights_only=True)
        return self._finish(trainer)

    def state_dict(self) -> dict[str, object]:
        """Return what a resumed run has to know: what it was on."""
        assert self.data.drawn is not None  # by data.setup
        return {"drawn": self.data.drawn.key}

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Refuse to go on with other pairs: some would have been shown, and be called non-members."""
        if state_dict["drawn"] != self.state_dict()["drawn"]:
            problem = f"'{self.out}' holds a training that was broken off, and its pairs have changed since then."
            raise LmiaError(problem, "Put back the source and the list of keys to go without, or give another --out.")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Say what is ahead, once the data is there; called before the optimiser is made."""
        learner, data, plan = self.learner, self.data, self.learner.plan
        drawn = data.drawn
        assert drawn is not None  # by data.setup
        epochs = data.train_dataloader()
        learner.prepare(plan.epochs * len(epochs), int(drawn.known.inside.sum()), self.seed)
        self.watch.watched = Watched.chosen(drawn.pairs, drawn.tokens, drawn.known, plan.watched, self.seed)
        self.keep.tokens = self._used() if plan.compact else None
        if trainer.is_global_zero:
            self._record().write(self.out)
            (self.out / CONFIG).write_text(yaml.safe_dump(self.config(), sort_keys=False))

    def _used(self) -> Tensor:
        drawn = self.data.drawn
        assert drawn is not None  # as above
        return drawn.tokens[torch.from_numpy(drawn.known.inside)]

    def _finish(self, trainer: Trainer) -> Record:
        learner, data, watch = self.learner, self.data, self.watch
        assert data.drawn is not None  # as above
        done = replace(
            self._record(), epochs=len(watch.epochs), finished=True, last=watch.epochs[-1], kept=self.keep.kept
        )
        done = replace(done, promises=self._promises(done.pairs, trainer.global_step))
        if trainer.is_global_zero:
            learner.towers.eval().cpu().save(self.out, self.keep.tokens)
            write(self.out / NAME, data.drawn.known)
            if data.shards:
                write_shards(self.out, data.source, data.drawn.known)
            done.write(self.out)
            clear(self.out)
        return done

    def _promises(self, pairs: int, steps: int) -> dict[str, float]:
        promised: dict[str, float] = {}
        for defence in self.learner.defences:
            promised |= defence.promise(pairs, self.data.batch, steps)
        return promised

    def _record(self) -> Record:
        assert self.data.drawn is not None  # as above
        known = self.data.drawn.known
        return Record(
            of=self.of,
            source=describe(self.data.source),
            target=self.learner.begun,
            pairs=int(known.inside.sum()),
            held_out=int((~known.inside).sum()),
            repeated=int((known.repeats > 1).sum()),
            repeats=max(self.data.levels or [self.data.repeats]),
            rejected=self.data.drawn.pairs.rejected,
            seed=self.seed,
            defences=[describe(one) for one in self.learner.defences],
            torch=torch.__version__,
        )

    def _drawn(self) -> dict[str, object]:
        names = ("source", "share", "repeated", "repeats", "without", "batch", "near_copies", "shards", "max_pixels")
        levels = () if self.data.levels is None else ("levels", "planted")  # absent, where the digest was without them
        return {name: plain(getattr(self.data, name)) for name in (*names, *levels)}

    def config(self) -> dict[str, object]:
        """Return what `lmia fit --config` replays."""
        learner = self.learner
        return {
            "model": {
                "target": plain(learner.made[0]),
                "plan": plain(asdict(learner.plan)),
                "defence": plain(learner.defences),
            },
            "data": self._drawn(),
            "seed": self.seed,
            "trainer": plain(self.trainer_config),
            "out": str(self.out),
        }
