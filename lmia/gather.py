"""From the store to `Samples`: each array an attack asked for is filled once, in the order asked for, nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmia.data import Shard
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.looks import STATISTICS
from lmia.measurement import Measurement
from lmia.samples import Samples
from lmia.store import Store
from lmia.texts import Texts

Rows = NDArray[np.int64]
Load = Callable[[Shard], NDArray[Any]]
Where = Mapping[int, tuple[Rows, Rows, int]]
"""Of each shard in use: positions in the result, rows in the shard, and how many it has."""


def gather(
    extractor: FeatureExtractor,
    shards: Sequence[Shard],
    table: pa.Table,
    rows: Rows,
    ids: NDArray[np.int64],
    needs: Iterable[str],
    views: bool,
    measurements: Sequence[Measurement] = (),
) -> Samples:
    """Fill samples for `rows` of `table`, in that order, from the store.

    Args:
        extractor: knows the store and its arrays' names.
        shards: of the audit.
        table: all rows, with columns `caption`, `shard` and `row`.
        rows: `(n,)` which rows.
        ids: one opaque id for every row of `table`.
        needs: of `lmia.attack.NEEDS`: which arrays.
        views: whether the augmentation set's views are wanted.
        measurements: whose measured arrays; `measured` names them `<array>/<attack's own name>`.
    """
    needs = set(needs)
    where = _where(table, rows, len(shards))
    names = extractor.view_names(views)
    store = extractor.store

    def load(column: str) -> Load:
        return lambda shard: store.array(column, shard.key)

    def fill(columns: Sequence[str]) -> Tensor:
        return _fill([load(column) for column in columns], shards, where, len(rows))

    arrays = {"cosine": fill([extractor.column("cosine", view) for view in names])}
    for part in ("image", "text"):
        if needs & {"embeddings", "view_embeddings"}:
            arrays[part] = fill([part])[:, 0]
        if "view_embeddings" in needs:
            arrays[f"view_{part}"] = fill([extractor.column(part, view) for view in names])
    captions = Texts(table["caption"].take(pa.array(rows)))
    measured: dict[str, Tensor] = {}
    for measurement in measurements:
        measured |= _measured(extractor, measurement, shards, where, len(rows))
    return Samples(torch.from_numpy(ids[rows]), captions, names, arrays, measured)


def with_pixels(store: Store, shards: Sequence[Shard], table: pa.Table, rows: Rows) -> pa.Table:
    """Return `rows` of `table` with the column `pixels`, read anew: of every pair it would be two fifths of the table.

    Args:
        store: where the pairs are.
        shards: of the audit.
        table: all rows, with columns `shard` and `row`.
        rows: `(n,)` which rows.
    """

    def load(shard: Shard) -> NDArray[Any]:
        column = store.pairs(shard.key)[0]["pixels"].combine_chunks()
        return column.flatten().to_numpy().reshape(-1, STATISTICS)  # type: ignore[no-any-return]

    pixels = _fill([load], shards, _where(table, rows, len(shards)), len(rows)).numpy().ravel()
    return table.take(pa.array(rows)).append_column("pixels", pa.FixedSizeListArray.from_arrays(pixels, STATISTICS))


def _where(table: pa.Table, rows: Rows, shards: int) -> Where:
    """Say where the rows of each shard in use come from, and go to."""
    taken = pa.array(rows)
    shard = table["shard"].take(taken).to_numpy()
    row = table["row"].take(taken).to_numpy()
    order = np.argsort(shard, kind="stable")
    cuts = np.searchsorted(shard[order], np.arange(shards + 1))
    spans = {i: order[cuts[i] : cuts[i + 1]] for i in range(shards)}
    lengths = np.bincount(table["shard"].to_numpy(), minlength=shards).tolist()
    return {i: (span, row[span], lengths[i]) for i, span in spans.items() if len(span)}


def _fill(loads: Sequence[Load], shards: Sequence[Shard], where: Where, n: int) -> Tensor:
    """Return `(n, len(loads), ...)` float32 (a column each), copied shard by shard from memory maps."""
    out: Tensor | None = None
    for i, (to, rows, length) in where.items():
        for column, load in enumerate(loads):
            if len(mapped := load(shards[i])) != length:
                problem = f"Of the shard '{shards[i].name}' {len(mapped)} pairs have features, and {length} are there."
                raise LmiaError(problem, "Run again when nothing else writes the pairs or the cache.")
            if out is None:
                out = torch.empty((n, len(loads), *mapped.shape[1:]), dtype=torch.float32)
            out.numpy()[to, column] = mapped[rows]
    return torch.empty((n, len(loads)), dtype=torch.float32) if out is None else out


def _measured(
    extractor: FeatureExtractor,
    measurement: Measurement,
    shards: Sequence[Shard],
    where: Where,
    n: int,
) -> dict[str, Tensor]:
    bundles = {shards[i].key: extractor.store.measured(measurement.array, shards[i].key) for i in where}
    names = next(iter(bundles.values())).keys() if bundles else []

    def load(name: str) -> Load:
        return lambda shard: bundles[shard.key][name]

    return {f"{measurement.array}/{name}": _fill([load(name)], shards, where, n)[:, 0] for name in names}
