"""Keys of pairs: unique, so that a row of one file is found in another."""

from __future__ import annotations

from collections.abc import Sequence


def unique_keys(keys: Sequence[str]) -> list[str]:
    """Make keys unique by numbering the later ones: two shards may use the same key.

    Example:
        >>> unique_keys(["a", "b", "a"])
        ['a', 'b', 'a#2']
    """
    seen: dict[str, int] = {}
    taken = set(keys)
    found = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        name = key
        while seen[key] > 1 and (name == key or name in taken):
            name = f"{key}#{seen[key]}"
            seen[key] += name in taken
        taken.add(name)
        found.append(name)
    return found
