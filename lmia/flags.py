"""What the user typed, before anything is known of plugins: words become flags, config files become one tree of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from jsonargparse import get_loader

from lmia.errors import LmiaError, nearest

Tree = dict[str, Any]

_MOST = 10_000
"""So many keys and values a config may have. A few anchors in anchors make more than any memory holds."""

ROLES = ("members", "nonmembers", "known_nonmembers", "known_members", "pool", "suspects")
TOP = (
    "trainer",
    "model",
    "data",
    "plugin",
    "placebo",
    "out",
    "fpr",
    "detect",
    "regime",
    "seal",
    "seed",
    "confidence",
    "show_pairs",
    "demo",
)
"""The keys of a config."""
SWITCHES = ("allow_overlap", "show_pairs", "demo", "print_config")
"""Flags that mean `true` where they stand without a value."""
SHORT = {"model": "model.target", "views": "model.views", "cache": "model.cache"} | {
    name: f"data.{name}"
    for name in (
        *ROLES,
        "batch",
        "workers",
        "max_pixels",
        "allow_overlap",
        "known_share",
        "cluster_by",
        "columns",
        "slice_by",
        "repeated",
    )
}
"""Flags that are short for a longer key."""
TRUTH = ("truth", "source")
"""Two flags that are short for members and non-members together: a manifest, and the source that it is of."""
FLAGS = sorted({*TOP, *SHORT, *TRUTH, "pretrained", "defence", "config", "help", "print_config"})


@dataclass(frozen=True)
class Flag:
    """A flag and the words that follow it.

    Args:
        name: without its dashes; a dash inside is an underscore.
        words: its values, as typed.
    """

    name: str
    words: Sequence[str]

    @property
    def path(self) -> str:
        """The config key it sets: `views.k` is `model.views.k`, and what the model does not have is its target's."""
        head, _, rest = self.name.partition(".")
        if head == "model" and rest and rest.partition(".")[0] not in ("target", "views", "cache"):
            return f"model.target.{rest}"
        if head == "model" and rest:
            return self.name
        return f"{SHORT.get(head, head)}.{rest}".rstrip(".")

    @property
    def typed(self) -> str:
        """The flag as one types it."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def text(self) -> str:
        """Its one value.

        Raises:
            LmiaError: it has none, or several.
        """
        if len(self.words) > 1:
            way_out = "If the shell has expanded a pattern, put it in quotes: '/data/{00000..00009}.tar'."
            if self.name == "plugin":
                way_out = f"Repeat the flag: {' '.join(f'--plugin {word}' for word in self.words)}."
            few = ", ".join(self.words[:3]) + (" ..." if len(self.words) > 3 else "")
            raise LmiaError(f"{self.typed} takes one value, got {len(self.words)}: {few}.", way_out)
        if not self.words or not self.words[0]:
            raise LmiaError(f"{self.typed} has no value.", f"Write {self.typed} VALUE.")
        return self.words[0]

    @property
    def value(self) -> object:
        """Its value for an option: a word, a list of words, or true for a switch. Types are the option's to know."""
        if not self.words and self.name.rpartition(".")[2] in SWITCHES:
            return True
        return list(self.words) if len(self.words) > 1 else self.text


def split(argv: Sequence[str]) -> list[Flag]:
    """Split words into flags with their values.

    Raises:
        LmiaError: a word stands before any flag.

    Example:
        >>> [(flag.path, flag.value) for flag in split(["--views.k=8", "--fpr", "0.1", "0.01", "--max-pixels", "9"])]
        [('model.views.k', '8'), ('fpr', ['0.1', '0.01']), ('data.max_pixels', '9')]
    """
    found: list[tuple[str, list[str]]] = []
    for word in argv:
        if word == "-c":
            found.append(("config", []))
        elif word.startswith("--") and len(word) > 2:
            name, mark, value = word[2:].partition("=")
            found.append((name.replace("-", "_"), [value] if mark else []))
        elif found:
            found[-1][1].append(word)
        else:
            raise LmiaError(f"'{word}' stands before any flag.", "Write --FLAG VALUE; `lmia audit --help` says which.")
    return [Flag(name, words) for name, words in found]


