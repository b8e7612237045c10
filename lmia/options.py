"""Options: what a user sets of a thing, checked against the thing's own signature before anything is made."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from copy import deepcopy
from inspect import Parameter, signature
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentError, ArgumentParser

from lmia.errors import LmiaError, nearest
from lmia.settings import plain

Maker = Callable[..., object]
_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def names(maker: Maker) -> list[str]:
    """Name the options of a class or function.

    Example:
        >>> names(nearest)
        ['name', 'known']
    """
    return [name for name, parameter in signature(maker).parameters.items() if parameter.kind in _NAMED]


def checked(where: str, maker: Maker, given: Mapping[str, object]) -> dict[str, object]:
    """Return the options given with their values as `maker` types them: the word `0.5` becomes a number where it is one.

    Args:
        where: what the options are of, for a sentence.
        maker: whose parameters they are.
        given: words, numbers or lists of them, from flags or YAML.

    Raises:
        LmiaError: an option that there is not, or a value of the wrong type.

    Example:
        >>> def attack(k: int = 4, shares: list[float] = []) -> None: ...
        >>> checked("attack", attack, {"k": "8", "shares": "0.1,0.01"})
        {'k': 8, 'shares': [0.1, 0.01]}
        >>> checked("attack", attack, {"k": "many"})
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The option 'k' of the attack cannot be 'many'.
        It takes int.
    """
    known = names(maker)
    for name in given:
        if name not in known:
            raise LmiaError(f"The {where} has no option '{name}'.", nearest(name, known) if known else "It takes none.")
    return {name: _value(where, maker, name, value) for name, value in given.items()}


def _value(where: str, maker: Maker, name: str, value: object) -> object:
    if isinstance(value, Mapping) and "class_path" in value:
        return value  # a thing inside a thing, checked where it is named
    hint = _hint(maker, name)
    for attempt in (value, _listed(value)):
        parsed = _parsed(maker, name, attempt)
        if parsed is not _WRONG and not (parsed is None and not _optional(hint)):
            return parsed if parsed == plain(parsed) else attempt
    shown = "empty" if value is None else repr(plain(value))
    raise LmiaError(f"The option '{name}' of the {where} cannot be {shown}.", f"It takes {_takes(hint)}.")


_WRONG = object()


def _parsed(maker: Maker, name: str, value: object) -> object:
    """Let Lightning's own parser read one value, so that what passes here passes there."""
    parser = ArgumentParser(exit_on_error=False)
    others: set[str | int] = {other for other in signature(maker).parameters if other != name}
    add = parser.add_class_arguments if isinstance(maker, type) else parser.add_function_arguments
    add(maker, skip=others, fail_untyped=False)
    try:
        return parser.parse_object({name: deepcopy(value)})[name]  # it changes lists in place
    except ArgumentError:
        return _WRONG


def _listed(value: object) -> list[str]:
    """Take `0.01,0.001`, a lone value, or words with commas between them for a list."""
    words = value if isinstance(value, list) else [value]
    return [part.strip() for word in words for part in str(word).split(",") if part.strip()]


def _hint(maker: Maker, name: str) -> Any:  # noqa: ANN401 (an annotation may be anything)
    try:
        made = maker.__init__ if isinstance(maker, type) else maker  # type: ignore[misc]
        return get_type_hints(made).get(name, Any)
    except (NameError, TypeError):  # a name that its author imports for the type checker alone
        return signature(maker).parameters[name].annotation


def _optional(hint: Any) -> bool:  # noqa: ANN401
    return hint in (None, type(None), Any, object) or isinstance(hint, str) or any(map(_optional, _choices(hint)))


def _choices(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()


def _takes(hint: Any) -> str:  # noqa: ANN401
    """Say a type to a person: `int or empty`, `'mlp' or 'linear'`, `a list of float`."""
    if choices := _choices(hint):
        return " or ".join(map(_takes, choices))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if hint is type(None):
        return "nothing (null)"
    if get_origin(hint) and (inner := [arg for arg in get_args(hint) if arg is not Ellipsis]):
        return f"a list of {_takes(inner[-1])}"
    return getattr(hint, "__name__", str(hint))
