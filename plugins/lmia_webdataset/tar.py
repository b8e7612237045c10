"""Reading a tar that may be hostile or broken: forwards only, within limits, and never onto a disk."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, cast

from webdataset.tariterators import base_plus_ext

import lmia
from lmia_webdataset.remote import Readable, cannot_be_read
from lmia_webdataset.url import is_packed

PADDING = 64 << 20
"""Bytes of zeros behind a tar that are padding; more have no end, as far as a reader can tell."""
HEADER_BYTES = 16 << 10
"""What one member's headers may take: long names and pax records, which a hostile tar could grow without end."""

NOTE = re.compile(r"__[^/]*__($|/)")
"""Names that webdataset keeps for notes of its own, and does not read as samples."""


@dataclass(frozen=True)
class Unreadable:
    """Stands in a sample for a member that was not read."""

    reason: str


Files = Mapping[str, bytes | Unreadable]
"""What a sample holds, by ending in small letters."""


@dataclass
class Sample:
    """The files of one key that stand together.

    Args:
        key: what their names begin with.
        files: those whose endings are known; of two of one ending, the first.
        repeated: there were two of one ending.
    """

    key: str
    files: dict[str, bytes | Unreadable] = field(default_factory=dict)
    repeated: bool = False

    @property
    def held(self) -> int:
        """Bytes of its files."""
        return sum(len(data) for data in self.files.values() if isinstance(data, bytes))

    def add(self, ending: str, data: bytes | Unreadable) -> None:
        """Take a file in."""
        self.repeated |= ending in self.files
        self.files.setdefault(ending, data)


class _Whole:
    """Reads as much as is asked for, and turns a disk's or a command's failure into a sentence."""

    def __init__(self, raw: Readable, name: str) -> None:
        self.raw, self.name = raw, name

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        try:
            while size > 0 and (part := self.raw.read(size)):
                parts.append(part)
                size -= len(part)
        except OSError as error:
            raise cannot_be_read(self.name, error) from error
        return b"".join(parts)


class _Stream:
    """A tar's bytes as `tarfile` wants them: forwards only, and never more at once than `allowance`."""

    def __init__(self, raw: Readable, name: str) -> None:
        packed = is_packed(name)
        self.seekable = isinstance(raw, io.BufferedReader) and not packed
        self.raw = raw
        whole = _Whole(raw, name)
        self.source = gzip.GzipFile(fileobj=cast(IO[bytes], whole)) if packed else whole
        self.allowance = 0
        self.at = 0
        self.last = b""
        self.short = False

    def tell(self) -> int:
        return self.at

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.allowance:
            raise tarfile.ReadError("a header larger than allowed")
        self.allowance -= size
        try:
            self.last = self.source.read(size)
        except EOFError:  # of a gzip file that ends too early
            self.last = b""
        self.short |= len(self.last) < size
        self.at += len(self.last)
        return self.last

    def seek(self, to: int) -> None:
        if to < self.at:
            raise tarfile.ReadError("a member that begins before the one it follows")
        if self.seekable:
            cast(io.BufferedReader, self.raw).seek(to)
            self.at = to
        while self.at < to and not self.short:
            self.grant(min(to - self.at, 1 << 20))
            self.read(self.allowance)
        self.grant(HEADER_BYTES)

    def grant(self, size: int) -> None:
        self.allowance = size

    def more(self) -> bool:
        """Read to the end, where gzip has its checksum; tell whether anything but zeros comes, or zeros without end."""
        try:
            left = PADDING
            while part := self.source.read(1 << 20):
                left -= len(part)
                if left < 0 or part.strip(b"\0"):
                    return True
        except EOFError:
            self.short = True
        return self.short


class Tar:
    """The samples of a tar, grouped as webdataset does, and each file that can be in none, by its name, as it comes.

    webdataset's own grouping leaves such files out, and passes over those that it takes for notes (`__NAME__/...`).

    Args:
        raw: the open shard.
        name: its address; what ends in `.gz` or `.tgz` is unpacked.
        limits: the endings to read, and how many bytes such a file may have; the data of others stays unread.
        headers_only: read no file.

    Attributes:
        fault: at the end, why it came too early: `truncated tar`, `damaged tar`, or nothing.
    """

    def __init__(self, raw: Readable, name: str, limits: dict[str, int], headers_only: bool = False) -> None:
        self.stream = _Stream(raw, name)
        self.limits = limits
        self.headers_only = headers_only
        self.fault = ""
        self._broken = ""

    def __iter__(self) -> Iterator[Sample | lmia.Rejected]:
        sample: Sample | None = None
        for member in self._members():
            key, ending = base_plus_ext(member.name)
            if NOTE.match(member.name):
                yield lmia.Rejected(member.name, "name reserved by webdataset")
            elif key is None:
                yield lmia.Rejected(member.name, "not named KEY.ENDING")
            else:
                if sample and sample.key != key:
                    yield sample
                    sample = None
                sample = sample or Sample(key)
                if limit := self.limits.get(ending.lower()):
                    room = max(self.limits.values()) - sample.held  # a sample may come in many formats
                    sample.add(ending.lower(), self._data(member, min(limit, room)))
        self.fault = self._broken
        if sample:
            yield sample

    def _members(self) -> Iterator[tarfile.TarInfo]:
        try:
            self.stream.grant(HEADER_BYTES)
            tar = tarfile.TarFile(fileobj=cast(IO[bytes], self.stream))
            while not self._broken and (member := tar.next()) is not None:
                # tarfile would keep every member and every global header until the end.
                vars(tar).update(members=[], pax_headers={})
                if not member.isdir():
                    yield member
                self.stream.grant(HEADER_BYTES)
            # tarfile takes a broken header for the end, and so it does a hole of zeros that a download left.
            if self.stream.last != bytes(tarfile.BLOCKSIZE) or self.stream.more():
                self._break()
        except lmia.LmiaError:
            raise
        except Exception:  # hostile headers make tarfile raise what they like
            self._break()

    def _data(self, member: tarfile.TarInfo, limit: int) -> bytes | Unreadable:
        if self.headers_only:
            return b""
        if not member.isreg() or member.issparse():
            return Unreadable("not a regular file")
        if not 0 <= member.size <= limit:
            return Unreadable("file too large")
        try:
            self.stream.seek(member.offset_data)
            self.stream.grant(member.size)
            data = self.stream.read(member.size)
        except (tarfile.TarError, OSError, zlib.error):
            self._break()
            return Unreadable(self._broken)
        if len(data) < member.size:
            self._break()
            return Unreadable(self._broken)
        return data

    def _break(self) -> None:
        self._broken = self._broken or ("truncated tar" if self.stream.short else "damaged tar")