def configs(flags: Sequence[Flag]) -> Tree:
    """Read every `--config FILE` among the flags into one tree; later files go on top of earlier ones.

    Raises:
        LmiaError: a file cannot be read, is not YAML, or has a key that no config has.

    Example:
        >>> configs([])
        {'trainer': {}, 'model': {}, 'data': {}}
    """
    tree: Tree = {"trainer": {}, "model": {}, "data": {}}
    _merge(tree, read_config([flag.text for flag in flags if flag.name == "config"], TOP))
    if isinstance(tree["model"], str):  # as in `--model SPEC`
        tree["model"] = {"target": tree["model"]}
    for name in ("trainer", "model", "data"):
        tree[name] = tree[name] or {}
        if not isinstance(tree[name], dict):
            raise LmiaError(f"The config's key '{name}' holds no keys of its own: {tree[name]}.", "Write KEY: VALUE.")
    return tree


def read_config(paths: Sequence[str], known: Sequence[str]) -> Tree:
    """Read config files into one tree; later files go on top of earlier ones.

    Args:
        paths: of YAML files.
        known: the keys that a config may have.

    Raises:
        LmiaError: a file cannot be read, is not YAML, or has a key that no config has.

    Example:
        >>> read_config([], TOP)
        {}
    """
    tree: Tree = {}
    for path in paths:
        _merge(tree, _read(path, known))
    for name in tree:
        if name not in known:
            raise LmiaError(f"The config has no key '{name}'.", nearest(name, known))
    return tree


def _read(path: str, known: Sequence[str]) -> Tree:
    try:
        found = get_loader("yaml")(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LmiaError(f"The config {path} cannot be read: {error.strerror}.", "Give --config FILE.yaml.") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: no UTF-8, no number
        raise LmiaError(f"The config {path} is not YAML: {' '.join(str(error).split())}.", "Mend that line.") from error
    if not isinstance(found, dict):
        raise LmiaError(f"The config {path} holds no keys.", f"Known: {', '.join(known)}.")
    if _size(found) > _MOST:
        raise LmiaError(f"The config {path} says more than {_MOST:,} things.", "Write it without anchors in anchors.")
    return cast("Tree", {str(key): value for key, value in found.items()})


def _size(tree: object) -> int:
    """Count what is in a tree, up to a bit above `_MOST`: its anchors may hold each other, or themselves."""
    count, waiting = 0, [tree]
    while waiting and count <= _MOST:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            waiting += one
    return count


def _merge(tree: Tree, other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict) and "class_path" not in value:
            _merge(tree[key], value)
        else:
            tree[key] = value


def put(tree: Tree, path: str, value: object) -> None:
    """Set a dotted path; what is below a class goes into its init arguments, whether or not the path says so.

    Raises:
        LmiaError: the path leads through something that has no keys.

    Example:
        >>> tree = {"views": {"class_path": "Blur", "init_args": {"k": 4}}}
        >>> put(tree, "views.init_args.k", 8), put(tree, "data.batch", 2), tree
        (None, None, {'views': {'class_path': 'Blur', 'init_args': {'k': 8}}, 'data': {'batch': 2}})
    """
    *heads, last = [part for part in path.split(".") if part != "init_args"]
    place = _inside(tree)
    for head in heads:
        if place.get(head) is None:
            place[head] = {}
        if not isinstance(place[head], dict):
            raise LmiaError(f"There is no option --{path}: {head} is {place[head]!r}.", "Write --FLAG VALUE.")
        place = _inside(place[head])
    place[last] = value


def _inside(tree: Tree) -> Tree:
    return cast("Tree", tree.setdefault("init_args", {})) if "class_path" in tree else tree
