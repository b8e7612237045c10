"""Who is in a training, and the batches of its epochs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from random import Random

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from PIL import Image
from torch import Tensor

from lmia.defence import Defence
from lmia.errors import LmiaError
from lmia.lots import drawn
from lmia.membership import Membership
from lmia.picture import MAX_PIXELS
from lmia.settings import digest
from lmia.source import Source
from lmia.training.absent import left_out
from lmia.training.levels import check_levels, planted_times
from lmia.training.pairs import Pairs, decoded

TOKENISED = 4096
"""Captions that are turned into tokens at once."""

Batch = tuple[Tensor, Tensor]
"""Pixels `(b, 3, h, w)` uint8 and tokens `(b, l)`."""


class FitData(LightningDataModule):
    """The pairs of a training, who of them is in, and its batches.

    Args:
        source: where the pairs come from.
        share: of the pairs that is drawn into the training, by a lot that anyone can draw again (`lmia.lots`).
        repeated: how many of those an epoch shows more than once: the first ones, in the source's order.
        repeats: how often an epoch shows those.
        levels: instead of these two, several levels: how often an epoch shows the planted members of each, such as 1 2 4 8.
            Which members they are is drawn by lot.
        planted: members of each level.
        without: a CSV or parquet file with a column `key`: pairs that are left out though they were drawn, which makes
            the clean twin of a training that had them.
        batch: pairs a step, over all devices.
        near_copies: leave a picture out within so many bits (of 64, 0 to 15) of an earlier one's perceptual hash: of two
            near copies one would be trained on, and the other called a non-member.
        shards: also write `shards/members-*.tar` and `shards/nonmembers-*.tar`, to audit the target with.
        max_pixels: pictures with more are rejected before they are decoded.

    Raises:
        LmiaError: a number is out of its range.
    """

    def __init__(
        self,
        source: Source,
        share: float = 0.5,
        repeated: int = 0,
        repeats: int = 8,
        without: Path | None = None,
        batch: int = 128,
        near_copies: int | None = None,
        shards: bool = False,
        max_pixels: int = MAX_PIXELS,
        levels: list[int] | None = None,
        planted: int = 100,
    ) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise LmiaError(f"A share of {share} cannot be drawn.", "Give a number above 0, up to 1.")
        if repeated < 0 or repeats < 1 or batch < 2:
            said = f"repeated {repeated}, repeats {repeats}, batch {batch}"
            raise LmiaError(
                f"No training can be made with {said}.", "repeated is 0 or more, repeats 1, batch 2 or more."
            )
        if near_copies is not None and not 0 <= near_copies <= 15:
            raise LmiaError(f"near_copies is {near_copies}.", "Give 0 to 15 bits, or nothing.")
        if levels is not None:
            check_levels(levels, planted)
            if repeated:
                problem = f"Both levels and repeated ({repeated}) say what is shown more than once."
                raise LmiaError(problem, "Leave one of them out.")
        self.levels, self.planted = levels, planted
        self.near_copies, self.shards = near_copies, shards
        self.source, self.share, self.repeated, self.repeats = source, share, repeated, repeats
        self.without, self.batch, self.max_pixels = without, batch, max_pixels
        self.drawn: Drawn | None = None
        self._begun: _Begun | None = None

    def begin(
        self,
        preprocess: Callable[[Image.Image], Tensor],
        tokenize: Callable[[Sequence[str]], Tensor],
        defences: Sequence[Defence],
        place: Path,
        seed: int,
    ) -> None:
        """Say for whom the pairs are.

        Args:
            preprocess: the target's, of an image.
            tokenize: the target's, of captions.
            defences: some leave pairs out, some change captions.
            place: a folder for the decoded pairs.
            seed: of lots and orders.
        """
        self._begun = _Begun(preprocess, tokenize, defences, place, seed)

    def prepare_data(self) -> None:
        """Decode the pairs onto the disk: Lightning calls this on one rank of a node."""
        self._decoded()

    def setup(self, stage: str) -> None:
        """Draw who is in, on every rank alike."""
        pairs = self._decoded()
        known = self.membership(pairs, self._for.defences, self._for.seed)
        self.drawn = Drawn(pairs, known, tokens_of(self._for.tokenize, pairs.captions))

    def _decoded(self) -> Pairs:
        threads = len(os.sched_getaffinity(0))
        whose = self._for
        return decoded(self.source, whose.preprocess, whose.place, threads, self.max_pixels, self.near_copies)

    @property
    def _for(self) -> _Begun:
        if self._begun is None:
            raise RuntimeError("FitData is loaded by lmia.training.run_fit, which says for whom.")
        return self._begun

    def membership(self, pairs: Pairs, defences: Sequence[Defence], seed: int) -> Membership:
        """Draw who is in, and say how often an epoch shows each pair.

        Args:
            pairs: of the source.
            defences: some leave pairs out.
            seed: of the lots.

        Raises:
            LmiaError: fewer than two pairs are in, or than levels need, or `without` does not fit the source.
        """
        gone = set(left_out(self.without, pairs.keys)) if self.without is not None else set()
        members = np.array(
            [i for i, key in enumerate(pairs.keys) if key not in gone and drawn(key, seed, self.share)], int
        )
        for defence in defences:
            known = [[column[i] for i in members.tolist()] for column in (pairs.keys, pairs.captions, pairs.phash)]
            members = members[defence.keep(*known)] if len(members) else members
        if len(members) < 2:
            raise LmiaError(f"{len(members)} of the {len(pairs)} pairs are in.", "Give more pairs, or a larger share.")
        times = np.zeros(len(pairs), np.int32)
        times[members] = 1
        times[members[: self.repeated]] = self.repeats
        if self.levels is not None:
            times[members] = planted_times([pairs.keys[i] for i in members.tolist()], self.levels, self.planted, seed)
        return Membership(pairs.keys, times > 0, times)

    def train_dataloader(self) -> Epochs:
        """Return the batches of an epoch, drawn anew for each."""
        trainer, drawn, whose = self.trainer, self.drawn, self._for
        if trainer is None or drawn is None:
            raise RuntimeError("FitData is loaded by a Trainer.")
        order = Order(self.batch, whose.seed, trainer.global_rank, trainer.world_size)
        if (most := min(self.batch, int(drawn.known.repeats.sum()))) < order.world:
            problem = f"A step of {most} pairs cannot be shared out to {order.world} devices."
            raise LmiaError(problem, "Give a larger --batch, more pairs, or fewer devices.")
        return Epochs(drawn, order, whose.defences, whose.tokenize, lambda: trainer.current_epoch)


@dataclass(frozen=True)
class _Begun:
    """For whom the pairs of a training are; see `FitData.begin`."""

    preprocess: Callable[[Image.Image], Tensor]
    tokenize: Callable[[Sequence[str]], Tensor]
    defences: Sequence[Defence]
    place: Path
    seed: int


@dataclass(frozen=True)
class Drawn:
    """What a training is on.

    Args:
        pairs: n pairs of the source.
        known: who of them is in, and how often an epoch shows each.
        tokens: `(n, l)` of their captions.
    """

    pairs: Pairs
    known: Membership
    tokens: Tensor

    @cached_property
    def key(self) -> str:
        """A digest of the pairs, by key, caption and perceptual hash, and of how often each is shown."""
        pairs = self.pairs
        return digest(list(pairs.keys), list(pairs.captions), list(pairs.phash), self.known.repeats.tolist())


@dataclass(frozen=True)
class Order:
    """In which batches pairs come.

    Args:
        batch: pairs a step, over all ranks.
        seed: of the orders.
        rank: this process's number.
        world: how many there are.
    """

    batch: int
    seed: int
    rank: int = 0
    world: int = 1


def tokens_of(tokenize: Callable[[Sequence[str]], Tensor], captions: Sequence[str]) -> Tensor:
    """Turn n captions into `(n, l)` tokens, cut where the longest ends (a target may cut each call's elsewhere).

    Example:
        >>> words = lambda captions: torch.tensor([[len(one)] * len(max(captions, key=len)) for one in captions])
        >>> tokens_of(words, ["a", "abc"]).shape
        torch.Size([2, 3])
    """
    parts = [tokenize(captions[i : i + TOKENISED]) for i in range(0, len(captions), TOKENISED)]
    width = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])


@dataclass
class Epochs:
    """The batches of one epoch after the other, in orders that depend on seed and number alone, so that a run can resume.

    A pair that is drawn into a batch twice is shown once there: it would be its own negative. Every rank gets the same
    number of pairs; up to `world - 1` pairs of a batch are left for another epoch, and a batch of no more is left out.

    Args:
        drawn: the pairs, and how often an epoch shows each.
        order: in which batches.
        defences: some change captions as they are shown.
        tokenize: of the target, for changed captions.
        epoch: says which comes next.
    """

    drawn: Drawn
    order: Order
    defences: Sequence[Defence]
    tokenize: Callable[[Sequence[str]], Tensor]
    epoch: Callable[[], int] = int

    def __post_init__(self) -> None:
        times = torch.from_numpy(self.drawn.known.repeats).long()
        self._shown = torch.repeat_interleave(torch.arange(len(times)), times)
        self._changed = [one for one in self.defences if type(one).captions is not Defence.captions]

    def __len__(self) -> int:
        full, rest = divmod(len(self._shown), self.order.batch)
        return full + (rest >= self.order.world)

    def __iter__(self) -> Iterator[Batch]:
        """Yield this rank's part of every batch of the epoch."""
        epoch, order = self.epoch(), self.order
        generator = torch.Generator().manual_seed(seeded(order.seed, "order", epoch))
        shown = self._shown[torch.randperm(len(self._shown), generator=generator)]
        for step, part in enumerate(torch.split(shown, order.batch)):
            rows = torch.unique(part)
            rows = rows[: len(rows) // order.world * order.world][order.rank :: order.world]
            if len(rows):
                yield self.drawn.pairs.pixels[rows], self._tokens(rows, epoch, step)

    def _tokens(self, rows: Tensor, epoch: int, step: int) -> Tensor:
        if not self._changed:
            return self.drawn.tokens[rows]
        captions: Sequence[str] = [self.drawn.pairs.captions[i] for i in rows.tolist()]
        draw = Random(seeded(self.order.seed, "captions", epoch, step, self.order.rank))
        for defence in self._changed:
            captions = defence.captions(captions, draw)
        return self.tokenize(captions)


def seeded(seed: int, *what: object) -> int:
    """Derive a seed of its own for each purpose.

    Example:
        >>> seeded(0, "order", 1) == seeded(0, "order", 1) != seeded(0, "order", 2)
        True
    """
    return int.from_bytes(sha256(ascii((seed, *what)).encode()).digest()[:7])
