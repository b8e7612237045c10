"""Extraction: a LightningModule that runs a target over views of pairs, and keeps what attacks ask for in the store."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from lmia.attack import Batch
from lmia.companions import gathered
from lmia.cores import batch_size
from lmia.data import AuditData, Read, Shard, check_whole
from lmia.defence import Defence, defended
from lmia.encoding import Encoder, floats
from lmia.guarded import guarded
from lmia.measurement import Measurement
from lmia.precision import full_precision
from lmia.returned import check_finite, check_picture
from lmia.settings import digest, made_by, plain
from lmia.steadiness import Again, told
from lmia.store import Store, default_cache
from lmia.streams import streams
from lmia.target import Target
from lmia.underway import Underway
from lmia.views import Identity, Views, checked_views

STEPS, QUEUED = 2, 8
"""Steps that may wait for their results, a window's or a shard's, while more is encoded: without a GPU, and with one."""
WINDOW = 4096
"""Captions encoded together: sorted by length and each once, so that short ones are not padded to long ones. Where a batch
brings its tokens it is a window of its own: a GPU would stand still while thousands of captions are tokenised."""


class FeatureExtractor(LightningModule):
    """The model under audit, seen through an augmentation set.

    Args:
        target: the model under audit.
        views: the augmentation set for attacks that compare views; only they make it run.
        cache: where features are kept between runs; `$LMIA_CACHE` or the user's cache folder unless told.
        defence: what answers in the target's stead, each before the one ahead of it in the list.

    Raises:
        LmiaError: a defence changes no answers, or the views do not begin with the identity.
    """

    def __init__(
        self,
        target: Target,
        views: Views | None = None,
        cache: Path | None = None,
        defence: list[Defence] | None = None,
    ) -> None:
        super().__init__()
        self.bare, self.defences = (target,), defence or []  # not as a module of its own: it is in the defended one
        self.target = defended(target, self.defences)
        self.augmentation = views or Identity()
        self.views = checked_views(self.augmentation)
        self.cache = cache
        self.store = Store(Path(cache) if cache else default_cache(), self.target.fingerprint())
        self.wanted: frozenset[str] = frozenset()
        self.measurements: Sequence[Measurement] = ()
        self.encoder = Encoder(self.target, self.views)
        self.todo: frozenset[str] = frozenset()
        self.besides = nn.ModuleList()  # so that they follow to the device
        self._shards: dict[str, Underway] = {}
        self._later: deque[Callable[[], None]] = deque()
        self._again = Again()

    @property
    def together(self) -> list[FeatureExtractor]:
        """This model and those that see the same pictures in the same pass."""
        return [self, *cast("Iterable[FeatureExtractor]", self.besides)]

    @property
    def _on_gpu(self) -> bool:
        return self.device.type != "cpu"

    def view_names(self, active: bool) -> tuple[str, ...]:
        """Name the views that attacks get to see: all of them, or the identity alone."""
        return tuple(self.views) if active else ("identity",)

    def arrays(self, needs: Iterable[str], views: bool) -> list[str]:
        """Name the arrays in the store that `needs` ask for.

        Args:
            needs: of `lmia.attack.NEEDS`.
            views: whether the augmentation set is wanted.
        """
        needs = set(needs)
        seen = self.view_names(views)
        names = [self.column("cosine", view) for view in seen]
        if needs & {"embeddings", "view_embeddings"}:
            names += ["image", "text"]
        if "view_embeddings" in needs:
            names += [self.column(part, view) for part in ("image", "text") for view in seen]
        return list(dict.fromkeys(names))

    def column(self, part: str, view: str) -> str:
        """Name the array of one part (`cosine`, `image`, `text`) in one view; what a view leaves alone is shared."""
        alone = {"image": self.views[view].image is None, "text": self.views[view].caption is None}
        if view == "identity" or alone.get(part, False):
            return part
        how = repr(self.views[view])  # parameters, where they show; an address would change with every run
        shown = "" if " at 0x" in how else how
        who = digest(plain(self.augmentation), made_by(self.augmentation), view, shown)[:16]
        return f"{part}@{view}-{who}"

    def transfer_batch_to_device(self, batch: Read, device: torch.device, dataloader_idx: int) -> Read:
        """Move pixels, as bytes, and tokens; nothing else of a batch is for the device."""
        batch.pixels, batch.tokens = (
            None if part is None else part.to(device, non_blocking=True) for part in (batch.pixels, batch.tokens)
        )
        return batch

    def predict_step(self, batch: Read, batch_idx: int) -> int:
        """Let every model that lacks the batch's shard see the batch; return b."""
        if self.trainer.received_sigterm:  # Lightning only takes note of it
            raise SIGTERMException
        if batch.error is not None:
            self.on_predict_end()
            raise batch.error
        if batch.shard in self.todo:
            self._again.look(batch)
        for one in self.together:
            if batch.shard in one.todo:
                one.take(batch)
        return len(batch.rows)

    def take(self, batch: Read) -> None:
        """Encode a batch's images at once, its captions too where it has their tokens, else a window of them together."""
        shard = self._shards.setdefault(batch.shard, Underway())
        shard.rejected += batch.rejected
        if batch.pixels is not None:
            self._see(shard, batch.pixels, [caption for _, caption, _ in batch.rows])
            shard.rows += batch.rows
            shard.waiting += len(batch.rows)
        if shard.waiting and (batch.last or batch.tokens is not None or shard.waiting >= WINDOW):
            self._close_window(shard, batch.tokens)
        if batch.last:
            self._do_later(partial(self._commit, batch.shard, self._shards.pop(batch.shard)))

    def on_predict_end(self) -> None:
        """Take every step that still waits."""
        for one in self.together:
            one._do_later()

    def _do_later(self, step: Callable[[], None] | None = None) -> None:
        """Put a step at the end of those that wait, and take the first ones; all of them where none is added.

        Whoever waits for a shard's last features keeps the next shard from being encoded meanwhile.
        """
        self._later += [step] if step else []
        while len(self._later) > (0 if step is None else QUEUED if self._on_gpu else STEPS):
            self._later.popleft()()

    def lack(self, shards: Iterable[Shard], arrays: Sequence[str], measurements: Sequence[Measurement]) -> None:
        """Find out what this model's store lacks, and want no more than that."""
        names = [*arrays, *(measurement.array for measurement in measurements)]
        lacking = {shard.key: self.store.lacks(shard.key, names) for shard in shards}
        self.todo = frozenset(key for key, some in lacking.items() if some)
        every = {name for some in lacking.values() for name in some}
        self.wanted = frozenset(every & set(arrays))
        self.measurements = [m for m in measurements if m.array in every]
        self.encoder.encoded = {"images": 0, "captions": 0}
        self._later.clear()
        self._again = Again()
        self._shards.clear()  # what a pass that was broken off left half done
        self.store.sweep()

    def _seen(self) -> list[str]:
        """Name the views that some wanted array is of; one that a view shares with the identity is the identity's."""
        parts = ("cosine", "image", "text")
        own = {
            name: {column for part in parts if (column := self.column(part, name)) != part or name == "identity"}
            for name in self.views
        }
        return [name for name in self.views if self.wanted & own[name]]

    def _image_of(self, view: str) -> str:
        return "identity" if self.views[view].image is None else view

    def _text_of(self, view: str) -> str:
        return "identity" if self.views[view].caption is None else view

    def _see(self, shard: Underway, raw: Tensor, captions: list[str]) -> None:
        if names := list(dict.fromkeys(map(self._image_of, self._seen()))):
            shard.images += self.encoder.images(raw, names)
        if self.measurements:
            tokens = self.target.tokenize(captions).to(raw.device)
            batch = Batch(torch.arange(len(captions)) + len(shard.rows), floats(raw), tokens)
            for measurement in self.measurements:
                shard.measured.setdefault(measurement.array, []).append(measurement.take(self.target, batch))

    def _close_window(self, shard: Underway, tokens: Tensor | None) -> None:
        """Begin to encode the window's captions, of which there may be tokens; the rest is for later."""
        captions = [caption for _, caption, _ in shard.rows[-shard.waiting :]]
        texts: dict[str, Callable[[], Tensor]] = {}
        for name in dict.fromkeys(map(self._text_of, self._seen())):
            if (view := self.views[name].caption) is None and tokens is not None:
                texts[name] = self.encoder.tokens(tokens)
            else:
                texts[name] = self.encoder.captions(list(map(view, captions)) if view else captions, self.device)
        columns = self.encoder.streams.then(partial(self._columns, shard.images, texts))
        self._do_later(partial(self._keep, shard, columns))
        shard.images, shard.waiting = [], 0

    def _columns(
        self, images: Sequence[Callable[[], dict[str, Tensor]]], texts: Mapping[str, Callable[[], Tensor]]
    ) -> dict[str, Tensor]:
        """Take the window's cosines, send home what an attack asked for, and let go of the rest."""
        parts = [result() for result in images]
        seen = {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}
        said = {name: result() for name, result in texts.items()}
        columns: dict[str, Tensor] = {}
        for name in self._seen():
            columns |= self._of_view(name, seen[self._image_of(name)], said[self._text_of(name)])
        return columns

    def _of_view(self, view: str, image: Tensor, text: Tensor) -> dict[str, Tensor]:
        dtype = torch.float32 if self.target.precision == "fp32" else torch.float16
        parts = {"cosine": self.target.cosine(image, text), "image": image.to(dtype), "text": text.to(dtype)}
        named = {self.column(part, view): (part, value) for part, value in parts.items()}
        return {
            name: value.to("cpu", non_blocking=value.is_cuda)
            for name, (part, value) in named.items()
            if name in self.wanted and (view == "identity" or name != part)
        }

    def _keep(self, shard: Underway, columns: Callable[[], dict[str, Tensor]]) -> None:
        for name, value in columns().items():
            check_finite(value.numpy(), self.target, name)
            shard.done.setdefault(name, []).append(value.numpy().copy())  # memory that a GPU can reach is scarce

    def _commit(self, key: str, shard: Underway) -> None:
        names, arrays = [measurement.array for measurement in self.measurements], shard.arrays(self.wanted)
        self.store.write(
            key, arrays | self._again.moved(key, self.target, arrays), shard.bundles(names), shard.rows, shard.rejected
        )


