"""The feature store: arrays on disk by content, one folder an array, one file a shard; written aside and renamed.

    <cache>/<target>/<array>/<shard>.npy        cosine, image, text; an array of a view is called `cosine@<view>`
    <cache>/<target>/measured@<attack>/<shard>.npz       what an attack measured with gradients
    <cache>/<target>/pairs/<shard>.<FORMAT>.parquet      keys, captions and facts of the rows; what was rejected, by reason
    <cache>/blind/<fingerprint>.npz      what blind baselines found; see lmia.baselines

Keys are content fingerprints, so another model, another picture or another setting is never mistaken for this one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lmia import aside as files
from lmia.errors import LmiaError
from lmia.looks import STATISTICS
from lmia.picture import Facts
from lmia.source import Rejected

_ROOM = "Free some space or choose another folder with --cache DIR; what is complete is kept."
FORMAT = 3
"""Of the rows' columns; rows of another format have other file names, and are made again from the images."""
_ROWS = ("key", "caption", *Facts._fields)
_DAMAGED = (OSError, EOFError, ValueError, BadZipFile)
"""What numpy raises over a file that is missing, empty, torn or something else; arrow's errors are the first and third."""


def default_cache() -> Path:
    """Return where features are kept unless told otherwise: `$LMIA_CACHE`, or `lmia` in the user's cache folder.

    Example:
        >>> default_cache().is_absolute()
        True
    """
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("LMIA_CACHE") or Path(home) / "lmia").expanduser().absolute()


class Store:
    """Features of one target.

    Args:
        root: the cache folder; made on the first write.
        target: the target's fingerprint.

    Example:
        >>> import tempfile
        >>> store = Store(Path(tempfile.mkdtemp()), "abc")
        >>> store.lacks("s1", ["cosine"])
        ['cosine', 'pairs']
    """

    def __init__(self, root: Path, target: str) -> None:
        self.root, self.folder = root, root / target

    def lacks(self, shard: str, arrays: Iterable[str]) -> list[str]:
        """Name what of `arrays`, and of `pairs`, is to be made of a shard: what is missing, damaged, or of other rows."""
        rows = self._count(shard)
        wrong = [name for name in arrays if not self._fits(name, shard, rows)]
        return wrong if rows is not None else [*wrong, "pairs"]

    def write(
        self,
        shard: str,
        arrays: Mapping[str, NDArray[Any]],
        measured: Mapping[str, Mapping[str, NDArray[Any]]],
        rows: Iterable[tuple[str, str, Facts]],
        rejected: Iterable[Rejected],
    ) -> None:
        """Commit a shard: its arrays first, its rows last, each aside and renamed, so that a kill leaves no half file.

        Where its pairs are not those that were kept of it before, what was made of those is dropped.
        """
        table = _table(rows, rejected)
        if self._differs(shard, table):
            self._drop(shard)
        for name, array in arrays.items():
            with aside(self._array(name, shard)) as file:
                np.save(file, array, allow_pickle=False)
        for name, bundle in measured.items():
            with aside(self._array(name, shard)) as file:
                np.savez(file, **bundle)  # type: ignore[arg-type]  # numpy types its own flags there
        with aside(self._pairs(shard)) as file:
            pq.write_table(table, file, compression="zstd")

    def sweep(self) -> None:
        """Remove what kills have left of half-written files."""
        files.sweep(self.folder)
        files.sweep(self.root)

    def array(self, name: str, shard: str) -> NDArray[Any]:
        """Map an array of a shard into memory, read-only."""
        path = self._array(name, shard)
        with _reading("array", path):
            return mapped(path)

    def measured(self, name: str, shard: str) -> dict[str, NDArray[Any]]:
        """Read what an attack measured of a shard, by the attack's own names."""
        path = self._array(name, shard)
        with _reading("array", path), path.open("rb") as file, np.load(file, allow_pickle=False) as bundle:
            found = {key: bundle[key] for key in bundle.files}
            if odd := [key for key, one in found.items() if not isinstance(one, np.ndarray)]:
                raise ValueError(f"'{odd[0]}' is no array")
            return found

    def pairs(self, shard: str) -> tuple[pa.Table, list[Rejected]]:
        """Read a shard's rows (key, caption and facts) and what was rejected."""
        path = self._pairs(shard)
        with _reading("table", path):
            table = pq.read_table(path)
            table.validate(full=True)
            if table.schema != _SCHEMA or table["key"].null_count:
                raise ValueError("its columns are not those of rows")
        bad = table.filter(pa.compute.is_valid(table["reason"])).select(["key", "reason"]).to_pylist()
        kept = table.filter(pa.compute.is_null(table["reason"])).select(list(_ROWS))
        return kept, [Rejected(row["key"], row["reason"]) for row in bad]

    def _count(self, shard: str) -> int | None:
        """Count a shard's pairs by the end of its table, where no reason stands; None where that cannot be read."""
        try:
            told = pq.read_metadata(self._pairs(shard))
            reasons = [told.row_group(i).column(told.num_columns - 1).statistics for i in range(told.num_row_groups)]
        except Exception:  # a damaged file makes its reader raise what it likes
            return None
        return sum(int(one.null_count) for one in reasons if one is not None)

    def _fits(self, name: str, shard: str, rows: int | None) -> bool:
        """Whether an array is there and whole, with a row for each pair as far as these are known."""
        if not self._array(name, shard).is_file():
            return False
        try:
            parts = self.measured(name, shard).values() if name.startswith("measured@") else [self.array(name, shard)]
        except LmiaError:
            return False
        return rows is None or all(part.shape[:1] == (rows,) for part in parts)

    def _differs(self, shard: str, table: pa.Table) -> bool:
        """Whether a shard's table is there, and holds other records."""
        names = ["key", "reason"]
        try:
            return not pq.read_table(self._pairs(shard), columns=names).equals(table.select(names))
        except _DAMAGED:  # the arrays are held against the new table's length
            return False

    def _drop(self, shard: str) -> None:
        """Remove what is kept of a shard, its rows last: where a kill comes, neither meets what is written next."""
        for path in self.folder.glob(f"*/{shard}.np[yz]"):
            path.unlink(missing_ok=True)
        self._pairs(shard).unlink(missing_ok=True)

    def _array(self, name: str, shard: str) -> Path:
        return self.folder / name / f"{shard}.{'npz' if name.startswith('measured@') else 'npy'}"

    def _pairs(self, shard: str) -> Path:
        return self.folder / "pairs" / f"{shard}.{FORMAT}.parquet"


