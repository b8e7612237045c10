"""Tar shards in the webdataset layout (`KEY.jpg`, `KEY.txt`, `KEY.json`), local and remote. Nothing is extracted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import lmia
from lmia_webdataset.address import clean, distinct, expand, is_file, is_folder, looks_like_tar, open_shard
from lmia_webdataset.remote import Facts, cannot_be_read, server_facts
from lmia_webdataset.shelf import Copying, Shelf
from lmia_webdataset.tar import Files, Tar, Unreadable
from lmia_webdataset.url import is_pipe, is_remote

IMAGE_BYTES = 512 << 20
TEXT_BYTES = 1 << 20


class WebDataset(lmia.Source):
    """Pairs in tar shards, as img2dataset and webdataset write them: files of one key, one after the other.

    Keys are `SHARD/KEY`, SHARD being the shard's file name without its ending, with as many folders before it as tell
    the shards of one source apart. A text file's last line break is not part of its caption. A shard that ends too
    early gives what can be read, and one `Rejected`, `truncated tar`, for the rest. Of a `pipe:` the fingerprint is the
    command alone: what it prints must not change.

    A remote shard whose connection breaks, stalls or meets a busy server is asked for again, six times in all over half a
    minute, and goes on at the byte where it broke; one that changed meanwhile is an error. A shard that ends before the
    size its server promised is no truncated tar. With `keep`, a second pass reads remote shards from that folder.

    Args:
        urls: brace patterns, globs and addresses (local, http(s), whatever fsspec knows), joined by `::`, or a list.
        image_key: endings of images, `;` between them; of several in one sample the first of these is taken.
        text_key: endings of captions.
        json_text_key: the caption's name in KEY.json, where there is no text.
        allow_pipe: run the shell commands of `pipe:` addresses.
        keep: a folder for copies of remote shards; none are kept unless it is given.
        keep_gb: gigabytes of all copies in it; the least recently used make room for others.

    Raises:
        lmia.LmiaError: `keep_gb` is not above 0.

    Example:
        >>> WebDataset.claims("a/{000..009}.tar::b/*.tgz")
        {'urls': 'a/{000..009}.tar::b/*.tgz'}
        >>> WebDataset.claims("pairs.csv") is None
        True
    """

    def __init__(
        self,
        urls: str | list[str],
        image_key: str = "jpg;png;jpeg;webp;gif;bmp;tif;tiff;avif;ppm",
        text_key: str = "txt",
        json_text_key: str = "caption",
        allow_pipe: bool = False,
        keep: str | None = None,
        keep_gb: float = 100.0,
    ) -> None:
        if not keep_gb > 0:
            raise lmia.LmiaError(f"keep_gb={keep_gb} keeps nothing.", "Give gigabytes above 0, or leave keep out.")
        self.urls = urls
        self.image_key = image_key
        self.text_key = text_key
        self.json_text_key = json_text_key
        self.allow_pipe = allow_pipe
        self.keep = keep
        self.keep_gb = keep_gb
        self._known: dict[str, Facts] = {}
        self._shelf = Shelf(Path(keep).expanduser(), keep_gb * 1e9) if keep else None

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        """Claim what looks like tar shards, each part between `::`."""
        looks = all(looks_like_tar(part) for part in spec.split("::"))
        return {"urls": spec} if looks and not is_folder(spec) else None

    def shards(self) -> Sequence[str]:
        """List the shards' addresses, in the order of the patterns; globs sorted.

        Raises:
            lmia.LmiaError: a pattern is broken or matches nothing, a file is missing or named twice, or `pipe:` is off.
        """
        return list(self._labels)

    def read(self, shard: str) -> Iterator[lmia.Pair | lmia.Rejected]:
        """Stream a shard: one record a key, in the tar's order.

        Raises:
            lmia.LmiaError: the shard is not this source's, or its file or server fails.
        """
        seen: set[bytes] = set()
        for record in self._records(shard, self._label(shard), headers_only=False):
            if isinstance(record, lmia.Rejected):
                yield record
                continue
            name = blake2b(record.key.encode(), digest_size=16).digest()
            yield lmia.Rejected(record.key, "duplicate key") if name in seen else record
            seen.add(name)

    def count(self, shard: str) -> int:
        """Count a shard's records by its tar headers; a local plain tar is skipped through without reading it."""
        return sum(1 for _ in self._records(shard, self._label(shard), headers_only=True))

    def fingerprint(self, shard: str) -> str:
        """Return a digest of a local file's size, time and place, or of what a server says of its file."""
        label = self._label(shard)
        facts: object = shard
        if is_remote(shard):
            self._known[shard] = server_facts(shard)
            facts = (shard, self._known[shard])
        elif not is_pipe(shard):
            try:
                facts = (str(Path(shard).resolve()), Path(shard).stat().st_size, Path(shard).stat().st_mtime_ns)
            except OSError as error:
                raise cannot_be_read(shard, error) from error
        how = (label, self.image_key, self.text_key, self.json_text_key)
        return blake2b(repr((facts, how)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    @cached_property
    def _labels(self) -> dict[str, str]:
        """Name what the keys of each shard begin with."""
        parts = [self.urls] if isinstance(self.urls, str) else self.urls
        urls = [url for part in parts for url in expand(part, self.allow_pipe)]
        if not urls:
            raise lmia.LmiaError(f"No shard is named: {self.urls!r}.", "Give tar files, such as 'data/{000..009}.tar'.")
        url, times = Counter(urls).most_common(1)[0]
        if times > 1:
            raise lmia.LmiaError(f"The shard '{url}' is named {times} times.", "Name each shard once.")
        missing = [url for url in urls if not is_pipe(url) and not is_remote(url) and not is_file(url)]
        if missing:
            raise lmia.LmiaError(
                f"The shard '{missing[0]}' is not a file ({len(missing)} of {len(urls)} shards are missing).",
                "Check the pattern, and quote it, so that the shell leaves braces and stars alone.",
            )
        return distinct(urls)

    def _label(self, shard: str) -> str:
        if shard not in self._labels:
            raise lmia.LmiaError(f"'{shard}' is not a shard of {self.urls!r}.", "Take one that shards() lists.")
        return self._labels[shard]

    def _records(self, shard: str, label: str, headers_only: bool) -> Iterator[lmia.Pair | lmia.Rejected]:
        image, text = self.image_key.lower().split(";"), self.text_key.lower().split(";")
        limits = {"json": TEXT_BYTES} | dict.fromkeys(text, TEXT_BYTES) | dict.fromkeys(image, IMAGE_BYTES)
        with closing(open_shard(shard, self._shelf, self.allow_pipe, self._known.get(shard))) as raw:
            tar = Tar(raw, shard, limits, headers_only)
            for found in tar:
                key = f"{label}/{clean(found.key)}"
                if isinstance(found, lmia.Rejected):
                    yield lmia.Rejected(key, found.reason)
                    continue
                record = lmia.Rejected(key, "") if headers_only else self._record(found.files, key, image, text)
                # The last sample of a broken tar lacks what was to follow: that is the tar's fault, not its own.
                yield lmia.Rejected(key, tar.fault) if tar.fault and isinstance(record, lmia.Rejected) else record
                if found.repeated:
                    yield lmia.Rejected(key, "duplicate key")
            if tar.fault:
                yield lmia.Rejected(label, tar.fault)
            elif isinstance(raw, Copying):
                raw.keep()

    def _record(self, sample: Files, key: str, image: list[str], text: list[str]) -> lmia.Pair | lmia.Rejected:
        try:
            data = _bytes(sample, image, "no image")
            about = _json(sample)
            if any(ending in sample for ending in text):
                caption: object = _decode(_bytes(sample, text, "no caption"))
            else:
                caption = about.get(self.json_text_key)
        except _UnfitError as unfit:
            return lmia.Rejected(key, unfit.reason)
        if caption is None:
            return lmia.Rejected(key, "no caption")
        if not isinstance(caption, str):
            return lmia.Rejected(key, "caption is not text")
        url = about.get("url")
        return lmia.Pair(key, caption, data, clean(url) if isinstance(url, str) else None)


class _UnfitError(Exception):
    """Why a record cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _bytes(sample: Files, endings: Sequence[str], missing: str) -> bytes:
    data = next((sample[ending] for ending in endings if ending in sample), None)
    if isinstance(data, Unreadable):
        raise _UnfitError(data.reason)
    if not isinstance(data, bytes):
        raise _UnfitError(missing)
    return data


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _UnfitError("caption is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _json(sample: Files) -> dict[str, object]:
    if "json" not in sample:
        return {}
    try:
        about = json.loads(_bytes(sample, ["json"], ""))
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise _UnfitError("unreadable json")
    return about


@lmia.hookimpl
def lmia_sources() -> list[type[lmia.Source]]:
    """Bring WebDataset."""
    return [WebDataset]
