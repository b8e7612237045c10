"""The laws of a source."""

from __future__ import annotations

from collections import Counter
from functools import partial

from PIL import Image

from lmia.source import Pair, Rejected, Source
from lmia.testing.claims import check_claims
from lmia.testing.laws import called, generators, require
from lmia.testing.making import check_made, copied, pickled, remade

_REASON = 60


def check_source(source: Source, spec: str | None = None) -> None:
    """Check a source on its own data; it is read whole, several times, so give it little.

    Laws: made as `check_made` says; it claims its own spec, nothing that is nonsense, and never raises over one;
    shards are named once, in a fixed order; records are `Pair` or `Rejected` with the fields' types; every reading,
    every copy and every source with the same arguments gives the same records; two readings at once do not disturb
    each other; keys of pairs are unique; `count` counts; fingerprints are texts, and stay.

    Args:
        source: over a little data, best with something unreadable in it.
        spec: what a user would type for it.

    Raises:
        ConformanceError: a law is broken.
    """
    check_made(source)
    check_claims(source, spec)
    name = type(source).__name__
    with generators(21, name):
        shards = _shards(source)
        records = {shard: _read(source, shard) for shard in shards}
    _check_records(name, records)
    for how, other in {"made again": remade, "copied": copied, "sent to a worker": pickled}.items():
        _check_same(f"{name}, {how},", source, other(source), records)
    _check_same(f"{name}, read again,", source, source, records)
    _check_at_once(source, shards[0])
    for shard in shards:
        counted = called("count counts", f"{name}.count", "count what read yields", partial(source.count, shard))
        require(
            counted == len(records[shard]),
            "count counts",
            f"{name}.count({shard!r}) is {counted}, and read yields {len(records[shard])} records",
            "count rejected records too, or leave count as it is",
        )


def _shards(source: Source) -> list[str]:
    name = type(source).__name__
    shards = list(called("shards are listed", f"{name}.shards", "give it data that is there", source.shards))
    law = "shards are named once, in a fixed order"
    require(bool(shards), law, f"{name} has none", "raise LmiaError in shards() where there is nothing to read")
    require(all(isinstance(one, str) for one in shards), law, f"{name} has {shards}", "name shards by str")
    twice = [shard for shard, times in Counter(shards).items() if times > 1]
    require(not twice, law, f"{name} names {twice} more than once", "make the names tell them apart")
    return shards


def _read(source: Source, shard: str) -> list[Pair | Rejected]:
    what = f"{type(source).__name__}.read({shard!r})"
    return called("a record is read or rejected", what, "yield a Rejected instead", lambda: list(source.read(shard)))


def _check_records(name: str, records: dict[str, list[Pair | Rejected]]) -> None:
    every = [record for some in records.values() for record in some]
    for record in every:
        require(
            isinstance(record, Pair | Rejected),
            "records are Pair or Rejected",
            f"{name} yields {record!r}",
            "yield these",
        )
        require(
            isinstance(record.key, str) and bool(record.key),
            "records have a key",
            f"{name} yields {record!r:.80}",
            "give a text that names it",
        )
        _check_record(name, record)
    twice = [key for key, times in Counter(r.key for r in every if isinstance(r, Pair)).items() if times > 1]
    require(not twice, "keys are unique", f"{name} has {twice[:3]} more than once", "put the shard's name into the key")


def _check_record(name: str, record: Pair | Rejected) -> None:
    if isinstance(record, Rejected):
        right = isinstance(record.reason, str) and 0 < len(record.reason) <= _REASON and "\n" not in record.reason
        require(
            right,
            "reasons are short phrases",
            f"{name} rejects '{record.key}' for {record.reason!r}",
            f"take of a small set, up to {_REASON} letters and without the record's own data: the report counts them",
        )
        return
    types = isinstance(record.caption, str) and isinstance(record.image, bytes | Image.Image)
    url = record.url is None or isinstance(record.url, str)
    held = f"{type(record.caption).__name__}, {type(record.image).__name__}, {type(record.url).__name__}"
    require(
        types and url, "a pair is text and picture", f"'{record.key}' of {name} holds {held}", "give str, bytes, str"
    )


def _check_same(who: str, source: Source, other: Source, records: dict[str, list[Pair | Rejected]]) -> None:
    law, remedy = "readings are equal", "let nothing depend on what was read before, on time or on chance"
    with generators(22, who):
        require(_shards(other) == list(records), law, f"{who} lists {_shards(other)}", remedy)
        for shard, expected in records.items():
            found = _read(other, shard)
            same = [content(record) for record in found] == [content(record) for record in expected]
            require(same, law, f"{who} yields other records of {shard!r}", remedy)
            print_, again = source.fingerprint(shard), other.fingerprint(shard)
            require(
                isinstance(print_, str) and bool(print_) and print_ == again,
                "fingerprints stay",
                f"{who} has fingerprint {again!r} of {shard!r} instead of {print_!r}",
                "digest what the records depend on, and nothing else",
            )


def _check_at_once(source: Source, shard: str) -> None:
    """Read a shard while it is being read: workers and a second look at shown pairs do that."""
    first = source.read(shard)
    next(first, None)
    inside = [content(record) for record in source.read(shard)]
    rest = [content(record) for record in first]
    require(
        inside[1:] == rest,
        "readings are equal",
        f"two readings of {shard!r} of {type(source).__name__} at once disturb each other",
        "keep the place of a reading in read(), not in self",
    )


def content(record: Pair | Rejected) -> tuple[object, ...]:
    """Return what tells a record from another, pixels as bytes.

    Example:
        >>> content(Rejected("a", "no caption"))
        ('a', 'no caption')
    """
    if isinstance(record, Rejected):
        return record.key, record.reason
    image = record.image
    pixels = image if isinstance(image, bytes) else (image.mode, image.size, image.tobytes())
    return record.key, record.caption, pixels, record.url
