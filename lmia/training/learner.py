"""The towers of a target, learning: a LightningModule."""

from __future__ import annotations

import math

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from lmia.defence import Defence
from lmia.errors import LmiaError
from lmia.target import Target
from lmia.training.data import Batch, seeded
from lmia.training.plan import Plan


class Learner(LightningModule):
    """Trains a target with its own contrastive loss, AdamW and a cosine schedule; defences have their say.

    Args:
        target: what to begin from: random weights, or trained ones to fine-tune. It learns in place.
        plan: how.
        defence: what is done against leaks, in order.

    Raises:
        LmiaError: the target cannot be trained, or a defence changes no training.
    """

    def __init__(self, target: Target, plan: Plan | None = None, defence: list[Defence] | None = None) -> None:
        super().__init__()
        self.begun, self.fingerprint = target.facts().name, target.fingerprint()
        towers = target.trainable()
        if towers is None:
            raise LmiaError(f"{self.begun} cannot be trained.", "Give a target with towers of its own.")
        self.plan, self.defences = plan or Plan(), defence or []
        for one in self.defences:
            if not one.trains:
                name = type(one).__name__.lower()
                remedy = f"Give it to an audit: lmia audit --defence {name}."
                raise LmiaError(f"The defence '{name}' changes no training.", remedy)
        self.towers = towers
        self.preprocess, self.tokenize = target.preprocess, target.tokenize
        self.made = (target,)  # not as a module of its own: it would be put into eval mode with everything it shares
        self.steps, self.pairs, self.seed = 1, 0, 0

    def prepare(self, steps: int, pairs: int, seed: int) -> None:
        """Say what is ahead, and let the defences change the towers.

        Args:
            steps: of the whole training, if nothing stops it sooner.
            pairs: how many are trained on.
            seed: of dropout, and of the defences' lots.
        """
        self.steps, self.pairs, self.seed = steps, pairs, seed
        for defence in self.defences:
            defence.adapt(self.towers)

    def on_train_epoch_start(self) -> None:
        """Begin an epoch with lots of its own: a resumed run is an unbroken one."""
        torch.manual_seed(seeded(self.seed, "epoch", self.current_epoch, self.global_rank))

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Return the loss of a batch's part."""
        pixels, tokens = batch
        pixels = pixels.float() / 255
        generator = self._lots("pixels", self.global_rank)
        for defence in self.defences:
            pixels = defence.pixels(pixels, generator)
        loss: Tensor = self.towers(pixels, tokens, self.global_rank, self.trainer.world_size)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(tokens), sync_dist=True)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the defences change the gradients, which all ranks share by now."""
        for defence in self.defences:
            defence.gradients(self.towers, self._lots("gradients"))

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """Bring parameters back into their ranges."""
        self.towers.settle()
        for defence in self.defences:
            defence.settle(self.towers)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return AdamW, with decay on matrices alone, and the schedule, which moves every step."""
        decays = [decay for defence in self.defences if (decay := defence.decay()) is not None]
        decay = decays[-1] if decays else self.plan.weight_decay
        learns = [parameter for parameter in self.towers.parameters() if parameter.requires_grad]
        groups = [
            {"params": [p for p in learns if p.ndim < 2], "weight_decay": 0.0},
            {"params": [p for p in learns if p.ndim >= 2], "weight_decay": decay},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.plan.lr, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _share(self, step: int) -> float:
        """Share of the highest learning rate at a step: up in a line, down in a cosine to zero."""
        rise = (step + 1) / (self.plan.warmup * self.steps) if self.plan.warmup else 1.0
        return min(rise, 0.5 + 0.5 * math.cos(math.pi * min(step / self.steps, 1)))

    def _lots(self, *what: object) -> torch.Generator:
        return torch.Generator().manual_seed(seeded(self.seed, *what, self.global_step))
