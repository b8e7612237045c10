"""Manifests: CSV, TSV, JSONL and parquet tables that name images, or hold them, beside captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path

import lmia
from lmia.errors import nearest
from lmia_table.cells import UnfitError, caption_of, clean, facts_of, image_of, kind_of, path_of
from lmia_table.parquet import Parquet
from lmia_table.rows import Part, Row, Rows
from lmia_table.text import Text

ENDINGS = (".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".parquet")
METADATA = tuple(f"metadata.{ending}" for ending in ("csv", "tsv", "jsonl", "parquet"))
UNDIVIDED = (".parquet", ".jsonl", ".jsonl.gz")
"""Endings of tables whose columns have names of their own, not divided by a sign."""
NAMES = {
    "image": ("filepath", "file_name", "filename", "image", "image_path", "path", "img"),
    "caption": ("caption", "text", "title", "alt"),
    "key": ("key", "id", "uid", "sha256"),
    "url": ("url",),
}
"""What columns are usually called; of several, the first counts."""
PATH = 1000
"""Letters of an image's path that are part of a key: the row's number behind them tells keys apart, and is not to be lost."""


@dataclass(frozen=True)
class _Layout:
    stamp: tuple[str, int, int]
    rows: Rows
    columns: dict[str, str]
    parts: dict[str, Part]
    repeated: frozenset[int]


class Table(lmia.Source):
    """Pairs in a CSV, TSV, JSONL or parquet table; images are paths, or bytes in parquet (HF's struct too).

    Columns that are not named are found by their usual names: `filepath`, `file_name`, `filename`, `image`,
    `image_path`, `path` or `img` for the image; `caption`, `text`, `title` or `alt`; `key`, `id`, `uid` or `sha256`;
    `url`; of several, the first in this order. Without a column of keys, a key is the image's path and the row's
    number. A shard is 4,096 rows of a text or a row group of a parquet file. Images that are only addresses are not
    downloaded: a table with none but those is an error, a row is rejected.

    Args:
        path: the table; or a folder that holds one called `metadata.csv`, `.tsv`, `.jsonl` or `.parquet`.
        image: the column of images.
        caption: the column of captions.
        key: the column of keys.
        url: the column of addresses where the pairs were published.
        root: the folder that relative paths of images begin at; the table's own unless told.
        delimiter: between the columns of a text; found by the header (tab, comma, semicolon, bar) unless told.

    Example:
        >>> Table.claims("pairs.CSV"), Table.claims("a.tar")
        ({'path': 'pairs.CSV'}, None)
    """

    def __init__(
        self,
        path: str,
        image: str | None = None,
        caption: str | None = None,
        key: str | None = None,
        url: str | None = None,
        root: str | None = None,
        delimiter: str | None = None,
    ) -> None:
        self.path = path
        self.named = {"image": image, "caption": caption, "key": key, "url": url}
        self.root = root
        self.delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter)
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise lmia.LmiaError(f"The delimiter {delimiter!r} is not one character.", "Give one, such as ';', or tab.")
        self._memo: _Layout | None = None

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        """Claim a name with a table's ending, and a folder that holds a `metadata` table."""
        if spec and kind_of(Path(spec)) == "folder":
            return {"path": spec} if any(kind_of(Path(spec, name)) == "file" for name in METADATA) else None
        return {"path": spec} if spec.lower().endswith(ENDINGS) else None

    def shards(self) -> Sequence[str]:
        """Number the table's parts.

        Raises:
            lmia.LmiaError: there is no such table, it is damaged or empty, or its columns cannot be told.
        """
        return list(self._layout().parts)

    def read(self, shard: str) -> Iterator[lmia.Pair | lmia.Rejected]:
        """Stream a part's rows, one record a row.

        Raises:
            lmia.LmiaError: as `shards` does.
        """
        layout, part = self._part(shard)
        root = self._root()
        for number, row in enumerate(layout.rows.rows(part, _names(layout)), part.first):
            yield _record(layout, root, number, row)

    def count(self, shard: str) -> int:
        """Return how many rows the part has; known since the table was laid out."""
        return self._part(shard)[1].rows

    def fingerprint(self, shard: str) -> str:
        """Return a digest of the part's rows and of its image files' sizes, times and places."""
        layout, part = self._part(shard)
        repeated = sorted(layout.repeated & set(range(part.first, part.first + part.rows)))
        root, image = self._root(), layout.columns["image"]
        digest = blake2b(repr((part.first, layout.columns, repeated, str(root.resolve()))).encode(), digest_size=16)
        for row in layout.rows.witness(part, _names(layout), image):
            path = None if isinstance(row, str) else path_of(row.get(image))
            facts = (repr(row), path and facts_of(root, path))
            digest.update(repr(facts).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _part(self, shard: str) -> tuple[_Layout, Part]:
        layout = self._layout()
        if shard not in layout.parts:
            raise lmia.LmiaError(f"'{shard}' is not a shard of '{self.path}'.", "Take one that shards() lists.")
        return layout, layout.parts[shard]

    def _layout(self) -> _Layout:
        """Lay the table out: once, and again if the file has changed."""
        path = self._file()
        facts = path.stat()
        stamp = (str(path), facts.st_size, facts.st_mtime_ns)
        if self._memo is None or self._memo.stamp != stamp:
            self._memo = self._lay_out(path, stamp)
        return self._memo

    def _lay_out(self, path: Path, stamp: tuple[str, int, int]) -> _Layout:
        known = frozenset(name.lower() for name in chain(*NAMES.values(), filter(None, self.named.values())))
        parquet = path.name.lower().endswith(".parquet")
        rows: Rows = Parquet(path) if parquet else Text(path, self.delimiter, known)
        columns = self._columns(rows.columns())
        seen: set[bytes] = set()
        repeated: set[int] = set()

        def note(number: int, key: object) -> None:
            name = blake2b(str(key).encode("utf-8", "surrogatepass"), digest_size=16).digest()
            repeated.add(number) if name in seen else seen.add(name)

        parts = rows.parts(columns.get("key"), note)
        if not parts:
            raise lmia.LmiaError(f"The table '{path}' holds no rows.", "Give a table with a row for each pair.")
        named = {f"{i:04d}": part for i, part in enumerate(parts)}
        return _Layout(stamp, rows, columns, named, frozenset(repeated))

    def _file(self) -> Path:
        path = Path(self.path)
        kind = kind_of(path)
        if kind == "file":
            return path
        if kind == "folder":
            found = [path / name for name in METADATA if kind_of(path / name) == "file"]
            if len(found) == 1:
                return found[0]
            names = ", ".join(file.name for file in found) or "none"
            raise lmia.LmiaError(
                f"The folder '{path}' must hold one table called metadata; it holds {names}.", "Name the table itself."
            )
        remedy = "Tables and the images they name are read from local files: copy them here first."
        raise lmia.LmiaError(
            f"The table '{path}' {'does not exist' if kind is None else 'is not a regular file'}.",
            remedy if "://" in self.path else "Check the path.",
        )

    def _root(self) -> Path:
        return Path(self.root) if self.root is not None else self._file().parent

    def _columns(self, found: Sequence[str]) -> dict[str, str]:
        """Say which column plays which role; only `key` and `url` may be missing."""
        columns: dict[str, str] = {}
        lower = {name.lower(): name for name in reversed(found)}
        for role, usual in NAMES.items():
            named = self.named[role]
            if named is not None and named not in found:
                raise lmia.LmiaError(f"The table '{self.path}' has no column '{named}'.", nearest(named, found))
            name = named or next((lower[name] for name in usual if name in lower), None)
            if name is not None and found.count(name) > 1:
                raise lmia.LmiaError(f"The table '{self.path}' has two columns '{name}'.", "Rename one of them.")
            if name is not None:
                columns[role] = name
        missing = [role for role in ("image", "caption") if role not in columns]
        if missing == ["image"] and "url" in columns:
            raise lmia.LmiaError(
                f"The table '{self.path}' knows its images only by address (column '{columns['url']}').",
                "Download them first, with img2dataset for example, and audit what came.",
            )
        if missing and len(found) == 1 and not self.path.lower().endswith(UNDIVIDED):
            tried = f"{self.delimiter!r}" if self.delimiter else "none of tab, comma, semicolon and bar"
            raise lmia.LmiaError(
                f"The table '{self.path}' has one column only, '{found[0][:80]}': {tried} divides it.",
                "Say what does in the source's init_args, such as delimiter: ':'.",
            )
        if missing:
            names = ", ".join(f"'{name[:40]}'" for name in found[:20]) or "none"
            raise lmia.LmiaError(
                f"The table '{self.path}' has no column known as {missing[0]}. Its columns: {names}.",
                f"Name it in the source's init_args, {missing[0]}: COLUMN; usual names: {', '.join(NAMES[missing[0]])}.",
            )
        return columns


def _record(layout: _Layout, root: Path, number: int, row: Row) -> lmia.Pair | lmia.Rejected:
    if isinstance(row, str):
        return lmia.Rejected(f"#{number + 1}", row)
    cells = {role: row.get(column) for role, column in layout.columns.items()}
    path = path_of(cells["image"])
    key = f"{clean(path or '')[:PATH]}#{number + 1}"
    if "key" in cells:
        given = cells["key"]
        if isinstance(given, bool) or not isinstance(given, str | int | float) or given == "" or given != given:
            return lmia.Rejected(key, "no key")
        key = clean(str(given))
    if number in layout.repeated:
        return lmia.Rejected(key, "duplicate key")
    try:
        caption = caption_of(cells["caption"])
        image = image_of(cells["image"], path, root)
    except UnfitError as unfit:
        return lmia.Rejected(key, unfit.reason)
    url = cells.get("url")
    return lmia.Pair(key, caption, image, clean(url) if isinstance(url, str) and url else None)


def _names(layout: _Layout) -> list[str]:
    return list(dict.fromkeys(layout.columns.values()))


@lmia.hookimpl
def lmia_sources() -> list[type[lmia.Source]]:
    """Bring Table."""
    return [Table]
