"""The hooks a plugin may implement. Declaring hooks return classes and have no side effects; one hook is an event.

A plugin is a module that an entry point of the group `lmia` names:

    [project.entry-points.lmia]
    margin = "lmia_margin"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from lmia.attack import Attack
    from lmia.defence import Defence
    from lmia.report import AuditReport
    from lmia.source import Source
    from lmia.target import Target
    from lmia.views import Views

GROUP = "lmia"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def lmia_attacks() -> Iterable[type[Attack]]:  # type: ignore[empty-body]
    """Return attack classes."""


@hookspec
def lmia_targets() -> Iterable[type[Target]]:  # type: ignore[empty-body]
    """Return target classes."""


@hookspec
def lmia_views() -> Iterable[type[Views]]:  # type: ignore[empty-body]
    """Return augmentation-set classes."""


@hookspec
def lmia_sources() -> Iterable[type[Source]]:  # type: ignore[empty-body]
    """Return source classes."""


@hookspec
def lmia_defences() -> Iterable[type[Defence]]:  # type: ignore[empty-body]
    """Return defence classes."""


@hookspec(firstresult=True)
def lmia_demo() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return the embedded demo's specs: `model`, `views`, and the roles `members`, `nonmembers`, `known_nonmembers`, `pool`."""


@hookspec
def lmia_audit_finished(report: AuditReport, out: Path) -> None:
    """React to a finished audit: write another format, send it somewhere. `report.json` already lies in `out`."""
