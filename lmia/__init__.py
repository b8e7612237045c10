"""Audit CLIP-like models for what they were trained on.

Everything public is here by name; nothing heavy is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmia.attack import Attack, Batch
    from lmia.audit import run_audit
    from lmia.defence import Defence
    from lmia.errors import LmiaError, NothingToLearn
    from lmia.evidence import Estimate
    from lmia.hookspecs import hookimpl
    from lmia.report import AuditReport
    from lmia.samples import Known, Samples, TargetFacts
    from lmia.source import Pair, Rejected, Source
    from lmia.target import Target
    from lmia.trainable import Trainable
    from lmia.views import View, Views

__version__ = "0.1.0"

_HOMES = {
    "Attack": "attack",
    "AuditReport": "report",
    "Batch": "attack",
    "Defence": "defence",
    "Estimate": "evidence",
    "Known": "samples",
    "LmiaError": "errors",
    "NothingToLearn": "errors",
    "Pair": "source",
    "Rejected": "source",
    "Samples": "samples",
    "Source": "source",
    "Target": "target",
    "TargetFacts": "samples",
    "Trainable": "trainable",
    "View": "views",
    "Views": "views",
    "hookimpl": "hookspecs",
    "run_audit": "audit",
}

__all__ = [
    "Attack",
    "AuditReport",
    "Batch",
    "Defence",
    "Estimate",
    "Known",
    "LmiaError",
    "NothingToLearn",
    "Pair",
    "Rejected",
    "Samples",
    "Source",
    "Target",
    "TargetFacts",
    "Trainable",
    "View",
    "Views",
    "__version__",
    "hookimpl",
    "run_audit",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"lmia.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'lmia' has no attribute '{name}'")
