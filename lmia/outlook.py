"""What an audit will be able to see, said before the model is run: by counts of records, before any is read."""

from __future__ import annotations

from lmia import roles
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.evidence.power import spoken
from lmia.source import Source, expected, reader_of

COUNTED = 8
"""Shards whose records are counted; from so many on, the others are taken to hold as many on average."""


def outlook(data: AuditData, detect: float, attacks: int = 1) -> str:
    """Say in a sentence what about so many pairs can show; nothing where they cannot be counted without reading them.

    Args:
        data: the roles.
        detect: the AUC that the audit is to be able to see.
        attacks: how many are tried.

    Example:
        >>> outlook(AuditData(), 0.51)
        ''
    """
    given = data.given()
    first, second = ("members", "nonmembers") if "members" in given else ("suspects", "known_nonmembers")
    if first not in given or second not in given:
        return ""
    try:
        m, n = _count(given[first]), _count(given[second])
    except (LmiaError, OSError):  # extraction will say it
        return ""
    if m is None or n is None:
        return ""
    if first == "suspects":
        n = round(n * roles.CALIBRATION_SHARE)
    else:
        left = 1.0 if "pool" in given else 1 - roles.POOL_SHARE
        m, n = round(m * left), round(n * left * (1.0 if "known_nonmembers" in given else 1 - roles.KNOWN_SHARE))
    if not m or not n:
        return ""
    said = spoken(m, n, detect, attacks=attacks)
    return f"Before anything is read: {said[:1].lower()}{said[1:]}"


def _count(source: Source) -> int | None:
    """Count a source's records, or estimate it from its first shards; None where that would be to read them."""
    reader = reader_of(source)
    far = any("://" in shard or shard.startswith("pipe:") for shard in reader.shards())
    if far or type(reader).count is Source.count:
        return None
    shards = source.shards()
    some = [reader.count(shard) for shard in shards[:COUNTED]]
    return expected(source, round(sum(some) / max(1, len(some)) * len(shards)))
