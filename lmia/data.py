"""From shards to batches: who reads which shard, in how many processes and threads, and what a batch holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule, Trainer
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lmia.cores import AHEAD, batch_size, let_go_of_freed_memory, reading, stand_back
from lmia.errors import LmiaError
from lmia.faults import unread
from lmia.picture import MAX_PIXELS, Facts, open_pairs
from lmia.records import records, together
from lmia.settings import class_path, digest, made_by
from lmia.source import Pair, Rejected, Source, named_shards, reader_of
from lmia.streams import Streams

TOGETHER = 16
"""Records that a thread decodes in one go: handing over single ones costs the interpreter's lock each time."""

_Opened = tuple[Tensor, tuple[str, str, Facts]]


@dataclass(frozen=True)
class Shard:
    """A shard of a source, and its key in the store.

    Args:
        source: who reads it.
        name: what the source calls it.
        key: a fingerprint of its content and of who reads it.
    """

    source: Source
    name: str
    key: str


def shards_of(source: Source, max_pixels: int = MAX_PIXELS) -> list[Shard]:
    """List a source's shards with their store keys; a part shares its source's, and so its cache. Each limit has its own.

    Example:
        >>> from lmia.source import Pair, Source
        >>> class One(Source):
        ...     def shards(self): return ["0"]
        ...     def read(self, shard): yield Pair("a", "a dot", b"")
        ...     def fingerprint(self, shard): return "x"
        >>> [shard.name for shard in shards_of(One())]
        ['0']
    """
    reader = reader_of(source)
    who = (class_path(type(reader)), made_by(reader))
    more = () if max_pixels == MAX_PIXELS else (max_pixels,)
    return [Shard(reader, name, digest(*who, name, reader.fingerprint(name), *more)) for name in named_shards(source)]


@dataclass
class Read:
    """A batch of b decoded pairs of one shard.

    Args:
        shard: the shard's key.
        pixels: `(b, 3, h, w)` uint8.
        rows: key, caption and facts of each pair.
        rejected: records between this batch's pairs that cannot be used.
        last: whether the shard ends here.
        error: what stopped the reader, if the user is to hear of it.
        tokens: `(b, l)` of the captions, where the reader makes them.
    """

    shard: str
    pixels: Tensor | None
    rows: list[tuple[str, str, Facts]]
    rejected: list[Rejected]
    last: bool = False
    error: LmiaError | None = None
    tokens: Tensor | None = None

    def pin_memory(self) -> Read:
        """Put pixels and tokens where a GPU can fetch them by itself."""
        self.pixels, self.tokens = (part if part is None else part.pin_memory() for part in (self.pixels, self.tokens))
        return self


