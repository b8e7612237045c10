"""OpenCLIP models as targets: by architecture and tag, by checkpoint file, from the hub, or from a folder."""

from __future__ import annotations

from lmia import Target, hookimpl
from lmia_openclip.target import OpenCLIP


@hookimpl
def lmia_targets() -> list[type[Target]]:
    """Return the one target of this plugin."""
    return [OpenCLIP]
