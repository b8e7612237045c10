"""WSA, the weakly supervised attack of Ko et al. (ICCV 2023, arXiv 2310.00108)."""

from __future__ import annotations

from lmia import Attack, hookimpl
from lmia_wsa.attack import WSA

__all__ = ["WSA", "lmia_attacks"]


@hookimpl
def lmia_attacks() -> list[type[Attack]]:
    """Return the one attack of this plugin."""
    return [WSA]