class ShardReader(IterableDataset[Read]):
    """Reads shards in order and decodes on `threads` threads (Pillow lets go of the interpreter while it decodes).

    Args:
        shards: what to read; worker w of W reads every W-th.
        preprocess: an RGB image to `(3, h, w)` uint8.
        batch: records a batch; batches never cross a shard.
        threads: decoding threads of a process; 0 decodes in the thread that reads.
        max_pixels: larger pictures are rejected undecoded.
        pool: threads to decode on, shared with others; its own unless given.
        tokenize: captions to `(b, l)` tokens, where they are to be made here.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        preprocess: Callable[[Image.Image], Tensor],
        batch: int,
        threads: int,
        max_pixels: int = MAX_PIXELS,
        pool: Executor | None = None,
        tokenize: Callable[[Sequence[str]], Tensor] | None = None,
    ) -> None:
        self.shards = shards
        self.preprocess = preprocess
        self.batch = batch
        self.threads = threads
        self.max_pixels = max_pixels
        self.pool = pool
        self.tokenize = tokenize

    def __iter__(self) -> Iterator[Read]:
        """Yield the batches of this worker's shards, each shard's in order, its last one marked."""
        worker = get_worker_info()
        mine = self.shards[worker.id :: worker.num_workers] if worker else self.shards
        ahead: deque[Callable[[], Read]] = deque()
        own = not self.pool and self.threads
        with ThreadPoolExecutor(self.threads) if own else nullcontext(self.pool) as pool:
            for job in chain.from_iterable(self._jobs(shard, pool) for shard in mine):
                ahead.append(job)
                if len(ahead) > (AHEAD if pool else 0):
                    yield ahead.popleft()()
            for job in ahead:
                yield job()
        if worker:  # Lightning holds one batch back: the last one with pairs is encoded while the processes end
            yield Read("", None, [], [])

    def _jobs(self, shard: Shard, pool: Executor | None) -> Iterator[Callable[[], Read]]:
        """Begin to decode a shard's batches, one after the other, and say how to get each; without a pool that decodes it."""
        try:
            for group in together(records(shard.source, shard.name), self.batch):
                handfuls = [group[i : i + TOGETHER] for i in range(0, len(group), TOGETHER)]
                begun = [
                    pool.submit(self._open_all, handful).result if pool else partial(self._open_all, handful)
                    for handful in handfuls
                ]
                yield partial(self._batch, shard, begun)
        except (LmiaError, OSError) as error:  # it would lose its two lines, or its number, on the way out of a worker
            yield partial(Read, shard.key, None, [], [], error=unread(shard.name, error))
        yield partial(Read, shard.key, None, [], [], last=True)

    def _batch(self, shard: Shard, begun: Sequence[Callable[[], list[_Opened | Rejected]]]) -> Read:
        opened = [item for result in begun for item in result()]
        rejected = [item for item in opened if isinstance(item, Rejected)]
        pairs = [item for item in opened if not isinstance(item, Rejected)]
        if not pairs:
            return Read(shard.key, None, [], rejected)
        rows = [row for _, row in pairs]
        tokens = self.tokenize([caption for _, caption, _ in rows]) if self.tokenize else None
        return Read(shard.key, torch.stack([pixels for pixels, _ in pairs]), rows, rejected, tokens=tokens)

    def _open_all(self, group: Sequence[Pair | Rejected]) -> list[_Opened | Rejected]:
        pairs = [record for record in group if isinstance(record, Pair)]
        opened = iter(zip(pairs, open_pairs(pairs, self.preprocess, self.max_pixels), strict=True))
        return [_row(*next(opened)) if isinstance(one, Pair) else Rejected(_text(one.key), one.reason) for one in group]


def _row(pair: Pair, opened: tuple[Tensor, Facts] | Rejected) -> _Opened | Rejected:
    if isinstance(opened, Rejected):
        return Rejected(_text(opened.key), opened.reason)
    pixels, facts = opened
    return pixels, (_text(pair.key), pair.caption, facts)


def _text(key: str) -> str:
    return key.encode("utf-8", "backslashreplace").decode("utf-8")


