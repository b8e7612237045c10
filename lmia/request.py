"""What the user asks for: flags and config files become the one config that Lightning's parser gets.

Config files come first wherever `--config` stands. Then flags name things (model, data, views, attacks), the demo fills
in where nothing is named, flags set options of what was named, and everything is checked. Nothing heavy is made yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

from lightning.pytorch import Trainer

from lmia import options
from lmia.audit import run_audit
from lmia.data import AuditData
from lmia.errors import LmiaError, nearest
from lmia.extract import FeatureExtractor
from lmia.flags import FLAGS, ROLES, TOP, TRUTH, Flag, Tree, configs, put, split
from lmia.listed import Listed
from lmia.registry import Kind, registry
from lmia.roles import check_given
from lmia.settings import class_path
from lmia.specs import attack_configs, defence_config, find, source_config, target_config, views_config

Named = tuple[str, str, Kind, Callable[[str], Any]]

NAMED: tuple[Named, ...] = (
    ("model", "target", "target", target_config),
    ("model", "views", "views", views_config),
    *(("data", role, "source", source_config) for role in ROLES),
)
"""Where a config holds a thing that is named by a word: section, key, kind, and what turns the word into a class."""
VIEWS = "four-basic"
"""What an attack that compares views gets where none are named."""
SIDES = {"members": "in", "nonmembers": "out"}
"""Which side of a manifest each role is."""


def request(argv: Sequence[str]) -> Tree:
    """Turn the words behind `lmia audit` into a config with class paths, checked as far as nothing is made yet.

    Raises:
        LmiaError: a flag, key, name, spec or value is wrong, or the roles given make no audit.

    Example:
        >>> request(["--plugin", "nobody", "--members", "x"])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: No attack is called 'nobody'....
    """
    flags = split(argv)
    tree = configs(flags)
    tree["plugin"] = _attacks(tree.get("plugin"), flags)
    tree["placebo"] = _placebos(tree.get("placebo"), flags)
    tree["model"]["defence"] = defences(tree["model"].get("defence"), flags)
    _leave_demo(tree, flags)
    _truth(tree, flags)
    _name(tree, flags)
    _complete(tree)
    _set_options(tree, flags)
    return _checked(tree)


def _attacks(listed: object, flags: Sequence[Flag]) -> list[Tree]:
    """List the attacks: those of the config, replaced by `--plugin NAME`, added to by `--plugin +NAME`.

    A name may stand for several attacks (`aea`); an option that follows it then makes it one attack with that option.
    """
    items = listed if isinstance(listed, list) else [listed] if listed else []
    groups: list[list[Any]] = [attack_configs(item) if isinstance(item, str) else [item] for item in items]
    replaced = False
    for flag in flags:
        if flag.name == "plugin":
            if not flag.text.startswith("+") and not replaced:
                groups, replaced = [], True
            groups.append(attack_configs(flag.text.removeprefix("+")))
        elif flag.name.startswith("plugin."):
            if not groups:
                raise LmiaError(f"{flag.typed} stands before any --plugin NAME.", "Name the attack first.")
            if len(groups[-1]) > 1:
                groups[-1] = [{"class_path": groups[-1][0]["class_path"], "init_args": {}}]
            put(groups[-1][0], flag.name.removeprefix("plugin."), flag.value)
    return [attack for group in groups for attack in group]


def _placebos(listed: object, flags: Sequence[Flag]) -> list[Any]:
    """List the placebos: those of the config, replaced by `--placebo SPEC`, which may come again and again."""
    named = [flag.text for flag in flags if flag.name == "placebo"]
    if odd := [flag for flag in flags if flag.name.startswith("placebo.")]:
        raise LmiaError(
            f"{odd[0].typed} sets nothing.", "Write the placebo as one word, such as ViT-B-32,openai, or in a --config."
        )
    items: list[Any] = named or (listed if isinstance(listed, list) else [listed] if listed else [])
    return [target_config(item) if isinstance(item, str) else item for item in items]


def defences(listed: object, flags: Sequence[Flag]) -> list[Any]:
    """List the configs of defences: those of a config, replaced by `--defence NAME`, which may come again and again.

    Raises:
        LmiaError: there is no such defence, or an option stands before any name.

    Example:
        >>> defences([], split(["--defence", "rounding", "--defence.digits", "1"]))
        [{'class_path': 'lmia_defences.rounding.Rounding', 'init_args': {'digits': '1'}}]
    """
    items = listed if isinstance(listed, list) else [listed] if listed else []
    found: list[Any] = [defence_config(item) if isinstance(item, str) else item for item in items]
    replaced = False
    for flag in flags:
        if flag.name == "defence":
            found = [*(found if replaced else []), defence_config(flag.text)]
            replaced = True
        elif flag.name.startswith("defence."):
            if not found:
                raise LmiaError(f"{flag.typed} stands before any --defence NAME.", "Name the defence first.")
            put(found[-1], flag.name.removeprefix("defence."), flag.value)
    return found


def _leave_demo(tree: Tree, flags: Sequence[Flag]) -> None:
    """Leave behind what a replayed demo chose, where a model or data of one's own is named.

    Its lot says nothing of another model; and its roles and its showing of pictures are for nobody's own data.
    """
    named = {flag.path for flag in flags} | {f"data.{flag.name}" for flag in flags if flag.name in TRUTH}
    own = [path for path in named if path in {f"data.{role}" for role in (*ROLES, *TRUTH)}]
    if not own and "model.target" not in named:
        return
    was, tree["demo"] = tree.get("demo"), False
    if was:
        tree.pop("regime", None)
    if was and own:
        tree.pop("show_pairs", None)
        tree["data"] = {key: value for key, value in tree["data"].items() if key not in ROLES}


def _truth(tree: Tree, flags: Sequence[Flag]) -> None:
    """Make both roles of `--truth FILE --source SPEC`: one source, seen from either side of the manifest."""
    given = {name: [flag for flag in flags if flag.name == name] for name in TRUTH}
    if not any(given.values()):
        if odd := [flag for flag in flags if flag.name.partition(".")[0] in TRUTH]:
            raise LmiaError(f"{odd[0].typed} sets nothing.", "Give --truth FILE and --source SPEC first.")
        return
    for name, some in given.items():
        if not some:
            there = next(flag for one in given.values() for flag in one)
            other = "the pairs that it is of" if name == "source" else "which of them were in"
            raise LmiaError(f"{there.typed} {there.text} stands alone.", f"Give --{name} as well: {other}.")
        if len(some) > 1:
            raise LmiaError(f"--{name} is given {len(some)} times.", "Give it once.")
    if beside := [flag for flag in flags if flag.name in ("members", "nonmembers", "suspects")]:
        problem = f"--truth says who is a member, and so does {beside[0].typed}."
        raise LmiaError(problem, "Give --truth and --source, or the roles one by one.")
    manifest, source = (given[name][0].text for name in TRUTH)
    for role, side in SIDES.items():
        args = {"source": source_config(source), "manifest": manifest, "side": side}
        tree["data"][role] = {"class_path": class_path(Listed), "init_args": args}
    tree.setdefault("regime", "one-run")


def _name(tree: Tree, flags: Sequence[Flag]) -> None:
    """Put a class where a config or a flag names a thing by a word; naming a thing replaces the config's whole."""
    for section, key, _, config_of in NAMED:
        given = [flag for flag in flags if flag.path == f"{section}.{key}"]
        if len(given) > 1:
            raise LmiaError(
                f"{given[0].typed} is given {len(given)} times: {', '.join(flag.text for flag in given[:3])} ...",
                "If the shell has expanded a pattern, put it in quotes: '/data/{00000..00009}.tar'.",
            )
        for flag in given:
            if key == "target" and flag.text.endswith((".yaml", ".yml")):
                raise LmiaError(
                    f"--model takes a model, got the config {flag.text}.", f"Write --config {flag.text} for it."
                )
            tree[section][key] = flag.text
        if isinstance(tree[section].get(key), str):
            tree[section][key] = config_of(tree[section][key])


