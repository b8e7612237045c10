"""The progress of an extraction, in the units a person counts: pairs a second, and shards of all shards."""

from __future__ import annotations

import sys
import time

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lmia.data import AuditData, Read


class PairProgress(ProgressBar):
    """A bar of shards with the pairs read so far and their rate; silent where no person looks on.

    Args:
        console: where to draw; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or Console(file=sys.stderr)
        self.pairs = 0
        self.seconds = 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._start = 0.0

    def disable(self) -> None:
        """Draw nothing (Lightning calls this on ranks above zero)."""
        self._hidden = True

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self.pairs, self._start = 0, time.perf_counter()
        data = getattr(trainer, "datamodule", None)
        shards = len(data.mine) if isinstance(data, AuditData) else None
        if trainer.is_global_zero and self.console.is_terminal and not getattr(self, "_hidden", False):
            self._bar = Progress(
                TextColumn("Extracting"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("shards, {task.fields[pairs]:,} pairs, {task.fields[rate]:,.0f} pairs/s"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task("extract", total=shards, pairs=0, rate=0.0)
            self._bar.start()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Read,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch."""
        self.pairs += len(batch.rows)
        self.seconds = time.perf_counter() - self._start
        if self._bar is not None:
            rate = self.pairs / max(self.seconds, 1e-9)
            self._bar.update(self._task, advance=int(batch.last), pairs=self.pairs, rate=rate)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the finished bar standing."""
        if self._bar is not None:
            self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let go of the terminal, so that the error can be read."""
        if self._bar is not None:
            self._bar.stop()
