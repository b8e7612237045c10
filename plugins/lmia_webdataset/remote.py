"""A remote shard, read forwards over a network that fails: what broke off is asked for again and goes on where it broke.

fsspec's buckets retry a block by themselves, its http nothing; and what retries requests (aiohttp-retry, urllib3, tenacity)
does not go on in the middle of an answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import aiohttp
import fsspec

import lmia
from lmia_webdataset.url import is_http, is_packed

T = TypeVar("T")

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt; when they are used up, a failure is an error."""
ENOUGH = 1 << 20
"""Bytes after which failures are counted anew: a long shard may break more often than a short one."""
BLOCK = 1 << 18
"""Bytes read at once: aiohttp buffers in proportion, and what it has buffered is lost with the connection."""
MOST = 300.0
"""Seconds that a busy server may ask us to wait, and no more."""
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=120)
"""Of http; none on the whole transfer, which waits for the model."""
FACTS = {
    *("size", "etag", "last-modified", "lastmodified", "mtime", "generation", "md5", "content-md5", "digest"),
    *("created", "modify", "modificationtime", "sha", "blob_id"),  # of fsspec's own memory, ftp, webhdfs, github and hf
    *("last_modified", "md5hash", "crc32c"),
}
"""Words of a file system that change when the file's content does."""
TIMES = frozenset({"last-modified", "lastmodified", "last_modified", "mtime", "created", "modify", "modificationtime"})
"""Those of them that a listing may write otherwise than the file's own answer, but for web servers, whose listings have none."""
FINAL = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError),
    *(aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.ClientConnectorCertificateError),
)
"""What asking again does not change."""


_RANGE = re.compile(r"bytes\s+(\d+)-\d*/?(\d*)", re.IGNORECASE)


class UnlistedError(Exception):
    """A folder that could not be listed."""


Facts = Sequence[tuple[str, str]]
"""What a server says of a file: words and values, sorted."""


class Readable(Protocol):
    """An open shard."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""

    def close(self) -> None:
        """Close it."""


def file_system(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the address's file system, and what it calls the file.

    Raises:
        lmia.LmiaError: no such file system is known or installed.
    """
    options: dict[str, object] = {}
    if is_http(url):
        # Unpacked on the way, bytes could neither be counted nor asked for from the middle.
        plain = {"Accept-Encoding": "identity"}
        client = {"timeout": TIMEOUT, "trust_env": True, "headers": plain}
        options = {"client_kwargs": client | ({"auto_decompress": False} if is_packed(url) else {})}
    try:
        return cast(tuple[fsspec.AbstractFileSystem, str], fsspec.core.url_to_fs(url, **options))
    except (ImportError, ValueError) as error:
        raise lmia.LmiaError(
            f"The address '{url}' cannot be opened: {error}", "Install the package it names, or copy the shards here."
        ) from error


def server_facts(url: str, fresh: bool = False) -> list[tuple[str, str]]:
    """Return what a server says of a file's content: size, tags, times.

    Args:
        url: its address.
        fresh: ask again what may be known from a listing.

    Raises:
        lmia.LmiaError: it does not answer, or has no such file.
    """

    def ask() -> list[tuple[str, str]]:
        system, path = file_system(url)
        if fresh:
            system.invalidate_cache()
        return sorted((word.lower(), str(fact)) for word, fact in system.info(path).items() if word.lower() in FACTS)

    return Patience(url).ask(ask)


def cannot_be_read(shard: str, error: BaseException, attempts: int = 1) -> lmia.LmiaError:
    """Say that a shard's file or server failed: an error, not a `Rejected`, since trying again may help."""
    tried = f" ({attempts} attempts)" if attempts > 1 else ""
    return lmia.LmiaError(
        f"The shard '{shard}' cannot be read: {' '.join(str(error).split()) or type(error).__name__}{tried}",
        "Check the file, the address or the connection, and run again: finished shards are kept.",
    )


class Patience:
    """Asks again what fails, each time after a longer wait, until the waits are used up.

    What will not change by asking again (no such file, no permission) is an error at once.

    Args:
        url: what is asked for, to name it in the error.

    Attributes:
        failures: so far; whoever sees progress sets it to 0.

    Example:
        >>> Patience("s3://bucket/0.tar").ask(lambda: 3)
        3
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.failures = 0

    def ask(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, the first time it does not fail.

        Raises:
            lmia.LmiaError: there is no use in asking again, or it was done often enough.
        """
        while True:
            try:
                return call()
            except lmia.LmiaError:
                raise
            except Exception as error:  # every file system of fsspec has exceptions of its own
                self._bear(error)

    def _bear(self, error: Exception) -> None:
        self.failures += 1
        # fsspec's http takes whatever a server answers for a missing file, and keeps the answer as the cause.
        answered = isinstance(error, FileNotFoundError) and is_http(self.url)
        cause = (error.__cause__ if answered or isinstance(error, UnlistedError) else None) or error
        if _is_final(cause) or self.failures > len(WAITS):
            raise cannot_be_read(self.url, cause, self.failures) from error
        time.sleep(max(WAITS[self.failures - 1], _asked_for(cause)))


