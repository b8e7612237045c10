"""What the user asks for: flags and config files, merged into the one config dict that Lightning's parser gets.

The config file comes first wherever `--config` stands, flags go on top, and names and specs become class paths.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, cast

import yaml
from jsonargparse import get_loader
from lightning.pytorch import Trainer

from lmia.data import AuditData
from lmia.errors import LmiaError, nearest
from lmia.extract import FeatureExtractor
from lmia.registry import Kind, registry
from lmia.roles import check_given
from lmia.settings import class_path
from lmia.specs import attack_configs, source_config, target_config, views_config

Tree = dict[str, Any]

ROLES = ("members", "nonmembers", "known_nonmembers", "pool", "suspects")
SWITCHES = ("allow_overlap", "show_pairs", "demo")
_SHORT = {"model": "model.target", "views": "model.views", "cache": "model.cache"} | {
    name: f"data.{name}" for name in (*ROLES, "batch", "workers", "max_pixels", "allow_overlap")
}
TOP = (
    "trainer",
    "model",
    "data",
    "plugin",
    "out",
    "fpr",
    "seed",
    "confidence",
    "show_pairs",
    "demo",
    "seed_everything",
)
"""The keys of a config; `pretrained` and the target's own arguments are flags besides."""


def request(argv: Sequence[str]) -> Tree:
    """Turn the words behind `lmia audit` into a config with class paths, checked as far as nothing is made yet.

    Raises:
        LmiaError: a flag, key, name or spec is unknown, or the roles given make no audit.

    Example:
        >>> request(["--plugin", "nobody", "--members", "x"])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: No attack is called 'nobody'....
    """
    words = _words(argv)
    tree: Tree = {}
    for path in [text for name, values in words if name == "config" for text in values]:
        _merge(tree, _read(path))
    named = [name for name in tree if name not in TOP]
    if named:
        raise LmiaError(f"The config has no key '{named[0]}'.", nearest(named[0], TOP))
    flags = [word for word in words if word[0] != "config"]
    _plugins(tree, flags)
    pretrained = _others(tree, flags)
    return _resolved(tree, pretrained)


