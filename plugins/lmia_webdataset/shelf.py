"""Copies of remote shards on the disk of this machine, so that the next pass reads them here; no more than a bound.

Of what libraries offer, fsspec's filecache and simplecache have no bound, and take a file that a kill left half written
for whole; webdataset's FileCache knows a shard by its file name alone, and removes whatever lies in the folder; diskcache
pickles, and keeps a database that network disks do not carry.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import blake2b, file_digest
from pathlib import Path

import lmia
from lmia_webdataset.remote import Readable, Remote

OURS = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}\.shard|[0-9a-f]{32}\.\w+\.part")
"""What may be removed: `ADDRESS.CONTENT.shard`, two digests, and `ADDRESS.*.part`, which is being written."""
STALE = 3600.0
"""Seconds without a byte after which whoever wrote a part is taken for dead."""

_hash = partial(blake2b, digest_size=16)


class Shelf:
    """A folder with copies of remote shards, for any number of processes; the least recently used make room.

    A copy is known by its address and by what the server says of the file, and is checked against its digest before it
    is read. Where the folder cannot be used, or the disk is full, shards are read over the network, and one line on
    standard error says so.

    Args:
        folder: made if missing.
        most: bytes of all copies together.

    Example:
        >>> Shelf(Path("shards"), 10**9).most
        1000000000
    """

    def __init__(self, folder: Path, most: float) -> None:
        self.folder = folder
        self.most = most
        self.closed = False
        self.said = False

    def open(self, remote: Remote) -> Readable:
        """Open the copy of a shard, or take the shard itself, to be copied as it is read."""
        if self.closed:
            return remote
        if remote.size is None or len(remote.facts) < 2:
            self.say(f"'{remote.url}' is not kept: its server names no size, or neither a date nor a tag.")
            return remote
        key = _hash(repr((remote.url, remote.facts)).encode("utf-8", "surrogatepass")).hexdigest()
        try:
            return self._copy(key) or self._copying(key, remote, remote.size)
        except OSError as error:
            self.shut(error)
            return remote

    def shut(self, error: OSError) -> None:
        """Keep nothing any more in this process, and say why."""
        self.closed = True
        self.say(f"Shards are not kept in {self.folder}: {error.strerror or error}.")

    def say(self, sentence: str) -> None:
        """Say something on standard error, once."""
        if not self.said:
            self.said = True
            print(f"lmia: {sentence}", file=sys.stderr)

    def _copy(self, key: str) -> Readable | None:
        """Open a shard's copy, if there is one and it is whole; one that is damaged is removed."""
        for path in self.folder.glob(f"{key}.*.shard"):
            with suppress(FileNotFoundError):  # another process made room
                file = path.open("rb")
                if path.name == f"{key}.{file_digest(file, _hash).hexdigest()}.shard":
                    file.seek(0)
                    with suppress(OSError):
                        os.utime(path)  # used just now
                    return file
                file.close()
                path.unlink()
        return None

    def _copying(self, key: str, remote: Remote, size: int) -> Readable:
        """Reserve room for a shard, and open it so that it is copied; as it is, where there is no room."""
        with self.alone():
            if not self._make_room(size):
                self.say(f"'{remote.url}' is not kept: {size:,} bytes are more than {self.folder} has room for.")
                return remote
            number, name = tempfile.mkstemp(prefix=f"{key}.", suffix=".part", dir=self.folder)
            copying = Copying(self, remote, number, Path(name))
            copying.reserve(size)
        return copying

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process makes room here, or names a copy."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:  # closing it would not do: a process that was forked meanwhile holds it open too
                fcntl.flock(file, fcntl.LOCK_UN)

    def _make_room(self, size: int) -> bool:
        """Remove the least recently used, until so many more bytes fit."""
        paths = [path for path in self.folder.iterdir() if OURS.fullmatch(path.name)]
        found = sorted((stat.st_mtime, stat.st_size, path) for path in paths if (stat := _stat(path)))
        room = self.most - sum(held for _, held, _ in found)
        alive = time.time() - STALE
        found = [(used, held, path) for used, held, path in found if path.suffix == ".shard" or used < alive]
        if size > room + sum(held for _, held, _ in found):
            return False
        for _, held, path in found:
            if size <= room:
                break
            path.unlink(missing_ok=True)
            room += held
        return True


class Copying:
    """A remote shard that is written down while it is read; nothing is left of one that is not read to its end.

    Args:
        shelf: where it is kept.
        remote: the shard.
        number: descriptor of the file to write.
        path: of that file.
    """

    def __init__(self, shelf: Shelf, remote: Remote, number: int, path: Path) -> None:
        self.shelf = shelf
        self.remote = remote
        self.part = open(number, "wb")  # noqa: SIM115 (closed by close)
        self.path = path
        self.digest = _hash()

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        data = self.remote.read(size)
        if not self.part.closed:
            try:
                self.part.write(data)
                self.digest.update(data)
            except OSError as error:
                self._drop(error)
        return data

    def reserve(self, size: int) -> None:
        """Give the file its size already: it takes no blocks yet, but others count it."""
        try:
            os.truncate(self.part.fileno(), size)
        except OSError as error:
            self._drop(error)

    def keep(self) -> None:
        """Read what the tar has left (it may be padded), and keep the copy if the file on the server is still the same."""
        with suppress(lmia.LmiaError):  # all records were read; only the copy is lost
            while not self.part.closed and self.read(1 << 20):
                pass
            if not self.part.closed and self.remote.unchanged():
                self._name()

    def close(self) -> None:
        """Close the shard; a copy that was not kept is removed."""
        self.remote.close()
        self._drop()

    def _name(self) -> None:
        try:
            self.part.close()
            key = self.path.name.partition(".")[0]
            with self.shelf.alone():
                self.path.replace(self.path.with_name(f"{key}.{self.digest.hexdigest()}.shard"))
        except FileNotFoundError:  # it was taken for dead
            pass
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError | None = None) -> None:
        if error is not None:
            self.shelf.shut(error)
        with suppress(OSError):
            self.part.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def _stat(path: Path) -> os.stat_result | None:
    """Return a file's size and times, or nothing where another process has just removed it."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
