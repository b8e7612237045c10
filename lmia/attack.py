"""The contract of an attack: what it needs, what it requires, how it scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lmia.samples import Known, Samples
from lmia.settings import Made
from lmia.target import Target

NEEDS = frozenset({"cosine", "embeddings", "view_embeddings", "gradients"})
REQUIRES = frozenset({"known_nonmembers", "known_members", "pool", "views", "anchors"})


@dataclass(frozen=True)
class Batch:
    """What `Attack.measure` sees of b pairs.

    Args:
        rows: `(b,)` int64 row numbers within their shard.
        pixels: `(b, 3, h, w)` float in [0, 1], on the target's device.
        tokens: `(b, l)` int64, on the target's device.
    """

    rows: Tensor
    pixels: Tensor
    tokens: Tensor


class Attack(Made, ABC):
    """A membership inference attack. A higher score means more likely a member, always.

    A plugin overrides `score`, and `fit`, `measure` and `findings` where it has to. Its typed and documented `__init__`
    is its command line. Its name is its class name in lower case.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"cosine"})
    """What must be extracted, of `NEEDS`: decides what is stored, and is checked against `Target.answers`."""

    requires: ClassVar[frozenset[str]] = frozenset()
    """What the user must supply, of `REQUIRES`: checked before the model is run."""

    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Init arguments with a name of their own: `--plugin wsa:bench` is `WSA(**presets["bench"])`, reported by that name."""

    together: ClassVar[bool] = False
    """Whether the plain name, with no arguments, stands for all presets, reported side by side."""

    transductive: ClassVar[bool] = False
    """Whether `fit` may take the suspects as its pool; the core then cross-fits, so no pair is scored by a fit that saw it."""

    def measure(self, target: Target, batch: Batch, anchors: Samples | None) -> Mapping[str, Tensor]:
        """White-box measurements of a batch, each `(b, ...)`, row by row independent of batch-mates.

        Runs with gradients enabled and autocast off; must leave mode, buffers, gradients and generators as they were.
        `anchors` is a fixed bank of known non-members, the same for every sample, where `requires` holds `anchors`.
        """
        return {}

    def fit(self, known: Known) -> None:
        """Learn from known non-members and pool. Raise `NothingToLearn` where there is nothing."""

    @abstractmethod
    def score(self, samples: Samples) -> Tensor:
        """Return `(n,)` scores, higher = more likely a member; finite, and each row's independent of the others."""

    def findings(self) -> Mapping[str, object]:
        """What `fit` found and a reader should know, JSON-able; a list of dicts becomes a table in the report."""
        return {}