def extract(
    trainer: Trainer,
    extractor: FeatureExtractor,
    data: AuditData,
    shards: Sequence[Shard],
    arrays: Sequence[str],
    measurements: Sequence[Measurement] = (),
    besides: Sequence[FeatureExtractor] = (),
) -> dict[str, object]:
    """Compute what the store lacks of `shards`, in one pass over their images, and say what it took.

    Args:
        trainer: runs the pass; its devices share the shards.
        extractor: the target and its views.
        data: how shards are read.
        shards: all shards that the audit uses.
        arrays: as `FeatureExtractor.arrays` names them.
        measurements: white-box measurements to take.
        besides: models of the target's own preprocessing, tokenizer and views, which see the same pairs in the same pass.

    Returns:
        `shards`, `shards_cached`, `images_encoded`, `captions_encoded` (this process's), `seconds`, `devices`, `batch`, and what
        `lmia.steadiness.told` says.
    """
    check_whole(trainer)
    distinct = list({shard.key: shard for shard in shards}.values())
    extractor.besides = nn.ModuleList(besides)
    for one in extractor.together:
        one.lack(distinct, arrays, measurements)
        one.target.eval()
    start = time.perf_counter()
    data.shards, data.todo = distinct, frozenset().union(*(one.todo for one in extractor.together))
    if data.todo or gathered(trainer):
        check_picture(extractor.target)
        data.preprocess, data.tokenize = extractor.target.preprocess, extractor.target.tokenize
        cores = torch.get_num_threads() // trainer.world_size if trainer.strategy.root_device.type == "cpu" else 0
        with guarded(trainer), full_precision(), streams(cores) as data.streams:
            for one in extractor.together:
                one.encoder.streams = data.streams
            trainer.predict(extractor, datamodule=data, return_predictions=False)
            trainer.strategy.barrier("extracted")  # else a rank that is done sees shards lacking that another writes
    extractor.besides = nn.ModuleList()
    return {
        "shards": len(distinct),
        "shards_cached": len(distinct) - len(extractor.todo),
        "images_encoded": extractor.encoder.encoded["images"],
        "captions_encoded": extractor.encoder.encoded["captions"],
        "seconds": round(time.perf_counter() - start, 2),
        "devices": trainer.world_size,
        "batch": data.batch or batch_size(trainer.strategy.root_device.type),
    } | told(extractor.store, [shard.key for shard in distinct])
