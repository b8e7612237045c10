"""What is altered between two stocks of an audit, in words that name it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from lmia.report.visible import visible
from lmia.stock import Parts, Tree

LONGEST = 60
"""Characters of a value that are shown."""
DEEPEST = 20
"""Levels of a value that are told apart; what lies deeper is shown as one."""
_NONE = object()


def differences(sealed: Parts, now: Parts) -> list[str]:
    """Name what differs: settings with both values, data by role, models, the rule, versions; nothing where all agree.

    Example:
        >>> one = Parts({"seed": 0}, {}, {"target": "a"}, {}, {"lmia": "1"})
        >>> differences(one, Parts({"seed": 1}, {}, {"target": "b"}, {}, {"lmia": "2"}))
        ['config: seed was 0, is 1', 'weights: target', 'version: lmia was "1", is "2"']
    """
    say: Mapping[str, Callable[[Tree, Tree], list[str]]] = {"data": _roles, "weights": _others, "rule": _judging}
    old, new = sealed.digests, now.digests
    found = []
    for name in (name for name in old if old[name] != new[name]):
        words = say.get(name, _values)(getattr(sealed, name), getattr(now, name))
        found.append(visible(f"{name}: {', '.join(words)}") if words else name)
    return found


def _values(old: Tree, new: Tree) -> list[str]:
    was, now = _flat(old), _flat(new)
    keys = [key for key in {**was, **now} if _shown(was.get(key, _NONE)) != _shown(now.get(key, _NONE))]
    return [f"{key} was {_short(was.get(key, _NONE))}, is {_short(now.get(key, _NONE))}" for key in keys]


def _roles(old: Tree, new: Tree) -> list[str]:
    return [f"{role}{_counts(old.get(role), new.get(role))}" for role in _others(old, new)]


def _counts(old: object, new: object) -> str:
    if {"file"} & {key for one in (old, new) if isinstance(one, Mapping) for key in one}:
        return " (another file)" if old and new else " (a file, and none)"
    was, now = (one.get("records") if isinstance(one, Mapping) else 0 for one in (old, new))
    return f" ({_short(was)} records, now {_short(now)})" if was != now else " (as many records, but others)"


def _judging(old: Tree, new: Tree) -> list[str]:
    was, now = ({key: value for key, value in tree.items() if key != "text"} for tree in (old, new))
    return [*_values(was, now), *(["its text"] if old.get("text") != new.get("text") else [])]


def _others(old: Tree, new: Tree) -> list[str]:
    return [key for key in {**old, **new} if _shown(old.get(key, _NONE)) != _shown(new.get(key, _NONE))]


def _flat(tree: object, where: str = "", levels: int = DEEPEST) -> dict[str, object]:
    """Give every value its dotted key: `plugin[0].init_args.lam`."""
    if not levels or not tree:
        return {where: tree}
    if isinstance(tree, Mapping):
        inner = [(f"{where}.{key}".lstrip("."), value) for key, value in tree.items()]
    elif isinstance(tree, list):
        inner = [(f"{where}[{i}]", value) for i, value in enumerate(tree)]
    else:
        return {where: tree}
    return {key: value for place, item in inner for key, value in _flat(item, place, levels - 1).items()}


def _shown(value: object) -> str:
    return "not set" if value is _NONE else json.dumps(value, sort_keys=True)


def _short(value: object) -> str:
    text = _shown(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
