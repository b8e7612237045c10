"""Where shards are: patterns and what they expand to, and how an address is opened."""

from __future__ import annotations

import glob
import re
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol, cast

import aiohttp
import fsspec
from webdataset.shardlists import expand_urls

import lmia

TAR = (".tar", ".tar.gz", ".tgz")


class Readable(Protocol):
    """An open shard."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""

    def close(self) -> None:
        """Close it."""


class _Pipe:
    """What a shell command prints; one that fails is an error, one that is stopped before its end is not."""

    def __init__(self, command: str) -> None:
        self.process = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE)
        self.out = cast(IO[bytes], self.process.stdout)

    def read(self, size: int, /) -> bytes:
        data = self.out.read(size)
        if not data and self.process.wait():
            raise OSError(f"the command ended with status {self.process.returncode}")
        return data

    def close(self) -> None:
        self.out.close()
        self.process.terminate()
        self.process.wait()


def clean(text: object) -> str:
    r"""Return the text with what UTF-8 cannot hold spelt out.

    Example:
        >>> clean("a\udcff")
        'a\\udcff'
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def bare(url: str) -> str:
    """Return an address without its query.

    Example:
        >>> bare("https://host/a.tar?token=1"), bare("a?.tar")
        ('https://host/a.tar', 'a?.tar')
    """
    return url.partition("?")[0] if is_remote(url) else url


def looks_like_tar(part: str) -> bool:
    """Tell whether a part of a spec names tar shards.

    Example:
        >>> [looks_like_tar(part) for part in ("{a,b}.tar", "x/{1.tgz,2.tgz}", "pipe:cat a", "a.csv")]
        [True, True, True, False]
    """
    return part.startswith("pipe:") or bare(part).rstrip("}").endswith(TAR)


def is_remote(url: str) -> bool:
    """Tell whether an address is fsspec's to open.

    Example:
        >>> is_remote("s3://bucket/a.tar"), is_remote("a.tar"), is_remote("pipe:curl https://host/a.tar")
        (True, False, False)
    """
    return "://" in url and not url.startswith("pipe:")


def is_file(url: str) -> bool:
    """Tell whether a regular file lies there; what cannot be a file's name is none."""
    try:
        return stat.S_ISREG(Path(url).stat().st_mode)
    except (OSError, ValueError):
        return False


def is_folder(url: str) -> bool:
    """Tell whether a folder lies there; what cannot be a folder's name is none."""
    try:
        return stat.S_ISDIR(Path(url).stat().st_mode)
    except (OSError, ValueError):
        return False


def expand(part: str, allow_pipe: bool) -> list[str]:
    """Expand a pattern: `::`, `${NAME}` from the environment's `WDS_NAME`, braces (all webdataset's), then globs.

    Raises:
        lmia.LmiaError: it cannot be expanded, matches nothing, or would run a command.

    Example:
        >>> expand("s3://a/{00..02}.tar::s3://b/{7,9}.tar", allow_pipe=False)
        ['s3://a/00.tar', 's3://a/01.tar', 's3://a/02.tar', 's3://b/7.tar', 's3://b/9.tar']
    """
    try:
        urls = expand_urls(part)
    except (ValueError, AssertionError) as error:
        raise lmia.LmiaError(
            f"The pattern '{part}' cannot be expanded: {error}.", "Check its braces: 'data/{000..009}.tar'."
        ) from error
    if not allow_pipe and any(url.startswith("pipe:") for url in urls):
        raise lmia.LmiaError(
            f"'{part}' would run a shell command.", "Set allow_pipe: true in the source's init_args if you trust it."
        )
    return [match for url in urls for match in _matches(url.removeprefix("file://"))]


def _matches(url: str) -> list[str]:
    if url.startswith("pipe:") or not glob.has_magic(bare(url)) or is_file(url):
        return [url]
    if is_remote(url):
        system, path = _file_system(url)
        try:
            found = sorted(system.unstrip_protocol(name) for name in system.glob(path))
        except Exception as error:  # every file system of fsspec has exceptions of its own
            raise cannot_be_read(url, error) from error
    else:
        found = sorted(glob.glob(url, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if not found:
        raise lmia.LmiaError(f"No shard matches '{url}'.", "Check the pattern and the folder.")
    return found


def distinct(urls: Sequence[str]) -> dict[str, str]:
    """Name each shard by its file name without its ending, and by as many folders as tell all shards apart.

    Example:
        >>> distinct(["x/a/00.tar", "x/b/00.tar"])
        {'x/a/00.tar': 'a/00', 'x/b/00.tar': 'b/00'}
    """
    parts = {url: re.sub(r"\.(tar|tar\.gz|tgz)$", "", bare(url)).split("/") for url in urls}
    for depth in range(1, max(map(len, parts.values())) + 1):
        labels = {url: "/".join(part[-depth:]) for url, part in parts.items()}
        if len(set(labels.values())) == len(urls):
            return {url: clean(label) for url, label in labels.items()}
    return {url: clean(url) for url in urls}


def _file_system(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Open the address's file system; http without a limit on the whole transfer, which waits for the model."""
    options: dict[str, object] = {}
    if url.startswith(("http://", "https://")):
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=120)
        options = {"client_kwargs": {"timeout": timeout, "trust_env": True}}
    try:
        return cast(tuple[fsspec.AbstractFileSystem, str], fsspec.core.url_to_fs(url, **options))
    except (ImportError, ValueError) as error:
        raise lmia.LmiaError(
            f"The address '{url}' cannot be opened: {error}", "Install the package it names, or copy the shards here."
        ) from error


def server_facts(url: str) -> list[tuple[str, str]]:
    """Return what a server says of a file's content: size, tags, times.

    Raises:
        lmia.LmiaError: it does not answer, or has no such file.
    """
    system, path = _file_system(url)
    try:
        facts = system.info(path)
    except Exception as error:  # every file system of fsspec has exceptions of its own
        raise cannot_be_read(url, error) from error
    words = ("size", "etag", "last-modified", "lastmodified", "mtime", "generation", "md5", "content-md5", "digest")
    return sorted((word.lower(), str(fact)) for word, fact in facts.items() if word.lower() in words)


def open_shard(shard: str) -> Readable:
    """Open a shard for reading from its beginning.

    Raises:
        lmia.LmiaError: it cannot be opened.
    """
    try:
        if shard.startswith("pipe:"):
            return _Pipe(shard.removeprefix("pipe:"))
        if not is_remote(shard):
            return Path(shard).open("rb")
        system, path = _file_system(shard)
        streamed = {"block_size": 0} if shard.startswith(("http://", "https://")) else {}
        return cast(Readable, system.open(path, "rb", **streamed))
    except lmia.LmiaError:
        raise
    except Exception as error:  # every file system of fsspec has exceptions of its own
        raise cannot_be_read(shard, error) from error


def cannot_be_read(shard: str, error: Exception) -> lmia.LmiaError:
    """Say that a shard's file or server failed: an error, not a `Rejected`, since trying again may help."""
    return lmia.LmiaError(
        f"The shard '{shard}' cannot be read: {' '.join(str(error).split()) or type(error).__name__}",
        "Check the file, the address or the connection, and run again: finished shards are kept.",
    )
