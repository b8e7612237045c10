"""The laws of `claims`, which sources and targets share."""

from __future__ import annotations

from functools import partial

from lmia.settings import plain
from lmia.source import Source
from lmia.target import Target
from lmia.testing.laws import called, require

NONSENSE = ("", "?", "lmia no such thing", "no-such-scheme://x/y", "\x00")
"""Specs that are nobody's."""


def check_claims(thing: Source | Target, spec: str | None = None) -> None:
    """Check that a class claims its own spec, and lets nonsense be.

    Args:
        thing: a source or a target.
        spec: what a user would type for it.

    Raises:
        ConformanceError: it claims nonsense, raises over it, or makes another thing of its own spec.
    """
    cls = type(thing)
    law = "a spec has one owner"
    for other in NONSENSE:
        told = f"{cls.__name__}.claims({other!r})"
        claimed = called("claims never raises", told, "return None", partial(cls.claims, other))
        require(claimed is None, law, f"{told} is {claimed}", "return None for what is not plainly yours")
    if spec is None:
        return
    args = cls.claims(spec)
    require(args is not None, law, f"{cls.__name__}.claims({spec!r}) is None", "return init arguments")
    law, made = "claims returns init arguments", f"{cls.__name__}(**{args})"
    again = called(law, made, "return them by name", lambda: cls(**(args or {})))
    require(
        plain(again.settings) == plain(thing.settings),
        law,
        f"{cls.__name__}.claims({spec!r}) makes {again.settings} instead of {thing.settings}",
        "return what __init__ takes for that spec",
    )