def _is_final(error: BaseException) -> bool:
    """Tell whether asking again is of no use: of the 4xx, all but time-outs and 'too many'."""
    if isinstance(error, aiohttp.ClientResponseError):
        return 400 <= error.status < 500 and error.status not in (408, 425, 429)
    return isinstance(error, FINAL)


def _asked_for(error: BaseException) -> float:
    """Return how many seconds a server that is busy asks us to wait."""
    said = (
        error.headers.get("Retry-After", "") if isinstance(error, aiohttp.ClientResponseError) and error.headers else ""
    )
    return min(float(said), MOST) if said.isdecimal() else 0.0


class Remote:
    """A remote shard, read forwards; a connection that fails is made again, and goes on at the byte where it failed.

    A server that gives no ranges is read again from the beginning, and what was read is skipped. A shard ends where the
    server said it would: an answer that ends earlier is a failure like any other.

    Args:
        url: the shard's address, for fsspec.
        known: what the server said of the file when the shards were listed, if that is known.

    Raises:
        lmia.LmiaError: the server fails again and again, or says something else than was known.

    Attributes:
        facts: what the server says of the file, before it is opened.
        size: in bytes, if the server says it (0 is what some say that do not know).
        at: bytes read so far.
    """

    def __init__(self, url: str, known: Facts | None = None) -> None:
        self.url = url
        self.facts = server_facts(url, fresh=True)
        if known is not None and _differ(known, self.facts, url):
            raise _changed(url, "since it was listed")
        self.size = next((int(fact) for word, fact in self.facts if word == "size" and fact.isdecimal()), 0) or None
        self.at = 0
        self._counted = 0  # where failures were last counted anew
        self._patience = Patience(url)
        self._file: Readable | None = None

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end.

        Raises:
            lmia.LmiaError: the server failed again and again, or the file changed meanwhile.
        """
        if self.at == self.size:
            return b""
        data = self._patience.ask(partial(self._read, size))
        self.at += len(data)
        if self.at - self._counted >= ENOUGH:
            self._counted, self._patience.failures = self.at, 0
        return data

    def unchanged(self) -> bool:
        """Tell whether the server still says of the file what it said at first."""
        return server_facts(self.url, fresh=True) == self.facts

    def close(self) -> None:
        """Let go of the connection."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _read(self, size: int) -> bytes:
        try:
            file = self._file or self._open()
            data = file.read(min(size, BLOCK))
            if self.size is not None and not data:
                raise OSError(f"the answer ended after {self.at:,} of {self.size:,} bytes")
            if self.size is not None and self.at + len(data) > self.size:
                raise _changed(self.url)
        except Exception:
            self.close()
            raise
        return data

    def _open(self) -> Readable:
        """Open the file at the byte that comes next; after a failure, make sure that it is still the same file."""
        system, path = file_system(self.url)
        if is_http(self.url):
            self._file = file = self._ask_from_here(system, path)
        else:
            self._file = file = system.open(path, "rb")
            if file.seekable():
                file.seek(self.at)
            else:
                _skip(file, self.at)
        if self._patience.failures and not self.unchanged():
            raise _changed(self.url)
        return cast(Readable, file)

    def _ask_from_here(self, system: fsspec.AbstractFileSystem, path: str) -> Any:  # noqa: ANN401 (fsspec is untyped)
        """Ask a web server for the rest; of one that sends more than that, skip what was read."""
        ranged = self.at > 0 and self.size is not None
        headers = {"Range": f"bytes={self.at}-"} if ranged else {}
        # A block size of 0 streams; with any size given, fsspec does not ask for it once more.
        self._file = file = system.open(path, "rb", block_size=0, size=1, headers=headers)
        part = _RANGE.match(file.r.headers.get("Content-Range", "")) if file.r.status == 206 else None
        if self.at and file.r.status == 206 and not part:
            raise OSError(f"asked from byte {self.at:,} on, the server does not say where its answer begins")
        begins = int(part[1]) if part else 0
        total = part[2] if part else file.r.headers.get("Content-Length", "")
        if self.size and total.isdecimal() and int(total) != self.size and "Content-Encoding" not in file.r.headers:
            if not self.unchanged():
                raise _changed(self.url)
            raise OSError(f"the server offers {int(total):,} bytes, where it had said {self.size:,}")
        if begins > self.at:
            raise OSError(f"asked from byte {self.at:,} on, the server answers from {begins:,} on")
        _skip(file, self.at - begins)
        return file


def _skip(file: Readable, count: int) -> None:
    while count and (data := file.read(min(count, BLOCK))):
        count -= len(data)
    if count:
        raise OSError(f"the answer ended {count:,} bytes before the place where it broke off")


def _differ(known: Facts, facts: Facts, url: str) -> bool:
    """Tell whether a file is another than was listed, by the words that a listing and the file's own answer share."""
    before, now = dict(known), dict(facts)
    shared = before.keys() & now.keys() - (frozenset() if is_http(url) else TIMES)
    return any(before[word] != now[word] for word in shared)


def _changed(url: str, when: str = "while it was read") -> lmia.LmiaError:
    return lmia.LmiaError(
        f"The shard '{url}' changed on its server {when}.",
        "Run again when nobody writes it any more: finished shards are kept.",
    )
