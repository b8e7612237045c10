"""What users type, turned into things: one short word or path becomes a class path and its init arguments.

Flags, configs and Python go through here alike, so that `wsa`, `WSA` and `lmia_wsa.WSA` are one thing everywhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import Any, cast
from urllib.parse import parse_qsl

from lmia.attack import Attack
from lmia.defence import Defence
from lmia.errors import LmiaError, nearest
from lmia.listed import Listed
from lmia.registry import Kind, registry
from lmia.settings import class_path
from lmia.source import Sample, Source
from lmia.target import Target
from lmia.views import Views

Config = dict[str, Any]
"""`{"class_path": ..., "init_args": {...}}`, as Lightning's configs have it."""

_BASES: Mapping[Kind, type] = {"attack": Attack, "target": Target, "views": Views, "source": Source, "defence": Defence}
_PARTS: Mapping[Kind, Sequence[type]] = {"source": (Sample, Listed)}
"""The core's own classes that stand in reports."""
_ACTS = ("allow_pipe", "keep", "cache_dir")
"""Options of what is installed that run a command, or say where to write."""
_DEEPEST = 8
_NUMBER = re.compile("[0-9]{1,18}")


def source_config(spec: str) -> Config:
    """Return the config of the source that claims `spec`; `SPEC?n=3000&seed=0` is a sample of it.

    Example:
        >>> source_config("nothing.tar?n=x")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The sample 'n=x' is not a number.
        Write SPEC?n=3000&seed=0.
    """
    place, mark, query = spec.rpartition("?")
    wanted = dict(parse_qsl(query, keep_blank_values=True)) if mark else {}
    if not wanted or wanted.keys() - {"n", "seed"}:
        return _config(*registry().claim("source", spec))
    for name, value in wanted.items():
        if not _NUMBER.fullmatch(value):
            raise LmiaError(f"The sample '{name}={value:.40}' is not a number.", "Write SPEC?n=3000&seed=0.")
    if "n" not in wanted:
        raise LmiaError(f"'{spec}' names a seed but no n.", "Write SPEC?n=3000&seed=0.")
    inner = _config(*registry().claim("source", place))
    return _config(Sample, {"source": inner, **{name: int(value) for name, value in wanted.items()}})


def target_config(spec: str, pretrained: str | None = None) -> Config:
    """Return the config of the target that claims `spec`, with the weights `pretrained` names, if any.

    `demo` is the embedded demo's model, wherever it is installed, and `demo,random` its architecture untrained.
    """
    word, _, weights = spec.partition(",")
    if word == "demo":
        spec, pretrained = _demo_model(), pretrained or weights or None
    cls, args = registry().claim("target", spec)
    if pretrained is not None:
        if "pretrained" not in signature(cls).parameters:
            raise LmiaError(f"'{spec}' takes no --pretrained, got '{pretrained}'.", "Leave --pretrained out.")
        args = {**args, "pretrained": pretrained}
    return _config(cls, args)


def _demo_model() -> str:
    """Return the spec of the embedded demo's model."""
    specs = registry().manager.hook.lmia_demo()
    if not specs:
        raise LmiaError("No demo is installed, so there is no model 'demo'.", "pip install 'lmia[demo]'")
    return str(specs["model"])


def views_config(name: str) -> Config:
    """Return the config of an augmentation set by name.

    Example:
        >>> views_config("identity")
        {'class_path': 'lmia.views.Identity', 'init_args': {}}
    """
    return _config(registry().get("views", name), {})


def attack_configs(name: str) -> list[Config]:
    """Return the configs of an attack by name: `wsa`, `wsa:bench`, or every preset where the plain name stands for all."""
    plain, _, preset = name.partition(":")
    cls: type[Attack] = registry().get("attack", plain)
    if preset and preset not in cls.presets:
        raise LmiaError(f"The attack '{plain}' has no preset '{preset}'.", nearest(preset, cls.presets))
    if preset:
        return [_config(cls, dict(cls.presets[preset]))]
    if cls.together:
        return [_config(cls, dict(args)) for args in cls.presets.values()]
    return [_config(cls, {})]


def defence_config(name: str) -> Config:
    """Return the config of a defence by name."""
    return _config(registry().get("defence", name), {})


