"""Image folders: `x.jpg` with its caption in `x.txt` beside it, in folders within folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import lmia
from lmia.faults import unreadable

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
METADATA = tuple(f"metadata.{ending}" for ending in ("csv", "tsv", "jsonl", "parquet"))
SHARD = 4096
IMAGE_BYTES = 512 << 20
TEXT_BYTES = 1 << 20


class Folder(lmia.Source):
    """Images with a text of the same stem beside each, in a folder and all folders in it.

    Keys are paths within the folder. A text's last line break is not part of its caption. What begins with a dot is
    left out; links to files are followed, links to folders are rejected (they may lead round in circles). The folder is
    listed once, when first asked for, and cut into shards of 4,096 records in sorted order. A folder that holds a
    `metadata` table belongs to the source `table`.

    Args:
        path: the folder.

    Example:
        >>> Folder.claims("/") == {"path": "/"}, Folder.claims("/no/such/folder") is None
        (True, True)
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        """Claim a folder that exists and holds no `metadata` table."""
        mine = bool(spec) and _mode(Path(spec), stat.S_ISDIR)
        return None if not mine or any(_mode(Path(spec, name), stat.S_ISREG) for name in METADATA) else {"path": spec}

    def shards(self) -> Sequence[str]:
        """Number the shards.

        Raises:
            lmia.LmiaError: there is no such folder, it holds no image, or no image has a text.
        """
        return [f"{i:04d}" for i in range(-(-len(self._records) // SHARD))]

    def read(self, shard: str) -> Iterator[lmia.Pair | lmia.Rejected]:
        """Stream a shard: one record an image, and one for each text without an image."""
        for name, beside in self._shard(shard):
            key = name.encode("utf-8", "backslashreplace").decode("utf-8")
            try:
                yield self._pair(key, name, beside)
            except _UnfitError as unfit:
                yield lmia.Rejected(key, unfit.reason)

    def count(self, shard: str) -> int:
        """Count the shard's records, which the listing tells."""
        return len(self._shard(shard))

    def fingerprint(self, shard: str) -> str:
        """Return a digest of the names, sizes and times of the shard's files, and of where the folder is."""
        digest = blake2b(str(Path(self.path).resolve()).encode("utf-8", "surrogatepass"), digest_size=16)
        for name, beside in self._shard(shard):
            facts = (name, self._facts(name), beside, beside and self._facts(beside))
            digest.update(repr(facts).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _shard(self, shard: str) -> list[tuple[str, str | None]]:
        if shard not in self.shards():
            raise lmia.LmiaError(f"'{shard}' is not a shard of '{self.path}'.", "Take one that shards() lists.")
        return self._records[int(shard) * SHARD : (int(shard) + 1) * SHARD]

    @cached_property
    def _records(self) -> list[tuple[str, str | None]]:
        """List what there is: an image and its text or None, a text without an image, a linked folder; sorted."""
        names = sorted(_walk(self.path))
        images = [name for name in names if _ending(name) in IMAGES]
        texts = {_stem(name): name for name in names if _ending(name) == ".txt"}
        spare = [name for name in names if _ending(name) == ".txt" and texts[_stem(name)] != name]
        if not images:
            raise lmia.LmiaError(f"The folder '{self.path}' holds no image.", self._remedy(names))
        if not any(_stem(name) in texts for name in images):
            raise lmia.LmiaError(
                f"None of the {len(images)} images in '{self.path}' has a text beside it.", self._remedy(names)
            )
        pictured = {_stem(name) for name in images}
        alone = [name for stem, name in texts.items() if stem not in pictured]
        linked = [name for name in names if name.endswith("/")]
        pairs = [(name, texts.get(_stem(name))) for name in images]
        return sorted(pairs + [(name, None) for name in alone + spare + linked])

    def _remedy(self, names: Sequence[str]) -> str:
        for ending, words in (
            (".tar", "shards"),
            (".csv", "table"),
            (".tsv", "table"),
            (".jsonl", "table"),
            (".parquet", "table"),
        ):
            found = next((name for name in names if name.endswith(ending)), None)
            if found is not None:
                pattern = str(Path(found).parent / "*.tar") if ending == ".tar" else found
                return f"Did you mean the {words} in it: '{Path(self.path, pattern)}'?"
        return "Give a folder of images, x.jpg, with their captions beside them, x.txt; or tar shards, or a table."

    def _pair(self, key: str, name: str, beside: str | None) -> lmia.Pair:
        if name.endswith("/"):
            raise _UnfitError("link to a folder")
        if _ending(name) not in IMAGES:
            raise _UnfitError("no image")
        if beside is None:
            raise _UnfitError("no caption")
        text = _read(Path(self.path, beside), TEXT_BYTES)
        image = _read(Path(self.path, name), IMAGE_BYTES)
        try:
            caption = text.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise _UnfitError("caption is not UTF-8") from None
        return lmia.Pair(key, caption, image)

    def _facts(self, name: str) -> tuple[int, int] | None:
        path = Path(self.path, name)
        try:
            facts = path.stat()
        except OSError:
            return None
        return (facts.st_size, facts.st_mtime_ns) if os.access(path, os.R_OK) else None


class _UnfitError(Exception):
    """Why a record cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _walk(path: str) -> Iterator[str]:
    """Yield all files' paths within the folder, and those of linked folders with a slash behind."""

    def fail(error: OSError) -> None:
        raise lmia.LmiaError(f"The folder '{error.filename}' cannot be read: {error.strerror}.", "Check the path.")

    for folder, folders, files in os.walk(path, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        within = Path(folder).relative_to(path)
        yield from (str(within / name) for name in files if not name.startswith("."))
        yield from (f"{within / name}/" for name in folders if Path(folder, name).is_symlink())


def _stem(name: str) -> str:
    return name.removesuffix(Path(name).suffix)


def _ending(name: str) -> str:
    return "" if name.endswith("/") else Path(name).suffix.lower()


def _mode(path: Path, test: Callable[[int], bool]) -> bool:
    try:
        return test(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _read(path: Path, limit: int) -> bytes:
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # opening a fifo or a device would wait, or worse
            raise _UnfitError("not a regular file")
        with path.open("rb") as file:
            data = file.read(limit + 1) if facts.st_size <= limit else None
    except FileNotFoundError:
        raise _UnfitError("no such file") from None
    except OSError as error:
        raise _UnfitError(unreadable(path, error)) from None
    if data is None or len(data) > limit:
        raise _UnfitError("file too large")
    return data


@lmia.hookimpl
def lmia_sources() -> list[type[lmia.Source]]:
    """Bring Folder."""
    return [Folder]
