"""How a target is trained, and when it is enough."""

from __future__ import annotations

from dataclasses import dataclass, field

from lmia.errors import LmiaError


@dataclass(frozen=True)
class Plan:
    """What a training does, apart from its model, its data and its defences.

    Args:
        epochs: stop here at the latest; the learning rate falls to zero towards it.
        lr: the highest learning rate (AdamW; a line up over `warmup`, a cosine down to zero).
        warmup: share of all steps in which the learning rate rises.
        weight_decay: of AdamW, on weights with two axes or more, as open_clip has it.
        watched: how many members, and how many held-out pairs, the figures of an epoch are taken from.
        stop_auc: stop after the first epoch whose live AUC (members' cosines against the others') reaches this.
        stop_recall: stop after the first epoch that finds so many members' captions from their pictures at once (R@1).
        save_epochs: after these epochs the target is also kept as it then is, in `epochs/NNN`.
        save_aucs: likewise when the live AUC first reaches each of these.
        compact: write weights in half precision, and blank rows of the vocabulary that no caption uses: a small file.

    Raises:
        LmiaError: a number is out of its range.

    Example:
        >>> Plan(epochs=0)
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The option 'epochs' is 0.
        Give a number from 1.
    """

    epochs: int = 24
    lr: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    watched: int = 1000
    stop_auc: float | None = None
    stop_recall: float | None = None
    save_epochs: list[int] = field(default_factory=list)
    save_aucs: list[float] = field(default_factory=list)
    compact: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "watched"):
            if getattr(self, name) < 1:
                raise LmiaError(f"The option '{name}' is {getattr(self, name)}.", "Give a number from 1.")
        for name in ("lr", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise LmiaError(f"The option '{name}' is {getattr(self, name)}.", "Give a number from 0.")
        for name in ("warmup", "stop_auc", "stop_recall"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise LmiaError(f"The option '{name}' is {value}.", "Give a number from 0 to 1.")
        if late := [epoch for epoch in self.save_epochs if not 1 <= epoch <= self.epochs]:
            raise LmiaError(f"There is no epoch {late[0]} to save.", f"Epochs are 1 to {self.epochs}.")
