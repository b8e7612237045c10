"""The laws of everything that a plugin brings: typed and documented arguments, plain settings, made again the same."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import TypeVar, cast, get_type_hints

from jsonargparse import ArgumentParser

from lmia.settings import Made, plain
from lmia.testing.laws import called, require

_ENTRY = re.compile(r"^ {4}(\w+)(?: \([^)]*\))?:\s*\S", re.MULTILINE)
_M = TypeVar("_M", bound=Made)


def check_made(thing: Made) -> None:
    """Check how a thing is made: its docstring, its `__init__`, its settings; the command line is made from them.

    Laws: the class has a docstring, which the lists show; every argument is annotated and described under `Args:`;
    there are no `*args` and no `**kwargs`; settings are plain values; the command line's parser makes the same thing
    from them; the class and its settings make the same thing again.

    Args:
        thing: an attack, a target, a set of views or a source.

    Raises:
        ConformanceError: a law is broken.

    Example:
        >>> from lmia.views import Identity
        >>> check_made(Identity())
    """
    cls = type(thing)
    _check_documented(cls)
    _check_settings(thing)
    _check_parsed(thing)
    again = remade(thing)
    require(
        again.settings == thing.settings,
        "equal arguments make equal settings",
        f"{cls.__name__} made from {thing.settings} has {again.settings}",
        "let __init__ leave the arguments it is given as they are",
    )


def _check_documented(cls: type[Made]) -> None:
    own = cls.__dict__.get("__doc__") or ""
    law = "a class is documented"
    require(bool(own.strip()), law, f"{cls.__name__} has no docstring", "give it one; its first line is in every list")
    if cls.__init__ is object.__init__:
        return
    hints = called(
        "arguments are typed",
        f"reading the annotations of {cls.__name__}.__init__",
        "import what they name at run time, not under TYPE_CHECKING",
        lambda: get_type_hints(cls.__init__),
    )
    described = set(_ENTRY.findall(inspect.getdoc(cls) or ""))
    for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        where = f"'{name}' of {cls.__name__}.__init__"
        named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        require(named, "arguments are typed", f"{where} takes any number", "name every argument")
        require(name in hints, "arguments are typed", f"{where} has no annotation", "annotate it: it becomes a flag")
        require(
            name in described,
            "arguments are documented",
            f"{where} is not described",
            f"write '{name}: what it is' under 'Args:' in the docstring of {cls.__name__}: it becomes the flag's help",
        )


def _check_settings(thing: Made) -> None:
    for name, value in thing.settings.items():
        require(
            is_plain(value),
            "settings are plain values",
            f"'{name}' of {type(thing).__name__} is {value!r}",
            "take numbers, texts, booleans, None, and lists or dicts of them: a config has to hold it",
        )


def is_plain(value: object) -> bool:
    """Whether YAML and JSON can hold a value as it is; a made thing is held by its class path and arguments.

    Example:
        >>> is_plain([1, {"a": None}]), is_plain(object())
        (True, False)
    """
    if isinstance(value, Made):
        return all(is_plain(item) for item in value.settings.values())
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _check_parsed(thing: Made) -> None:
    """Let the parser of the command line read the settings, and compare what it read."""
    cls, law, given = type(thing), "the command line can make it", plain(thing.settings)
    read = called(
        law,
        f"parsing the settings {given} of {cls.__name__}",
        "annotate the arguments with types that jsonargparse reads, such as int, float, str, bool, Literal, list[str]",
        lambda: _parse(cls, given),
    )
    require(
        read == given,
        law,
        f"the settings {given} of {cls.__name__} come out of the parser as {read}",
        "annotate the arguments with the types they have",
    )


def _parse(cls: type[Made], settings: object) -> object:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "it")
    return plain(parser.parse_object({"it": settings}).as_dict().get("it", {}))


def remade(thing: _M) -> _M:
    """Return a thing made anew from its class and its settings."""
    cls = type(thing)
    return called(
        "a thing is made again from its settings",
        f"{cls.__name__}(**{thing.settings})",
        "take in __init__ what settings hold",
        lambda: cls(**thing.settings),
    )


def copied(thing: _M) -> _M:
    """Return a deep copy."""
    law = "a thing can be copied"
    return called(
        law, f"deepcopy of {type(thing).__name__}", "keep no open files or locks in it", lambda: deepcopy(thing)
    )


def pickled(thing: _M) -> _M:
    """Return what a worker process would get."""
    return called(
        "a thing can be sent to a worker process",
        f"pickling {type(thing).__name__}",
        "keep no lambdas, open files or locks in it, and define its class and functions at a module's top",
        lambda: cast("_M", pickle.loads(pickle.dumps(thing))),
    )
