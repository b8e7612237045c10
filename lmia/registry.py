"""What is installed: attacks, targets, views, sources and defences by name, found through entry points and nothing else."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

import pluggy

from lmia import hookspecs
from lmia.attack import NEEDS, REQUIRES, Attack
from lmia.contained import contained
from lmia.defence import Defence
from lmia.errors import LmiaError, nearest
from lmia.source import Source
from lmia.sweeping import unswept
from lmia.target import Target
from lmia.views import Identity, Views

Kind = Literal["attack", "target", "views", "source", "defence"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_BASES: dict[Kind, type] = {"attack": Attack, "target": Target, "views": Views, "source": Source, "defence": Defence}
_HOOKS: dict[Kind, str] = {
    "attack": "lmia_attacks",
    "target": "lmia_targets",
    "views": "lmia_views",
    "source": "lmia_sources",
    "defence": "lmia_defences",
}


@dataclass(frozen=True)
class Plugin:
    """One thing that a distribution brings.

    Args:
        kind: what it is.
        name: its class name in lower case, the same in flags, YAML, Python and reports.
        cls: the class; None where the plugin is broken.
        distribution: who brings it.
        version: of the distribution.
        summary: the first line of its docstring, or why it is broken.
    """

    kind: Kind | Literal["broken"]
    name: str
    cls: type[Any] | None
    distribution: str
    version: str
    summary: str


class Registry:
    """All plugins of this environment. A broken one never stops the others: it is listed with its reason.

    Args:
        points: the entry points to load; those of the group `lmia` unless told.

    Example:
        >>> Registry([]).listing()[0].name
        'identity'
    """

    def __init__(self, points: Iterable[EntryPoint] | None = None) -> None:
        self.manager = pluggy.PluginManager(hookspecs.GROUP)
        self.manager.add_hookspecs(hookspecs)
        self._plugins: list[Plugin] = [_plugin("views", Identity, "lmia", "")]
        found = entry_points(group=hookspecs.GROUP) if points is None else points
        for point in sorted(found, key=lambda point: point.name):
            self._load(point)

    def _load(self, point: EntryPoint) -> None:
        distribution, version = (point.dist.name, point.dist.version) if point.dist else ("?", "?")
        try:
            with contained(f"The plugin '{point.name}'"), redirect_stdout(sys.stderr):  # a config may be printed there
                found = self._brought(point, distribution, version)
        except Exception as error:  # whatever a stranger's module raises
            self.manager.unregister(name=f"{distribution}:{point.name}")
            reason = " ".join(str(error).split()) or "no message"
            found = [Plugin("broken", point.name, None, distribution, version, f"{type(error).__name__}: {reason}")]
        self._plugins += found

    def _brought(self, point: EntryPoint, distribution: str, version: str) -> list[Plugin]:
        module = point.load()
        self.manager.register(module, name=f"{distribution}:{point.name}")
        self.manager.check_pending()
        self._check_hooks(module)
        return [
            _plugin(kind, cls, distribution, version)
            for kind, hook in _HOOKS.items()
            for cls in (getattr(module, hook)() if hasattr(module, hook) else ())
        ]

    def _check_hooks(self, module: object) -> None:
        """Refuse a module that does nothing, or whose hook would not be called for want of its mark."""
        heard = {caller.name for caller in self.manager.get_hookcallers(module) or ()}
        if unmarked := [name for name in dir(module) if hasattr(hookspecs, name) and name.startswith("lmia_")
                        and name not in heard]:  # fmt: skip
            raise TypeError(f"{unmarked[0]} lacks its mark @lmia.hookimpl")
        if not heard:
            raise TypeError("the module implements no hook; mark one with @lmia.hookimpl")

    def listing(self) -> Sequence[Plugin]:
        """List every plugin, by kind and name, the broken ones last."""
        order = {kind: i for i, kind in enumerate((*KINDS, "broken"))}
        return sorted(self._plugins, key=lambda plugin: (order[plugin.kind], plugin.name))

    def names(self, kind: Kind) -> list[str]:
        """Name what there is of a kind."""
        return sorted({plugin.name for plugin in self._plugins if plugin.kind == kind})

    def get(self, kind: Kind, name: str) -> type[Any]:
        """Return the class of that kind and name (a class name in any case, or a dotted class path's last part).

        Raises:
            LmiaError: nobody, or more than one distribution, brings it, or its plugin is broken.
        """
        wanted = _plain(name)
        found = [plugin for plugin in self._plugins if plugin.kind == kind and plugin.name == wanted]
        if len({plugin.cls for plugin in found}) > 1:
            owners = " and ".join(sorted(plugin.distribution for plugin in found))
            raise LmiaError(
                f"Two distributions bring {_a(kind)} called '{wanted}': {owners}.", "Uninstall one of them."
            )
        if found and found[0].cls is not None:
            return found[0].cls
        for plugin in self._plugins:
            if plugin.kind == "broken" and _plain(plugin.name) == wanted:
                raise LmiaError(
                    f"The plugin '{wanted}' of {plugin.distribution} {plugin.version} is broken: {plugin.summary}",
                    "Mend or uninstall it; `lmia plugins` lists what works.",
                )
        what = "set of views" if kind == "views" else kind
        raise LmiaError(f"No {what} is called '{name}'.", nearest(name, self.names(kind)))

    def claim(self, kind: Literal["target", "source"], spec: str) -> tuple[type[Any], dict[str, object]]:
        """Find the one class that claims `spec`, and its init arguments.

        Raises:
            LmiaError: none claims it, or several do.
        """
        claims = [
            (plugin.cls, args)
            for plugin in self.listing()
            if plugin.kind == kind and plugin.cls is not None and (args := self._claimed(plugin, spec)) is not None
        ]
        if len(claims) == 1:
            return claims[0]
        if claims:
            names = ", ".join(cls.__name__.lower() for cls, _ in claims)
            raise LmiaError(
                f"Several {kind}s claim '{spec}': {names}.", "Name one in a config: class_path and init_args."
            )
        remedy = _REMEDY[kind].format(names=", ".join(self.names(kind)))
        broken = [f"{one.name} of {one.distribution} ({one.summary})" for one in self._plugins if one.kind == "broken"]
        also = f" Broken, to be mended or uninstalled: {'; '.join(broken)}." if broken else ""
        raise LmiaError(f"No {kind} can read '{spec}'.", remedy + also)

    def _claimed(self, plugin: Plugin, spec: str) -> dict[str, object] | None:
        """Ask one class whether a spec is its own; one that cannot even say so is broken, and stops nobody."""
        try:
            return _init_args(plugin.cls.claims(spec)) if plugin.cls else None
        except LmiaError:
            raise
        except (Exception, SystemExit) as error:  # whatever a stranger's class raises
            reason = f"{type(error).__name__} in claims: {error}"
            self._plugins.remove(plugin)
            self._plugins.append(replace(plugin, kind="broken", cls=None, summary=reason))
            return None


def _init_args(claimed: object) -> dict[str, object] | None:
    if claimed is None:
        return None
    if isinstance(claimed, Mapping) and all(isinstance(name, str) for name in claimed):
        return dict(claimed)
    raise TypeError(f"it returned {type(claimed).__name__}, neither None nor init arguments by name")


_REMEDY = {
    "target": "Give an open_clip architecture with --pretrained, `hf-hub:ORG/NAME` or `local-dir:FOLDER`. Kinds: {names}.",
    "source": "Give tar shards, a .csv, .tsv, .jsonl or .parquet table, or a folder that exists. Kinds: {names}.",
}


def _a(kind: str) -> str:
    return {"attack": "an attack", "views": "views"}.get(kind, f"a {kind}")


def _plugin(kind: Kind, cls: object, distribution: str, version: str) -> Plugin:
    base = _BASES[kind]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise TypeError(f"{_HOOKS[kind]} must return subclasses of lmia.{base.__name__}, got {cls!r}")
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        raise TypeError(f"{cls.__name__} does not define {missing}")
    if issubclass(cls, Attack):
        for word, allowed in (("needs", NEEDS), ("requires", REQUIRES)):
            if unknown := set(getattr(cls, word)) - allowed:
                raise ValueError(f"{cls.__name__}.{word} holds {sorted(unknown)}, allowed are {sorted(allowed)}")
    summary = (inspect.getdoc(cls) or "").partition("\n")[0]
    return Plugin(kind, cls.__name__.lower(), cls, distribution, version, summary)


def _plain(name: str) -> str:
    """Case, dashes and underscores do not matter, and of a dotted class path only the last part does."""
    return name.rpartition(".")[2].lower().replace("-", "").replace("_", "")


@cache
def registry() -> Registry:
    """Return this environment's registry, loaded once.

    Example:
        >>> registry().get("views", "Identity").__name__
        'Identity'
    """
    with unswept():
        return Registry()