def _complete(tree: Tree) -> None:
    """Take the demo where neither model nor data is named, and views where an attack compares them."""
    model, data = tree["model"], tree["data"]
    given = [role for role in ROLES if data.get(role) is not None]
    if model.get("target") is None and given:
        raise LmiaError(
            f"No model is given (given: {', '.join(given)}).", "Give --model SPEC, or no data for the demo."
        )
    if model.get("target") is None:
        _demo(tree)
    if not tree["plugin"]:
        raise LmiaError("No attack is asked for.", f"Give --plugin NAME, of {', '.join(registry().names('attack'))}.")
    check_given({role: data[role] for role in ROLES if data.get(role) is not None})
    if model.get("views") is None and any("views" in _class("attack", one).requires for one in tree["plugin"]):
        model["views"] = views_config(VIEWS)


def _demo(tree: Tree) -> None:
    """Fill in the embedded demo; what the user chose of views, and attacks, stands."""
    specs = registry().manager.hook.lmia_demo()
    if not specs:
        raise LmiaError("Neither a model nor data is given, and no demo is installed.", "pip install 'lmia[demo]'")
    tree["demo"] = True
    tree.setdefault("show_pairs", True)
    tree.setdefault("regime", specs.get("regime", "post hoc"))
    tree["plugin"] = tree["plugin"] or attack_configs("csa")
    for section, key, _, config_of in NAMED:
        word = specs.get("model" if key == "target" else key)
        if word is not None and tree[section].get(key) is None:
            tree[section][key] = config_of(word)


