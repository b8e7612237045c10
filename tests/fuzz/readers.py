"""Every reader of what comes from others, by name, and how many inputs it gets."""

from __future__ import annotations

from dataclasses import dataclass

from fuzz import files, pictures, sources, stored
from fuzz.contract import Feed


@dataclass(frozen=True)
class Reader:
    """One that reads what comes from others.

    Args:
        feed: writes an input.
        few: inputs in every run of the tests.
        many: inputs of a proof.
    """

    feed: Feed
    few: int = 100
    many: int = 10_000


READERS = {
    "tar": Reader(sources.tar),
    "table": Reader(sources.table),
    "folder": Reader(sources.folder),
    "images": Reader(pictures.images),
    "captions": Reader(pictures.captions),
    "config": Reader(files.config),
    "checkpoint": Reader(files.checkpoint),
    "model": Reader(files.model),
    "index": Reader(files.index),
    "membership": Reader(files.membership),
    "columns": Reader(files.columns),
    "run": Reader(stored.run),
    "key": Reader(stored.key),
    "seal": Reader(stored.seal),
    "store": Reader(stored.kept),
}
