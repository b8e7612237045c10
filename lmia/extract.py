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
from torch import Tensor, nn

from lmia.attack import Batch
from lmia.data import AuditData, Read, Shard, check_whole
from lmia.defence import Defence, defended
from lmia.measurement import Measurement
from lmia.quiet import quiet
from lmia.settings import digest, made_by, plain
from lmia.store import Store, default_cache
from lmia.streams import Streams, streams
from lmia.target import Target
from lmia.underway import Underway
from lmia.views import Identity, Views, checked_views

STEPS = 2
"""Steps that may wait for their results: closing one window and committing its shard, while the next is encoded."""
WINDOW = 4096
"""Captions encoded together: sorted by length and each once, so that short ones are not padded to long ones."""


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
        self.encoded = {"images": 0, "captions": 0}
        self.streams = Streams()
        self.todo: frozenset[str] = frozenset()
        self.besides = nn.ModuleList()  # so that they follow to the device
        self._shards: dict[str, Underway] = {}
        self._later: deque[Callable[[], None]] = deque()

    @property
    def together(self) -> list[FeatureExtractor]:
        """This model and those that see the same pictures in the same pass."""
        return [self, *cast("Iterable[FeatureExtractor]", self.besides)]

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
        """Move the pixels, as bytes; nothing else of a batch is for the device."""
        if batch.pixels is not None:
            batch.pixels = batch.pixels.to(device, non_blocking=True)
        return batch

    def predict_step(self, batch: Read, batch_idx: int) -> int:
        """Let every model that lacks the batch's shard see the batch; return b."""
        if batch.error is not None:
            self.on_predict_end()
            raise batch.error
        for one in self.together:
            if batch.shard in one.todo:
                one.take(batch)
        return len(batch.rows)

    def take(self, batch: Read) -> None:
        """Encode a batch's images at once, its captions when a window of them is full or the shard ends."""
        shard = self._shards.setdefault(batch.shard, Underway())
        shard.rejected += batch.rejected
        if batch.pixels is not None:
            self._see(shard, batch.pixels, [caption for _, caption, _ in batch.rows])
            shard.rows += batch.rows
            shard.waiting += len(batch.rows)
        if shard.waiting and (batch.last or shard.waiting >= WINDOW):
            self._close_window(shard)
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
        while len(self._later) > (STEPS if step else 0):
            self._later.popleft()()

    def lack(self, shards: Iterable[Shard], arrays: Sequence[str], measurements: Sequence[Measurement]) -> None:
        """Find out what this model's store lacks, and want no more than that."""
        names = [*arrays, *(measurement.array for measurement in measurements)]
        lacking = {shard.key: self.store.lacks(shard.key, names) for shard in shards}
        self.todo = frozenset(key for key, some in lacking.items() if some)
        every = {name for some in lacking.values() for name in some}
        self.wanted = frozenset(every & set(arrays))
        self.measurements = [m for m in measurements if m.array in every]
        self.encoded = {"images": 0, "captions": 0}
        self._later.clear()

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
        names = list(dict.fromkeys(map(self._image_of, self._seen())))
        if names:
            shard.images.append(self.streams.run(self._encode_images, raw, names))
            self.encoded["images"] += len(raw) * len(names)
        if self.measurements:
            tokens = self.target.tokenize(captions).to(raw.device)
            batch = Batch(torch.arange(len(captions)) + len(shard.rows), _floats(raw), tokens)
            for measurement in self.measurements:
                shard.measured.setdefault(measurement.array, []).append(measurement.take(self.target, batch))

    def _encode_images(self, raw: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        pixels = _floats(raw)
        transforms = {name: self.views[name].image for name in names}
        seen = {name: pixels if transform is None else transform(pixels) for name, transform in transforms.items()}
        return {name: self.target.encode_image(each).float() for name, each in seen.items()}

    def _close_window(self, shard: Underway) -> None:
        """Begin to encode the window's captions; the rest is for later."""
        captions = [caption for _, caption, _ in shard.rows[-shard.waiting :]]
        spoken = {self._text_of(name): self.views[name].caption for name in self._seen()}
        texts = {
            name: self._encode_captions(captions if view is None else [view(caption) for caption in captions])
            for name, view in spoken.items()
        }
        self._do_later(partial(self._finish_window, shard, shard.images, texts))
        shard.images, shard.waiting = [], 0

    def _finish_window(
        self,
        shard: Underway,
        images: Sequence[Callable[[], dict[str, Tensor]]],
        texts: Mapping[str, Callable[[], Tensor]],
    ) -> None:
        """Take the window's cosines, and let go of what no attack asked for."""
        parts = [result() for result in images]
        seen = {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}
        said = {name: result() for name, result in texts.items()}
        for name in self._seen():
            self._keep(shard, name, seen[self._image_of(name)], said[self._text_of(name)])

    def _keep(self, shard: Underway, view: str, image: Tensor, text: Tensor) -> None:
        dtype = torch.float32 if self.target.precision == "fp32" else torch.float16
        columns = {"cosine": self.target.cosine(image, text), "image": image.to(dtype), "text": text.to(dtype)}
        for part, value in columns.items():
            name = self.column(part, view)
            fresh = view == "identity" or name != part
            if name in self.wanted and fresh:
                shard.done.setdefault(name, []).append(value.cpu().numpy())

    def _encode_captions(self, captions: list[str], size: int = 256) -> Callable[[], Tensor]:
        """Begin to encode each distinct caption once, in batches of similar length; return how to get `(n, d)`."""
        order = sorted(set(captions), key=lambda caption: (len(caption), caption))
        place = {caption: i for i, caption in enumerate(order)}
        results = [self.streams.run(self._encode_texts, order[i : i + size]) for i in range(0, len(order), size)]
        self.encoded["captions"] += len(order)

        def all_of_them() -> Tensor:
            texts = torch.cat([result() for result in results])
            return texts[torch.tensor([place[caption] for caption in captions], device=texts.device)]

        return all_of_them

    def _encode_texts(self, captions: list[str]) -> Tensor:
        return self.target.encode_text(self.target.tokenize(captions).to(self.device)).float()

    def _commit(self, key: str, shard: Underway) -> None:
        names = [measurement.array for measurement in self.measurements]
        self.store.write(key, shard.arrays(self.wanted), shard.bundles(names), shard.rows, shard.rejected)


def _floats(raw: Tensor) -> Tensor:
    return raw.to(torch.float32).div_(255)


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
        besides: models with the target's own preprocessing and views, which see the same pictures in the same pass.

    Returns:
        `shards`, `shards_cached`, `images_encoded`, `captions_encoded`, `seconds`, `pairs_per_second` and `devices`.
        The counts of encodings are this process's.
    """
    check_whole(trainer)
    distinct = list({shard.key: shard for shard in shards}.values())
    extractor.besides = nn.ModuleList(besides)
    for one in extractor.together:
        one.lack(distinct, arrays, measurements)
        one.target.eval()
    start = time.perf_counter()
    if todo := [shard for shard in distinct if any(shard.key in one.todo for one in extractor.together)]:
        data.todo, data.preprocess = todo, extractor.target.preprocess
        cores = torch.get_num_threads() // trainer.world_size if trainer.strategy.root_device.type == "cpu" else 0
        with quiet(), streams(cores) as data.streams:
            for one in extractor.together:
                one.streams = data.streams
            trainer.predict(extractor, datamodule=data, return_predictions=False)
        trainer.strategy.barrier("extracted")  # else a rank that is done sees shards lacking that another is to write
    extractor.besides = nn.ModuleList()
    seconds = time.perf_counter() - start
    return {
        "shards": len(distinct),
        "shards_cached": len(distinct) - len(extractor.todo),
        "images_encoded": extractor.encoded["images"],
        "captions_encoded": extractor.encoded["captions"],
        "seconds": round(seconds, 2),
        "devices": trainer.world_size,
    }
