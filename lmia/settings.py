"""Things remember how they were made, so that a report can say it, a config replay it and a cache key hold it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from importlib.metadata import packages_distributions, version
from typing import Self


class Made:
    """Base of everything a plugin brings: keeps the arguments it was made with, defaults included.

    Example:
        >>> class Blur(Made):
        ...     def __init__(self, k: int = 4) -> None:
        ...         self.kernels = k
        >>> Blur(k=2).settings, Blur().settings
        ({'k': 2}, {'k': 4})
    """

    def __new__(cls, *args: object, **kwargs: object) -> Self:  # noqa: D102 (records, nothing to call)
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(None, *args, **kwargs)
        except TypeError:  # a copy is made without arguments, and gets its state afterwards
            return self
        bound.apply_defaults()
        object.__setattr__(self, "_made", dict(list(bound.arguments.items())[1:]))
        return self

    def __init__(self) -> None:
        super().__init__()  # without it, a class with no __init__ of its own would swallow any argument

    @property
    def settings(self) -> dict[str, object]:
        """The arguments of `__init__` as given, defaults filled in."""
        return dict(self.__dict__.get("_made", {}))


def options(cls: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class's `__init__` by name: what it can be made with.

    Example:
        >>> options(Made)
        {}
    """
    return {name: p for name, p in inspect.signature(cls.__init__).parameters.items() if name != "self"}  # type: ignore[misc]


def class_path(cls: type) -> str:
    """Return `module.Class`, as a config names it.

    Example:
        >>> class_path(Made)
        'lmia.settings.Made'
    """
    return f"{cls.__module__}.{cls.__qualname__}"


def plain(value: object) -> object:
    """Turn settings into what YAML and JSON can hold: a made thing becomes its class path and init arguments.

    Example:
        >>> plain({"a": (1, 2), "b": None})
        {'a': [1, 2], 'b': None}
    """
    if isinstance(value, Made):
        return {"class_path": class_path(type(value)), "init_args": plain(value.settings)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def digest(*parts: object) -> str:
    """Return 32 hexadecimal digits that change when any part does.

    Example:
        >>> digest("a", 1) == digest("a", 1) != digest("a", 2)
        True
    """
    text = json.dumps([plain(part) for part in parts], sort_keys=True, ensure_ascii=False)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def made_by(thing: object) -> str:
    """Name the distribution and version that a thing's class comes from: part of every cache key.

    Example:
        >>> made_by(Made()).split()[0]
        'lmia'
    """
    return _owner(type(thing).__module__.partition(".")[0])


@cache
def _owner(package: str) -> str:
    owners = sorted(set(packages_distributions().get(package, [])))
    return " ".join(f"{owner} {version(owner)}" for owner in owners) or package


def describe(thing: Made) -> str:
    """Say in one line what a thing is: its class and the arguments that differ from the defaults.

    Example:
        >>> class Tar(Made):
        ...     def __init__(self, urls: str, key: str = "txt") -> None: ...
        >>> describe(Tar("a.tar"))
        'tar: a.tar'
    """
    parameters = options(type(thing))
    own = {name: value for name, value in thing.settings.items() if value != parameters[name].default}
    required = {name for name in own if parameters[name].default is inspect.Parameter.empty}
    words = [_word(v) if name in required else f"{name}={_word(v)}" for name, v in own.items()]
    return f"{type(thing).__name__.lower()}: {', '.join(words)}".rstrip(": ")


def _word(value: object) -> str:
    return describe(value) if isinstance(value, Made) else str(value)
