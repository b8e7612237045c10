"""Where image-text pairs come from: `Pair`, `Rejected`, the contract of a `Source`, and parts of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import cast

from PIL import Image

from lmia.errors import LmiaError
from lmia.settings import Made

MAX_KEY = 1024
"""Longer keys, in letters, are refused: keys are kept of every record."""
MAX_URL = 4096
"""Longer addresses, in letters, are refused: no server and no browser is sure to take them."""
TELL = "Tell its author; `lmia.testing.check_source` finds this."


@dataclass(frozen=True, slots=True)
class Pair:
    """One image and its caption, undecoded: the core decodes, hashes and guards.

    Args:
        key: unique within the source; it names the pair in every output.
        caption: the text, as found.
        image: the encoded file's bytes (JPEG, PNG, WebP ...), or pixels where there is no file.
        url: where the pair was published, if the source knows.
    """

    key: str
    caption: str
    image: bytes | Image.Image
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be audited; it is counted in the report by its reason.

    Args:
        key: the record's key, or the best name there is for it; of one too long, its beginning.
        reason: a short phrase from a small set, without the record's own data, such as `no caption`.
    """

    key: str
    reason: str

    def __post_init__(self) -> None:
        if isinstance(self.key, str) and len(self.key) > MAX_KEY:
            object.__setattr__(self, "key", f"{self.key[: MAX_KEY - 1]}…")


class Source(Made, ABC):
    """Image-text pairs in shards. The shard is the unit of work, of resume and of distribution.

    A source is found by `claims`, made from its typed `__init__` (which is its command line), picklable, and cheap
    to make: no I/O beyond `stat` before `shards` is called.
    """

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        """Return init arguments if `spec` is this source's to read, else None. No I/O beyond stat."""
        return None

    @abstractmethod
    def shards(self) -> Sequence[str]:
        """List the shards' names in a fixed order; an error (`LmiaError`) if there is none."""

    @abstractmethod
    def read(self, shard: str) -> Iterator[Pair | Rejected]:
        """Stream a shard's records in a fixed order. What cannot be read becomes a `Rejected`, never an exception."""

    @abstractmethod
    def fingerprint(self, shard: str) -> str:
        """A string that changes whenever what `read(shard)` yields would: content, or size and time and place."""

    def count(self, shard: str) -> int:
        """How many records a shard holds; override where that is known without reading them."""
        return sum(1 for _ in self.read(shard))


class Selection(Source):
    """A part of another source: it reads the same shards, and so shares what is kept of them, and says which pairs it takes.

    Args:
        source: whose pairs they are; it may be a part itself.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    @property
    def reader(self) -> Source:
        """The source that reads the shards: the innermost."""
        return reader_of(self.source)

    def shards(self) -> Sequence[str]:
        """List the source's."""
        return named_shards(self.source)

    def read(self, shard: str) -> Iterator[Pair | Rejected]:
        """Stream the shard as the source does; the choice is made among its usable pairs, by `draw`."""
        return self.source.read(shard)

    def fingerprint(self, shard: str) -> str:
        """Return the source's own."""
        return self.source.fingerprint(shard)

    @abstractmethod
    def draw(self, keys: Sequence[str]) -> list[int]:
        """Return the positions that are taken, ascending, of the keys of all usable pairs."""

    @abstractmethod
    def expected(self, pairs: int) -> int:
        """Say about how many of so many pairs are taken, before their keys are known."""


class Sample(Selection):
    """A seeded sample of another source: what `SPEC?n=3000&seed=0` means.

    Whole shards are taken in a seeded order, as few as hold n records; of their usable pairs, n are drawn by a seeded
    hash of the key, so the draw does not depend on order, workers or cache.

    Args:
        source: the source to draw from.
        n: how many pairs.
        seed: of the draw.
    """

    def __init__(self, source: Source, n: int, seed: int = 0) -> None:
        if n < 1:
            raise LmiaError(f"A sample of n={n} pairs is empty.", "Ask for at least one: SPEC?n=1000&seed=0.")
        super().__init__(source)
        self.n = n
        self.seed = seed
        self._chosen: tuple[str, ...] | None = None

    def shards(self) -> Sequence[str]:
        """List as few shards of the source, in a seeded order, as hold n records; they are counted once."""
        if self._chosen is None:
            self._chosen = tuple(self._choose())
        return list(self._chosen)

    def _choose(self) -> list[str]:
        chosen: list[str] = []
        have = 0
        for shard in sorted(named_shards(self.source), key=self._hash):
            if have >= self.n:
                break
            chosen.append(shard)
            have += self.source.count(shard)
        return chosen

    def draw(self, keys: Sequence[str]) -> list[int]:
        """Return the positions of the n keys that are drawn, ascending; all of them if there are no more than n."""
        order = sorted(drawn(self.source, keys), key=lambda i: self._hash(keys[i]))
        return sorted(order[: self.n])

    def expected(self, pairs: int) -> int:
        """Return n, or all there are."""
        return min(self.n, expected(self.source, pairs))

    def _hash(self, key: str) -> bytes:
        return blake2b(f"{self.seed} {key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def reader_of(source: Source) -> Source:
    """Return who reads a source's shards: of a part of another, that other.

    Example:
        >>> class None_(Source):
        ...     def shards(self): return []
        ...     def read(self, shard): yield from ()
        ...     def fingerprint(self, shard): return ""
        >>> whole = None_()
        >>> reader_of(Sample(Sample(whole, 9), 3)) is reader_of(whole) is whole
        True
    """
    return source.reader if isinstance(source, Selection) else source


def drawn(source: Source, keys: Sequence[str]) -> Sequence[int]:
    """Return the positions of the usable pairs that a source takes, ascending: all, but of a part of another.

    Args:
        source: any.
        keys: of all usable pairs of its shards.

    Example:
        >>> from lmia.source import Sample
        >>> class None_(Source):
        ...     def shards(self): return []
        ...     def read(self, shard): yield from ()
        ...     def fingerprint(self, shard): return ""
        >>> list(drawn(None_(), ["a", "b"])), list(drawn(Sample(None_(), 1), ["a", "b"]))
        ([0, 1], [0])
    """
    return source.draw(keys) if isinstance(source, Selection) else range(len(keys))


def expected(source: Source, pairs: int) -> int:
    """Say about how many of so many pairs a source takes.

    Example:
        >>> class None_(Source):
        ...     def shards(self): return []
        ...     def read(self, shard): yield from ()
        ...     def fingerprint(self, shard): return ""
        >>> expected(None_(), 50), expected(Sample(None_(), 30), 50)
        (50, 30)
    """
    return source.expected(pairs) if isinstance(source, Selection) else pairs


def named_shards(source: Source) -> list[str]:
    """Return the names of a source's shards.

    Raises:
        LmiaError: they are no list, or a shard is named twice.

    Example:
        >>> class Word(Source):
        ...     def shards(self): return "word"
        ...     def read(self, shard): yield from ()
        ...     def fingerprint(self, shard): return ""
        >>> named_shards(Word())
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: Word.shards returned str, not a list of names.
        Tell its author; `lmia.testing.check_source` finds this.
    """
    who, found = f"{type(source).__name__}.shards", cast("object", source.shards())
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise LmiaError(f"{who} returned {type(found).__name__}, not a list of names.", TELL)
    names = list(found)
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise LmiaError(f"{who} named the shard '{twice[0]}' more than once.", TELL)
    return names
