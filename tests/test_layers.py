"""Who may import whom: the imports of every file, read off its syntax tree, against the picture of the house.

Imports under TYPE_CHECKING do not count: they cost nothing and bind nobody.
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = sorted((ROOT / "lmia").rglob("*.py"))
PLAYERS = sorted((ROOT / "plugins").rglob("*.py"))

LAYERS = {
    "contracts": [
        "errors",
        "aside",
        "alone",
        "faults",
        "settings",
        "samples",
        "texts",
        "source",
        "trainable",
        "target",
        "views",
        "attack",
        "defence",
    ],
    "mechanisms": [
        *(
            "hookspecs",
            "registry",
            "contained",
            "returned",
            "keys",
            "looks",
            "picture",
            "records",
            "data",
            "cores",
            "extract",
            "encoding",
            "underway",
            "steadiness",
            "companions",
            "guarded",
            "precision",
            "store",
            "gather",
            "measurement",
            "membership",
            "sheet",
            "listed",
        ),
        *("signals", "classifier", "lots", "quiet", "sweeping", "progress", "streams", "ledger", "provenance"),
    ],
    "judgement": ["evidence"],
    "for people": ["report"],
    "policy": [
        *(
            "roles",
            "account",
            "scoring",
            "judging",
            "specs",
            "record",
            "showing",
            "setup",
            "baselines",
            "blind",
            "controls",
            "validity",
            "ruling",
            "audit",
        ),
        *(
            "request",
            "testing",
            "flags",
            "options",
            "recompute",
            "recheck",
            "outlook",
            "clusters",
            "columns",
            "exposure",
            "canary",
            "overlap",
            "collection",
            "training",
        ),
        *("stock", "altered", "seal", "study", "control"),
    ],
    "shell": ["shell", "cli", "subcommand", "commands", "guide", "__main__"],
}
"""From the lowest to the highest; within one, everybody may import everybody."""

PUBLIC = {*LAYERS["contracts"], "lots", "signals", "classifier", "testing", "registry", "evidence"}
"""What a plugin may import, besides the names that `lmia` itself gives.

The registry, to find another's thing by name; the evidence, so that nobody looks for copies in a way of its own.
"""

LONGEST = 300


def layer(name):
    return next((i for i, names in enumerate(LAYERS.values()) if name in names), None)


def name_of(path):
    """`lmia/report/html.py` is `report`: a folder is one room."""
    return path.relative_to(ROOT / "lmia").parts[0].removesuffix(".py")


@cache
def imports(path):
    """List every module that a file imports, at the top or within a function, as a dotted name."""

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from visit(child)
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    return sorted(set(visit(ast.parse(path.read_text()))))


def at_import(path):
    """Yield what is imported when the file itself is: not within functions."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def shown(paths):
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def test_the_walk_sees_imports(tmp_path):
    """The tests below prove nothing if this fails."""
    path = tmp_path / "one.py"
    path.write_text(
        "import a.b\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import c\nelse:\n    import d\n"
        "def f():\n    from e import f, g\ntry:\n    import h\nexcept ImportError:\n    pass\n"
    )
    assert imports(path) == ["a.b", "d", "e.f", "e.g", "h", "typing.TYPE_CHECKING"]


@pytest.mark.parametrize("path", shown(HOUSE))
def test_imports_go_downwards(path):
    if path == ROOT / "lmia" / "__init__.py":
        return  # it names everything, and imports nothing before it is asked for
    own = name_of(path)
    assert layer(own) is not None, f"{own} has no layer: say in tests/test_layers.py which room it is"
    for module in imports(path):
        if not module.startswith("lmia.") or module == "lmia.__version__":
            continue
        other = module.split(".")[1]
        assert layer(other) is not None, f"{own} imports {module}"
        assert layer(other) <= layer(own), f"{own} imports {module}, upwards"


@pytest.mark.parametrize("path", shown(HOUSE))
def test_nothing_imports_the_command_line(path):
    for module in imports(path):
        assert not module.startswith("lmia.cli") or name_of(path) == "shell", f"{path} imports {module}"


@pytest.mark.parametrize("path", shown(HOUSE))
def test_the_house_knows_no_plugin(path):
    players = {other.relative_to(ROOT / "plugins").parts[0].removesuffix(".py") for other in PLAYERS}
    assert len(players) > 8
    assert {module.partition(".")[0] for module in imports(path)}.isdisjoint(players)


@pytest.mark.parametrize("path", shown(PLAYERS))
def test_a_plugin_imports_public_names_alone(path):
    import lmia

    for module in imports(path):
        if module.startswith("lmia."):
            name = module.split(".")[1]
            assert name in PUBLIC or name in lmia.__all__, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", shown(PLAYERS))
def test_plugins_do_not_know_each_other(path):
    own = path.relative_to(ROOT / "plugins").parts[0].removesuffix(".py")
    others = [m for m in imports(path) if m.startswith("lmia_") and m.split(".")[0] != own]
    assert others == []


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        (
            "open_clip",
            [
                "plugins/lmia_openclip/",
                "plugins/lmia_defences/patches.py",
            ],
        ),
        ("kornia", ["plugins/lmia_kornia/"]),
        ("pluggy", ["lmia/hookspecs.py", "lmia/registry.py"]),
        ("torchmetrics", ["lmia/evidence/"]),
        ("faiss", ["lmia/evidence/"]),
        ("jinja2", ["lmia/report/"]),
        ("matplotlib", ["lmia/report/"]),
        ("webdataset", ["plugins/lmia_webdataset/"]),
        (
            "jsonargparse",
            [
                "lmia/subcommand.py",
                "lmia/flags.py",
                "lmia/guide.py",
                "lmia/options.py",
                "lmia/request.py",
                "lmia/testing/making.py",
            ],
        ),
    ],
)
def test_a_library_has_a_home(library, homes):
    users = [
        str(path.relative_to(ROOT))
        for path in [*HOUSE, *PLAYERS]
        if any(module.split(".")[0] == library for module in imports(path))
    ]
    assert users, f"nobody uses {library} any more"
    assert [user for user in users if not user.startswith(tuple(homes))] == []


@pytest.mark.parametrize("path", shown([*HOUSE, *PLAYERS]))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", shown([*HOUSE, *PLAYERS]))
def test_no_room_is_for_odds_and_ends(path):
    parts = set(path.relative_to(ROOT).with_suffix("").parts)
    assert parts.isdisjoint({"utils", "util", "common", "helpers", "helper", "base", "manager", "misc", "core"})


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py", "shell.py", "errors.py", "faults.py", "sweeping.py"])
def test_the_shell_is_light(name):
    for module in at_import(ROOT / "lmia" / name):
        top = module.split(".")[0]
        light = ("lmia.shell", "lmia.errors", "lmia.faults", "lmia.sweeping")
        assert top in sys.stdlib_module_names or module in light, f"{name} imports {module}"


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_needs_no_torch(word):
    program = f"import sys; from lmia.shell import run; run(['{word}']); print(sorted({{m.split('.')[0] for m in sys.modules}}))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = found.stdout.rpartition("[")[2]
    assert "'lmia'" in loaded
    for heavy in ("torch", "numpy", "lightning", "jsonargparse", "pluggy", "rich"):
        assert f"'{heavy}'" not in loaded
