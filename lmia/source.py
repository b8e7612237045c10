"""Where image-text pairs come from: `Pair`, `Rejected`, and the contract of a `Source`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

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