def _words(argv: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Split words into (flag, values); a dash within the first part of a flag is an underscore."""
    words: list[tuple[str, list[str]]] = []
    for word in argv:
        if word.startswith("--") and len(word) > 2:
            name, mark, value = word[2:].partition("=")
            head, dot, rest = name.partition(".")
            words.append((head.replace("-", "_") + dot + rest, [value] if mark else []))
        elif not words:
            raise LmiaError(
                f"'{word}' stands before any flag.", "Write --FLAG VALUE; `lmia audit --help` explains them."
            )
        else:
            words[-1][1].append(word)
    return words


def _read(path: str) -> Tree:
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = get_loader("yaml")(text)
    except OSError as error:
        raise LmiaError(f"The config {path} cannot be read: {error.strerror}.", "Give --config FILE.yaml.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise LmiaError(f"The config {path} is not YAML: {' '.join(str(error).split())}.", "Mend that line.") from error
    if not isinstance(found, dict):
        raise LmiaError(f"The config {path} holds no keys.", f"Known: {', '.join(TOP)}.")
    return cast("Tree", found)


def _merge(tree: Tree, other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict) and "class_path" not in value:
            _merge(tree[key], value)
        else:
            tree[key] = value


def _value(words: Sequence[str]) -> object:
    """Read a flag's words: `0.01 0.001`, `0.01,0.001` and `[0.01, 0.001]` are one list; a lone word is itself."""
    if len(words) == 1 and "," in words[0] and words[0][0] not in "[{":
        words = words[0].split(",")
    found = [_scalar(word) for word in words]
    return found[0] if len(found) == 1 else found


def _scalar(word: str) -> object:
    try:
        return json.loads(word)
    except ValueError:
        return yaml.safe_load(word) if word[:1] in ("[", "{") else word


def _one(name: str, words: Sequence[str]) -> str:
    flag = f"--{name.replace('_', '-')}"
    if len(words) > 1:
        raise LmiaError(
            f"{flag} takes one value, got {len(words)}: {', '.join(words[:3])} ...",
            "If the shell has expanded a pattern, put it in quotes: '/data/{00000..00009}.tar'.",
        )
    if not words or not words[0]:
        raise LmiaError(f"{flag} has no value.", f"Write {flag} VALUE.")
    return words[0]


def _plugins(tree: Tree, flags: Sequence[tuple[str, list[str]]]) -> None:
    """Apply `--plugin NAME` (replaces the config's list), `--plugin +NAME` (adds) and `--plugin.KEY VALUE` (the last)."""
    listed = tree.get("plugin") or []
    chosen = [config for item in (listed if isinstance(listed, list) else [listed]) for config in _attack(item)]
    fresh = False
    for name, words in flags:
        if name == "plugin":
            text = _one(name, words)
            if not text.startswith("+") and not fresh:
                chosen, fresh = [], True
            chosen += attack_configs(text.removeprefix("+"))
        elif name.startswith("plugin."):
            if not chosen:
                raise LmiaError(f"--{name} stands before any --plugin NAME.", "Name the attack first.")
            key = name.removeprefix("plugin.").removeprefix("init_args.")
            _same_class(chosen)
            _put(chosen[-1], key, _value(words))
    tree["plugin"] = chosen


def _same_class(chosen: list[Tree]) -> None:
    """Where the last name stood for several presets, an option of it means one attack with that option."""
    last = chosen[-1]["class_path"]
    while len(chosen) > 1 and chosen[-2]["class_path"] == last and not chosen[-1].get("own"):
        chosen.pop(-2)
    if not chosen[-1].get("own"):
        chosen[-1] = {"class_path": last, "init_args": {}, "own": True}


def _attack(item: object) -> list[Tree]:
    if isinstance(item, str):
        return attack_configs(item)
    if isinstance(item, Mapping) and "class_path" in item:
        return [_named("attack", item)]
    raise LmiaError(f"The config's plugin {item!r} is no attack.", "Write a name, or class_path and init_args.")


def _others(tree: Tree, flags: Sequence[tuple[str, list[str]]]) -> str | None:
    """Apply every other flag; return what --pretrained says."""
    pretrained = None
    for name, words in flags:
        head, dot, rest = name.partition(".")
        if head == "plugin":
            continue
        if name == "pretrained":
            pretrained = _one(name, words)
        elif name in ("model", *ROLES, "views", "cache", "out"):
            _put(tree, _SHORT.get(name, name), _spec(name, _one(name, words)))
        elif name in SWITCHES and not words:
            _put(tree, _SHORT.get(name, name), True)
        elif head in _SHORT and dot and head != "model":
            _put(tree, f"{_SHORT[head]}.{rest}", _value(words))
        elif head in _SHORT or head in TOP:
            _put(tree, _SHORT.get(name, name), _value(words) if words else _one(name, words))
        else:
            _of_target(tree, name, words)
    return pretrained


def _spec(name: str, text: str) -> str:
    if name == "model" and text.endswith((".yaml", ".yml")):
        raise LmiaError(f"--model takes a model, got the config {text}.", f"Write --config {text}.")
    return text


def _of_target(tree: Tree, name: str, words: Sequence[str]) -> None:
    """A flag that nobody knows may be an argument of the target (`--activation gelu`); that is settled with its class."""
    if "." in name:
        raise LmiaError(f"There is no option --{name}.", nearest(name.partition(".")[0], _all_flags()))
    tree.setdefault("_of_target", {})[name] = _value(words) if words else True


def _all_flags() -> list[str]:
    return sorted({*TOP, *_SHORT, "pretrained", "config", "help", "print_config"})


def _put(tree: Tree, path: str, value: object) -> None:
    """Set a dotted path; below a class, the path goes into its init arguments, and a spec becomes its class first."""
    *heads, last = path.split(".")
    trail = []
    for head in heads:
        trail.append(head)
        if not isinstance(tree.get(head), dict):
            tree[head] = _typed(".".join(trail), tree.get(head))
        tree = tree[head]
        if "class_path" in tree:
            tree = tree.setdefault("init_args", {})
    if "class_path" in tree and last not in ("class_path", "init_args"):
        tree = tree.setdefault("init_args", {})
    if last == "init_args" or (path.endswith("init_args")):
        raise LmiaError(f"--{path} has no key.", "Write the argument's name behind it.")
    tree[last] = value


def _typed(path: str, value: object) -> Tree:
    """Return the dict that stands at a path: a spec given as text becomes its class and arguments."""
    if isinstance(value, str):
        makers: dict[str, Callable[[str], Tree]] = {"model.target": target_config, "model.views": views_config}
        role = path.removeprefix("data.")
        if path in makers:
            return makers[path](value)
        if role in ROLES:
            return source_config(value)
    return {}


def _resolved(tree: Tree, pretrained: str | None) -> Tree:
    """Turn names and specs into class paths; take the demo where neither model nor data is given."""
    model, data = tree.setdefault("model", {}), tree.setdefault("data", {})
    own = tree.pop("_of_target", {})
    given = [role for role in ROLES if data.get(role) is not None]
    if model.get("target") is None and not given:
        if pretrained:
            raise LmiaError(f"--pretrained {pretrained} has no --model.", "Give --model ARCHITECTURE.")
        _demo(tree)
    elif model.get("target") is None:
        raise LmiaError(
            f"No model is given (given: {', '.join(given)}).", "Give --model SPEC, or no data for the demo."
        )
    if isinstance(model["target"], str):
        model["target"] = target_config(model["target"], pretrained)
    elif pretrained:
        model["target"].setdefault("init_args", {})["pretrained"] = pretrained
    model["target"] = _named("target", model["target"])
    _add_own(model["target"], own)
    if model.get("views") is None and any(_compares_views(config) for config in tree["plugin"]):
        model["views"] = "four-basic"
    if model.get("views") is not None:
        text = model["views"]
        model["views"] = _named("views", views_config(text) if isinstance(text, str) else text)
    for role in ROLES:
        if data.get(role) is not None:
            spec = data[role]
            data[role] = source_config(spec) if isinstance(spec, str) else _named("source", spec)
    check_given({role: data[role] for role in ROLES if data.get(role) is not None})
    tree["plugin"] = [_named("attack", config) for config in tree["plugin"]]
    _known(model, "model", FeatureExtractor)
    _known(data, "data", AuditData)
    _known(tree.get("trainer", {}), "trainer", Trainer)
    return tree


def _demo(tree: Tree) -> None:
    """Fill in the embedded demo's specs; what the user chose of views stands."""
    specs = registry().manager.hook.lmia_demo()
    if not specs:
        raise LmiaError("Neither a model nor data is given, and no demo is installed.", "pip install 'lmia[demo]'")
    tree["demo"] = True
    tree.setdefault("show_pairs", True)
    tree["data"] |= {role: spec for role, spec in specs.items() if role in ROLES}
    tree["model"]["target"] = specs["model"]
    tree["model"].setdefault("views", specs.get("views"))
    tree["plugin"] = tree["plugin"] or attack_configs("csa")


def _compares_views(config: Mapping[str, Any]) -> bool:
    name = str(config["class_path"])
    return (
        name.rpartition(".")[2].lower() in registry().names("attack")
        and "views" in registry().get("attack", name).requires
    )


def _add_own(target: Tree, own: Mapping[str, object]) -> None:
    allowed = list(signature(registry().get("target", target["class_path"])).parameters) if own else []
    for name, value in own.items():
        if name not in allowed:
            flag = name.replace("_", "-")
            raise LmiaError(f"There is no option --{flag}.", nearest(name, [*_all_flags(), *allowed]))
        target.setdefault("init_args", {})[name] = value


def _named(kind: Kind, config: Mapping[str, Any]) -> Tree:
    """Give a config its full class path, and check the names of its arguments."""
    if "class_path" not in config:
        raise LmiaError(f"A {kind} in the config has no class_path: {dict(config)}.", "Write class_path and init_args.")
    path, args = str(config["class_path"]), dict(config.get("init_args") or {})
    if path == "lmia.source.Sample":
        inner = args.get("source")
        made = _named("source", inner) if isinstance(inner, Mapping) else source_config(str(inner))
        return {"class_path": path, "init_args": {**args, "source": made}}
    try:
        cls = registry().get(kind, path)
    except LmiaError:
        if "." in path and "is broken" not in path:  # a class of the user's own, for Lightning's parser to import
            return {"class_path": path, "init_args": args}
        raise
    if "." in path and path.partition(".")[0] != cls.__module__.partition(".")[0]:
        return {"class_path": path, "init_args": args}
    _known(args, f"{kind} {cls.__name__.lower()}", cls)
    return {"class_path": class_path(cls), "init_args": args}


def _known(given: Mapping[str, object], where: str, cls: type) -> None:
    allowed: Iterable[str] = signature(cls).parameters
    for name in given:
        if name not in allowed:
            raise LmiaError(f"The {where} has no option '{name}'.", nearest(name, allowed))
