"""A shard under way: what has been computed of it while it is still being read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lmia.picture import Facts
from lmia.source import Rejected


@dataclass
class Underway:
    """What has been computed of a shard so far.

    Args:
        rows: key, caption and facts of its pairs.
        rejected: records that cannot be used.
        images: how to get the features of the window's pictures, piece by piece.
        waiting: pairs whose captions are not encoded yet.
        done: parts of each array, in order.
        measured: what attacks measured, batch by batch.
    """

    rows: list[tuple[str, str, Facts]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    images: list[Callable[[], dict[str, Tensor]]] = field(default_factory=list)
    waiting: int = 0
    done: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    measured: dict[str, list[Mapping[str, NDArray[Any]]]] = field(default_factory=dict)

    def arrays(self, wanted: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Join the parts of every array wanted; empty ones where nothing of the shard was usable.

        Example:
            >>> Underway(done={"cosine": [np.zeros(2), np.ones(1)]}).arrays(["cosine"])
            {'cosine': array([0., 0., 1.])}
        """
        found = {name: np.concatenate(parts) for name, parts in self.done.items()}
        for name in set(wanted) - found.keys():
            found[name] = np.zeros((0,) if name.startswith("cosine") else (0, 0), np.float32)
        return found

    def bundles(self, names: Iterable[str]) -> dict[str, dict[str, NDArray[Any]]]:
        """Join what attacks measured, by array and the attack's own names.

        Example:
            >>> Underway().bundles(["measured@x"])
            {'measured@x': {}}
        """
        found: dict[str, dict[str, NDArray[Any]]] = {name: {} for name in names}
        for name, parts in self.measured.items():
            found[name] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        return found