def mapped(path: Path) -> NDArray[Any]:
    """Map an array of a `.npy` file into memory, read-only, once its length is what its head says.

    Raises:
        Exception: whatever numpy makes of a damaged file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(Path(folder, "a.npy"), np.arange(3))
        ...     mapped(Path(folder, "a.npy")).tolist()
        [0, 1, 2]
    """
    loaded = np.lib.format.open_memmap(path, mode="r")  # which unpickles nothing
    if loaded.offset + loaded.nbytes != path.stat().st_size:
        raise ValueError(f"it is not as long as its head says ({loaded.shape}, {loaded.dtype})")
    return loaded


@contextmanager
def _reading(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged file makes its reader raise what it likes
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise LmiaError(f"The cached {what} {path} cannot be read: {said}.", "Delete it and run again.") from error


@contextmanager
def aside(path: Path) -> Iterator[IO[bytes]]:
    """Write a file of the cache beside its place and rename it at the end, so that a kill leaves no half file.

    Args:
        path: in the cache folder; its own folder is made if missing.

    Raises:
        LmiaError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LmiaError(f"The feature store cannot write '{path}': {error.strerror}.", _ROOM) from error
    with files.aside(path, _ROOM) as file:
        yield file


def _table(rows: Iterable[tuple[str, str, Facts]], rejected: Iterable[Rejected]) -> pa.Table:
    records: list[dict[str, object]] = [
        {"key": key, "caption": caption, "reason": None, **facts._asdict()} for key, caption, facts in rows
    ]
    # a list of nothing, not none: pyarrow before 26 cannot read a list of fixed size that is missing
    nothing = dict.fromkeys(_ROWS) | {"pixels": [0.0] * STATISTICS}
    records += [nothing | {"key": bad.key, "reason": bad.reason} for bad in rejected]
    return pa.Table.from_pylist(records, schema=_SCHEMA)


_TYPES = {"width": pa.int32(), "height": pa.int32(), "bytes": pa.int64(), "pixels": pa.list_(pa.float32(), STATISTICS)}
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in (*_ROWS, "reason")])
