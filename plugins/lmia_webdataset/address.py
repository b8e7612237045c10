"""Where shards are: patterns and what they expand to, and how an address is opened."""

from __future__ import annotations

import glob
import re
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, cast

import fsspec
from fsspec.asyn import AsyncFileSystem
from webdataset.shardlists import expand_urls

import lmia
from lmia_webdataset.remote import Facts, Patience, Readable, Remote, UnlistedError, cannot_be_read, file_system
from lmia_webdataset.shelf import Shelf
from lmia_webdataset.url import bare, is_pipe, is_remote

TAR = (".tar", ".tar.gz", ".tgz")


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


def looks_like_tar(part: str) -> bool:
    """Tell whether a part of a spec names tar shards.

    Example:
        >>> [looks_like_tar(part) for part in ("{a,b}.tar", "x/{1.tgz,2.tgz}", "pipe:cat a", "a.csv")]
        [True, True, True, False]
    """
    return is_pipe(part) or bare(part).rstrip("}").endswith(TAR)


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
    if not allow_pipe and any(map(is_pipe, urls)):
        raise _would_run(part)
    return [match for url in urls for match in ([url] if is_pipe(url) else _places(url))]


def _places(url: str) -> list[str]:
    """List what an address that is no command leads to; none of it becomes one, whatever its name."""
    return [f"./{match}" if is_pipe(match) else match for match in _matches(url.removeprefix("file://"))]


def _would_run(part: str) -> lmia.LmiaError:
    return lmia.LmiaError(
        f"'{part}' would run a shell command.", "Set allow_pipe: true in the source's init_args if you trust it."
    )


def _matches(url: str) -> list[str]:
    if not glob.has_magic(bare(url)) or is_file(url):
        return [url]
    if is_remote(url):
        system, path = file_system(url)
        found = sorted(map(system.unstrip_protocol, Patience(url).ask(partial(_listed, system, path))))
    else:
        found = sorted(glob.glob(url, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if not found:
        raise lmia.LmiaError(f"No shard matches '{url}'.", "Check the pattern and the folder.")
    return found


def _listed(system: fsspec.AbstractFileSystem, pattern: str) -> Sequence[str]:
    """List what matches a pattern; fsspec leaves out folders that it cannot list, which would be shards nobody misses."""
    name = "_ls" if isinstance(system, AsyncFileSystem) else "ls"
    plain = getattr(system, name)

    async def later(*args: object, **kwargs: object) -> object:
        with _heard():
            return await plain(*args, **kwargs)

    def now(*args: object, **kwargs: object) -> object:
        with _heard():
            return plain(*args, **kwargs)

    setattr(system, name, later if name == "_ls" else now)
    try:
        return cast(Sequence[str], system.glob(pattern))
    finally:
        delattr(system, name)


@contextmanager
def _heard() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:  # a file where a folder is looked for
        raise
    except OSError as error:
        raise UnlistedError(str(error)) from error


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


def open_shard(
    shard: str, shelf: Shelf | None = None, allow_pipe: bool = False, known: Facts | None = None
) -> Readable:
    """Open a shard for reading from its beginning.

    Args:
        shard: its address.
        shelf: where copies of remote shards are kept, if they are.
        allow_pipe: run its command, if it is one.
        known: what its server said of it when the shards were listed, if that is known.

    Raises:
        lmia.LmiaError: it cannot be opened, or would run a command.
    """
    if is_pipe(shard) and not allow_pipe:
        raise _would_run(shard)
    if is_remote(shard):
        remote = Remote(shard, known)
        return shelf.open(remote) if shelf else remote
    try:
        return _Pipe(shard.removeprefix("pipe:")) if is_pipe(shard) else Path(shard).open("rb")
    except (OSError, ValueError) as error:
        raise cannot_be_read(shard, error) from error
