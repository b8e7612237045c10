"""Where image-text pairs come from: `Pair`, `Rejected`, and the contract of a `Source`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from PIL import Image

from lmia.errors import LmiaError
from lmia.settings import Made


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
        key: the record's key, or the best name there is for it.
        reason: a short phrase from a small set, without the record's own data, such as `no caption`.
    """

    key: str
    reason: str


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


class Sample(Source):
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
        self.source = source
        self.n = n
        self.seed = seed

    def shards(self) -> Sequence[str]:
        """List as few shards of the source, in a seeded order, as hold n records."""
        chosen: list[str] = []
        have = 0
        for shard in sorted(self.source.shards(), key=self._hash):
            if have >= self.n:
                break
            chosen.append(shard)
            have += self.source.count(shard)
        return chosen

    def read(self, shard: str) -> Iterator[Pair | Rejected]:
        """Stream the shard as the source does; the draw is made on its usable pairs, by `draw`."""
        return self.source.read(shard)

    def fingerprint(self, shard: str) -> str:
        """Return the source's own."""
        return self.source.fingerprint(shard)

    def draw(self, keys: Sequence[str]) -> list[int]:
        """Return the positions of the n keys that are drawn, ascending; all of them if there are no more than n."""
        order = sorted(range(len(keys)), key=lambda i: self._hash(keys[i]))
        return sorted(order[: self.n])

    def _hash(self, key: str) -> bytes:
        return blake2b(f"{self.seed} {key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