def _set_options(tree: Tree, flags: Sequence[Flag]) -> None:
    """Apply the flags that set something of what was named, last of all."""
    named = {f"{section}.{key}" for section, key, _, _ in NAMED}
    own = options.names(_class("target", tree["model"]["target"]))
    for flag in flags:
        head = flag.path.partition(".")[0]
        if (
            head in ("plugin", "placebo", "defence", "config", "print_config")
            or flag.path in named
            or flag.name in TRUTH
        ):
            continue
        if head == "source":  # of both sides of a manifest
            for role in SIDES:
                put(tree, f"data.{role}.{flag.path}", flag.value)
            continue
        if head in TOP:
            put(tree, flag.path, flag.value)
        elif flag.name in own:  # `--pretrained`, `--precision`, `--activation`: the target's own
            put(tree, f"model.target.{flag.name}", flag.value)
        else:
            raise LmiaError(f"There is no option {flag.typed}.", nearest(flag.name.partition(".")[0], {*FLAGS, *own}))


def _checked(tree: Tree) -> Tree:
    """Check every name and value against the signatures they are for, and return the config with full class paths."""
    for section, key, kind, _ in NAMED:
        if tree[section].get(key) is not None:
            tree[section][key] = thing(kind, tree[section][key])
    tree["plugin"] = [thing("attack", config) for config in tree["plugin"]]
    tree["placebo"] = [thing("target", config) for config in tree["placebo"]]
    for i, config in enumerate(tree["plugin"]):
        if _whole(config) in map(_whole, tree["plugin"][:i]):
            name = _class("attack", config).__name__.lower()
            raise LmiaError(f"The attack '{name}' is asked for twice.", "Give one of them other settings.")
    tree["model"]["defence"] = [thing("defence", config) for config in tree["model"]["defence"]]
    tree["trainer"] = options.checked("trainer", Trainer, tree["trainer"])
    tree["model"] = options.checked("model", FeatureExtractor, tree["model"])
    tree["data"] = options.checked("data", AuditData, tree["data"])
    sections = ("trainer", "model", "data", "plugin", "placebo")
    rest = {name: value for name, value in tree.items() if name not in sections}
    return tree | options.checked("audit", run_audit, rest)


def thing(kind: Kind, config: object) -> Tree:
    """Give a thing its full class path, and check its arguments; a thing inside a thing is of the same kind.

    Raises:
        LmiaError: there is no such class or option, or a value is of the wrong type.

    Example:
        >>> thing("views", {"class_path": "identity"})
        {'class_path': 'lmia.views.Identity', 'init_args': {}}
    """
    cls = _class(kind, config)
    assert isinstance(config, Mapping)  # it has a class path
    if odd := [key for key in config if key not in ("class_path", "init_args")]:
        raise LmiaError(f"Beside class_path stands '{odd[0]}'.", f"Write init_args: {{{odd[0]}: ...}}.")
    if not isinstance(given := config.get("init_args") or {}, Mapping):
        raise LmiaError(f"The init_args of {cls.__name__} are {given!r:.60}.", "Write init_args: {KEY: VALUE}.")
    args = {
        name: thing(kind, value) if isinstance(value, Mapping) and "class_path" in value else value
        for name, value in given.items()
    }
    what = f"{kind} {cls.__name__.lower()}"
    parameters = signature(cls).parameters
    for name in options.names(cls):
        if parameters[name].default is Parameter.empty and name not in args:
            raise LmiaError(f"The {what} lacks its option '{name}'.", f"Give init_args: {{{name}: ...}}.")
    return {"class_path": class_path(cls), "init_args": options.checked(what, cls, args)}


def _class(kind: Kind, config: object) -> type[Any]:
    if not isinstance(config, Mapping) or not isinstance(config.get("class_path"), str):
        shown = dict(config) if isinstance(config, Mapping) else config
        what = "attack is" if kind == "attack" else "views are" if kind == "views" else f"{kind} is"
        raise LmiaError(
            f"No {what} named by {shown!r}.", "Write a name, or class_path: NAME and init_args: {KEY: VALUE}."
        )
    return find(kind, config["class_path"])


def _whole(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """An attack's class and all its settings, defaults included."""
    parameters = signature(_class("attack", config)).parameters
    return config["class_path"], {name: p.default for name, p in parameters.items()} | config["init_args"]