def find(kind: Kind, path: str) -> type[Any]:
    """Return the class that a name (`wsa`, `WSA`) or a full class path (`lmia_wsa.WSA`, `my_package.Mine`) stands for.

    Raises:
        LmiaError: there is no such name, or the path leads to nothing, or to something of another kind.

    Example:
        >>> find("source", "lmia.source.Sample").__name__
        'Sample'
        >>> find("source", "lmia.source.Smaple")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The class path 'lmia.source.Smaple' leads nowhere: module 'lmia.source' has no ...
    """
    module, dot, name = path.rpartition(".")
    if not dot:
        return registry().get(kind, path)
    remedy = f"Write an importable class path, or a name. {nearest(name, registry().names(kind))}"
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise LmiaError(f"The class path '{path}' leads nowhere: {error}.", remedy) from error
    if not (isinstance(found, type) and issubclass(found, _BASES[kind])):
        raise LmiaError(f"The class path '{path}' leads to no lmia.{_BASES[kind].__name__}: {found!r}.", remedy)
    return found


def build(kind: Kind, config: Mapping[str, object]) -> object:
    """Make a thing from its config.

    Example:
        >>> type(build("views", views_config("Identity"))).__name__
        'Identity'
    """
    args = dict(cast("Mapping[str, object]", config.get("init_args", {})))
    made = {k: build(kind, v) if isinstance(v, Mapping) and "class_path" in v else v for k, v in args.items()}
    thing: object = find(kind, str(config["class_path"]))(**made)
    return thing


def oversteps(kind: Kind, config: Mapping[str, object], depth: int = 0) -> str | None:
    """Say what a stranger's config asks for beyond looking at pairs with what is installed, if anything; nothing is imported.

    Example:
        >>> oversteps("source", {"class_path": "antigravity.Source"})
        "the source 'antigravity.Source', which is no class of an installed plugin"
        >>> oversteps("views", views_config("Identity")) is None
        True
    """
    path, args = str(config.get("class_path")), config.get("init_args", {})
    if path not in _brought(kind):
        return f"the {kind} '{path:.80}', which is no class of an installed plugin"
    if depth > _DEEPEST or not isinstance(args, Mapping):
        return f"init_args of '{path}' that no audit writes"
    if acts := next((name for name in _ACTS if args.get(name)), None):
        return f"{acts} = {args[acts]!r:.80} of '{path}'"
    inner = (value for value in args.values() if isinstance(value, Mapping) and "class_path" in value)
    return next(filter(None, (oversteps(kind, value, depth + 1) for value in inner)), None)


def _brought(kind: Kind) -> set[str]:
    """List the class paths of a kind that need no trust beyond that in what is installed."""
    found = [plugin.cls for plugin in registry().listing() if plugin.kind == kind and plugin.cls]
    return {class_path(cls) for cls in (*found, *_PARTS.get(kind, ()))}


def source(spec: str) -> Source:
    """Return the source that reads `spec`, as `--members SPEC` does."""
    return cast("Source", build("source", source_config(spec)))


def target(spec: str, pretrained: str | None = None) -> Target:
    """Return the target that `spec` names, as `--model SPEC --pretrained TAG` does."""
    return cast("Target", build("target", target_config(spec, pretrained)))


def views(name: str) -> Views:
    """Return an augmentation set by name, as `--views NAME` does.

    Example:
        >>> list(views("identity").views())
        ['identity']
    """
    return cast("Views", build("views", views_config(name)))


def attacks(names: Sequence[str]) -> list[Attack]:
    """Return attacks by name, as `--plugin NAME` does; a name may stand for several."""
    return [cast("Attack", build("attack", config)) for name in names for config in attack_configs(name)]


def attack_names(attacks: Sequence[Attack]) -> list[str]:
    """Name attacks as reports do: class, preset where the settings are one's, and a number where that is not enough.

    Raises:
        LmiaError: the same attack with the same settings stands there twice.

    Example:
        >>> attack_names([])
        []
    """
    seen = [(type(attack), attack.settings) for attack in attacks]
    names = [_name(attack) for attack in attacks]
    for i, one in enumerate(seen):
        if one in seen[:i]:
            raise LmiaError(f"The attack '{names[i]}' is asked for twice.", "Give one of them other settings.")
    total = Counter(names)
    count: Counter[str] = Counter()
    for i, name in enumerate(names):
        count[name] += 1
        if total[name] > 1 and count[name] > 1:
            names[i] = f"{name}#{count[name]}"
    return names


def _name(attack: Attack) -> str:
    cls = type(attack)
    name = cls.__name__.lower()
    defaults = {key: p.default for key, p in signature(cls.__init__).parameters.items() if key != "self"}
    for preset, args in cls.presets.items():
        if attack.settings == {**defaults, **args} and (cls.together or attack.settings != defaults):
            return f"{name}:{preset}"
    return name


def _config(cls: type, args: Mapping[str, object]) -> Config:
    return {"class_path": class_path(cls), "init_args": dict(args)}