class AuditData(LightningDataModule):
    """The roles of the data, and how they are read.

    Give `members` and `nonmembers` to measure what a model leaks, or `suspects` and `known_nonmembers` to ask whether
    pairs were used. Known non-members and the pool are cut from members and non-members where they are not given.

    Args:
        members: pairs known to have been trained on.
        nonmembers: pairs known not to have been.
        known_nonmembers: non-members the attacker knows: a third calibrates thresholds, the rest teaches the attacks.
        known_members: members the attacker knows, for supervised attacks.
        pool: unlabelled pairs, members and non-members mixed, that an attack may learn from.
        suspects: pairs of unknown membership, scored one by one.
        batch: pairs decoded and encoded at once; 64 unless told, with a GPU 256.
        workers: reading processes; by default all cores but one with a GPU, and without one as many as there are cores
            where there are shards enough; none (decoding on threads) where they have no memory to share.
        max_pixels: pictures with more are rejected before they are decoded.
        allow_overlap: go on, with a warning in the report, where the pool shares pairs with another role. Audited
            pairs among the known non-members are an error always.
        known_share: the share of `members` that is cut off by seed as known members, where these are not given.
        cluster_by: a column whose pairs hang together (shoot, photographer): cut, resampled and permuted as one. `host` is
            taken from the urls; any other is in `columns`.
        columns: a CSV or parquet file with `key` and the columns named in `cluster_by` and `slice_by`.
        slice_by: columns by whose values the report slices the pairs, besides caption length, picture, file and host.
        repeated: a column of `columns`: how often each member was shown in training. Members shown more than once are the
            positive control; a manifest (`--truth`) says it by itself.
    """

    def __init__(
        self,
        members: Source | None = None,
        nonmembers: Source | None = None,
        known_nonmembers: Source | None = None,
        known_members: Source | None = None,
        pool: Source | None = None,
        suspects: Source | None = None,
        batch: int | None = None,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
        allow_overlap: bool = False,
        known_share: float = 0.0,
        cluster_by: str | None = None,
        columns: Path | None = None,
        slice_by: list[str] | None = None,
        repeated: str | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= known_share < 1:
            raise LmiaError(f"A known_share of {known_share} leaves no audit.", "Give 0, or a share below 1.")
        if batch is not None and batch < 1:
            raise LmiaError(f"Batches of {batch} pairs hold nothing.", "Give --batch 1 or more.")
        self.cluster_by, self.columns, self.slice_by, self.repeated = cluster_by, columns, slice_by or [], repeated
        self.sources = {
            "members": members,
            "nonmembers": nonmembers,
            "known_nonmembers": known_nonmembers,
            "known_members": known_members,
            "pool": pool,
            "suspects": suspects,
        }
        self.batch, self.workers, self.max_pixels = batch, workers, max_pixels
        self.allow_overlap, self.known_share = allow_overlap, known_share
        self.shards: Sequence[Shard] = ()
        self.mine: Sequence[Shard] = ()
        self.todo: frozenset[str] = frozenset()
        self.streams = Streams()
        self.preprocess: Callable[[Image.Image], Tensor] | None = None
        self.tokenize: Callable[[Sequence[str]], Tensor] | None = None

    def given(self) -> dict[str, Source]:
        """Return the roles that were given, by name."""
        return {role: source for role, source in self.sources.items() if source is not None}

    def options(self) -> dict[str, object]:
        """Return what was chosen besides the roles."""
        names = ("batch", "workers", "max_pixels", "allow_overlap", "known_share", "cluster_by", "slice_by", "repeated")
        columns = str(self.columns) if self.columns else None
        return {name: getattr(self, name) for name in names} | {"columns": columns}

    def predict_dataloader(self) -> DataLoader[Read]:
        """Load this rank's share of the shards that are still to do."""
        trainer = self.trainer
        if trainer is None or self.preprocess is None:
            raise RuntimeError("AuditData is loaded by lmia.extract.extract, which says what is to do.")
        todo = set(trainer.strategy.broadcast(sorted(self.todo)))  # rank zero's: another run may do some meanwhile
        self.mine = [one for one in self.shards if one.key in todo][trainer.global_rank :: trainer.world_size]
        device = trainer.strategy.root_device.type
        size = self.batch or batch_size(device)
        picture = self.preprocess(Image.new("RGB", (8, 8))).nbytes
        workers, threads = reading(trainer.world_size, len(self.mine), self.workers, device, size * picture)
        pool = None if workers or self.streams.count < threads else self.streams.pool
        tokenize = self.tokenize if device == "cuda" else None  # else a window's are made together, for less padding
        reader = ShardReader(self.mine, self.preprocess, size, threads, self.max_pixels, pool, tokenize)
        if workers:
            let_go_of_freed_memory()
        nobodys = torch.Generator()  # a loader draws a seed it never uses; not from the global generator
        return DataLoader(
            reader,
            generator=nobodys,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            worker_init_fn=stand_back if workers else None,
            pin_memory=device == "cuda",
            persistent_workers=False,
        )


def check_whole(trainer: Trainer) -> None:
    """Refuse a trainer that would leave shards out (`LmiaError`)."""
    limit = trainer.limit_predict_batches  # 1.0 is all, 1 is one
    if not isinstance(limit, float) or limit != 1.0:
        raise LmiaError(
            f"The trainer is to stop early: limit_predict_batches={limit}.",
            "Leave it out, and sample the data instead: SPEC?n=1000&seed=0.",
        )
