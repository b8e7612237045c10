"""The same pictures in several places: in the roles of an audit, and in the published index of a data set."""

from __future__ import annotations

from lmia.overlap.pictures import Pictures, exact, hashes, near, read, spread

__all__ = ["Pictures", "exact", "hashes", "near", "read", "spread"]
