"""The records of a source's shards, each checked: whoever reads a source reads it through here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from PIL.ImageFile import ImageFile

from lmia.errors import LmiaError
from lmia.source import TELL, Pair, Rejected, Source, reader_of

HELD = 512 << 20
"""Bytes of files that are held at once, or one file that is larger: few bytes can unpack to many large ones."""


def records(source: Source, shard: str) -> Iterator[Pair | Rejected]:
    """Stream the records of a shard, in the source's order.

    Args:
        source: who reads them.
        shard: its name.

    Raises:
        LmiaError: the source yields something else.

    Example:
        >>> class Dot(Source):
        ...     def shards(self): return ["dot"]
        ...     def read(self, shard): return [Pair("a", "a dot", b"file")]
        ...     def fingerprint(self, shard): return ""
        >>> [record.key for record in records(Dot(), "dot")]
        ['a']
    """
    return checked(source.read(shard), type(reader_of(source)).__name__)


def checked(found: object, who: str = "A source") -> Iterator[Pair | Rejected]:
    """Yield records once they are such, of texts that can be kept; a picture that is open and not decoded is its file.

    Args:
        found: as a source reads them; whatever it is.
        who: whose records they are, to begin a sentence with.

    Raises:
        LmiaError: they are something else.

    Example:
        >>> list(checked([1], "Mine"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: Mine yielded int: neither a Pair nor a Rejected.
        Tell its author; `lmia.testing.check_source` finds this.
    """
    if not isinstance(found, Iterable):
        raise LmiaError(f"{who} returned {type(found).__name__} from read, not its records one by one.", TELL)
    return map(partial(_checked, who), found)


def together(found: Iterable[Pair | Rejected], size: int, held: int = HELD) -> Iterator[list[Pair | Rejected]]:
    """Yield records in groups of `size`, smaller ones where their files or texts are large.

    Args:
        found: records.
        size: records of a group.
        held: bytes of files and letters of texts after which a group ends.

    Example:
        >>> [len(group) for group in together([Pair(str(i), "a", b"file") for i in range(5)], 4, held=15)]
        [3, 2]
    """
    group: list[Pair | Rejected] = []
    weight = 0
    for record in found:
        group.append(record)
        weight += _weight(record) if isinstance(record, Pair) else 0
        if len(group) == size or weight >= held:
            yield group
            group, weight = [], 0
    if group:
        yield group


def _checked(who: str, record: object) -> Pair | Rejected:
    if not isinstance(record, Pair | Rejected):
        raise LmiaError(f"{who} yielded {type(record).__name__}: neither a Pair nor a Rejected.", TELL)
    names = ("key", "caption", "url") if isinstance(record, Pair) else ("key", "reason")
    for name in names:
        if wrong := _no_text(name, getattr(record, name)):
            raise LmiaError(f"{who} yielded a {type(record).__name__} whose {name} {wrong}.", TELL)
    return _as_file(record) if isinstance(record, Pair) else record


def _as_file(pair: Pair) -> Pair:
    """Take a picture that Pillow has opened and not yet decoded as the file it is of: what guards files looks at bytes."""
    image = pair.image
    if not isinstance(image, ImageFile) or not image.tile or image.fp is None or image.fp.closed:
        return pair
    image.fp.seek(0)
    return replace(pair, image=image.fp.read())


def _no_text(name: str, value: object) -> str:
    """Say what is wrong with a record's text, if anything; keys and captions that are no Unicode have a way of their own."""
    if name == "url" and value is None:
        return ""
    if not isinstance(value, str):
        return f"is {type(value).__name__}, not text"
    kept = name in ("key", "caption") or value.isascii() or value.encode("utf-8", "ignore").decode() == value
    return "" if kept else "holds a lone surrogate, which is no Unicode"


def _weight(pair: Pair) -> int:
    parts = (pair.key, pair.caption, pair.url, pair.image)
    return sum(len(part) for part in parts if isinstance(part, str | bytes))
