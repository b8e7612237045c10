"""What a stranger reads is true: commands parse, links lead somewhere, names and reasons are all there."""

import ast
import inspect
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from lmia.commands import fit
from lmia.errors import LmiaError
from lmia.registry import registry
from lmia.request import request

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
NAMED = "\n".join((ROOT / page).read_text() for page in ("README.md", "docs/methods.md", "docs/data.md"))
READERS = [ROOT / "lmia/picture.py", ROOT / "lmia/faults.py", ROOT / "plugins/lmia_folder.py"] + [
    path for folder in ("lmia_table", "lmia_webdataset") for path in sorted((ROOT / "plugins" / folder).glob("*.py"))
]
PLACEHOLDER = re.compile(r"\.\.\.|(?<![A-Za-z0-9_-])[A-Z]{3,}(?![A-Za-z0-9_-])")


def commands(text: str) -> list[str]:
    """Every `lmia ...` of fenced blocks (lines joined) and of code spans, without prompt and comment."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.M | re.S)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return [line for line in [*lines, *spans] if re.match(r"lmia (audit|fit|plugins|--)", line)]


COMMANDS = sorted({(page.name, line) for page in PAGES for line in commands(page.read_text())})


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=lambda word: " ".join(word.split())[:70])
def test_command_parses(page, line, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if PLACEHOLDER.search(line):
        pytest.skip("stands for many commands: it holds a placeholder")
    _, command, *words = shlex.split(line, comments=True)
    if command == "fit":
        _check_fit(words)
        return
    if command != "audit":
        assert [command, *words] in (["plugins"], ["--help"], ["--version"])
        return
    if words in (["--help"], ["--trainer.help"]):
        return
    if words == ["--config"]:
        pytest.skip("names the flag alone")
    missing = [word for flag, word in pairwise(words) if flag == "--config" and not Path(word).is_file()]
    if missing:
        assert missing == ["config.yaml"], "only a report's own config may be missing"
        pytest.skip("needs the config of a report")
    try:
        assert request([word for word in words if word != "--print_config"])["plugin"]
    except LmiaError as error:
        if "is called 'margin'" not in error.problem:
            raise
        pytest.skip("needs the plugin of docs/writing-plugins.md")


def _check_fit(words):
    if words in ([], ["--help"], ["--config"]):
        pytest.skip("names the command alone")
    missing = [word for flag, word in pairwise(words) if flag == "--config" and not Path(word).is_file()]
    if missing:
        assert all(Path(word).name == "config.yaml" for word in missing), "only a run's own config may be missing"
        pytest.skip("needs the config of a run")
    whole = {"--model", "--config"} & set(words)  # prose may name options alone
    try:
        tree = fit.request(words if whole else ["--model", "demo,random", "--source", "emoji:0:9", *words])
    except LmiaError as error:
        if "is called 'speckle'" not in error.problem:
            raise
        pytest.skip("needs the plugin of docs/worlds.md")
    assert tree["data"]["source"]["class_path"]


def test_commands_are_found():
    assert commands("a `lmia plugins` b\n```\n$ lmia audit --plugin csa \\\n   --fpr 0.1\n```\n") == [
        "lmia audit --plugin csa     --fpr 0.1",
        "lmia plugins",
    ]
    assert sum(page == "README.md" for page, _ in COMMANDS) >= 8
    assert sum(page == "worlds.md" and line.startswith("lmia fit --model") for page, line in COMMANDS) >= 8


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page):
    for target in links(page):
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), target


def spelt(name: str) -> set[str]:
    """A class's name as one may type it: `FourBasic` is fourbasic and four-basic."""
    return {name.lower(), re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()}


OURS = {plugin.cls for plugin in registry().listing() if plugin.cls and plugin.distribution in ("lmia", "")}


@pytest.mark.parametrize("cls", sorted(OURS, key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__)
def test_every_plugin_is_mentioned(cls):
    assert any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", NAMED.lower()) for name in spelt(cls.__name__))


@pytest.mark.parametrize("name", registry().names("attack"))
def test_every_option_and_preset_of_an_attack_is_in_methods(name):
    cls = registry().get("attack", name)
    if cls not in OURS:
        pytest.skip("another distribution's")
    text = (ROOT / "docs/methods.md").read_text()
    options = [option for option in inspect.signature(cls).parameters if option not in ("args", "kwargs")]
    assert not [option for option in options if f"`{option}`" not in text and f"`{option}:" not in text]
    assert not [preset for preset in cls.presets if f"`{name}:{preset}`" not in text]


def reasons(path: Path) -> set[str]:
    """The reasons for rejection that a module writes down: short literals given to what rejects, or yielded."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        given = []
        if isinstance(node, ast.Call) and re.fullmatch(
            r"Rejected|_?UnfitError|Unreadable", getattr(node.func, "attr", getattr(node.func, "id", ""))
        ):
            given = node.args[-1:]
        elif isinstance(node, ast.Yield) and node.value is not None:
            given = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        elif isinstance(node, ast.FunctionDef) and node.name in ("_unreadable", "_break"):
            given = [
                one for one in ast.walk(node) if isinstance(one, ast.Constant) and one.value != ast.get_docstring(node)
            ]
        for one in given:
            found |= {
                word.value for word in ast.walk(one) if isinstance(word, ast.Constant) and isinstance(word.value, str)
            }
    return {word for word in found if re.fullmatch(r"[a-z][A-Za-z0-9 .-]* [A-Za-z0-9 .-]+", word)}


def test_every_reason_for_rejection_is_in_data():
    found = set().union(*map(reasons, READERS))
    text = (ROOT / "docs/data.md").read_text()
    assert {"empty caption", "truncated tar", "wrong number of columns", "link to a folder", "unreadable row"} <= found
    assert not [reason for reason in sorted(found) if f"`{reason}`" not in text]


def test_every_reason_in_data_exists():
    table = (ROOT / "docs/data.md").read_text().partition("## What is rejected")[2].partition("## Overlap")[0]
    source = "\n".join(path.read_text() for path in READERS)
    written = re.findall(r"^\| `([^`]+)` \|", table, re.M)
    assert len(written) >= 20
    assert not [reason for reason in written if f'"{reason}"' not in source]


def test_the_readmes_python_imports_what_there_is():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert blocks
    for block in blocks:
        tree = ast.parse(block)
        exec("\n".join(ast.unparse(node) for node in tree.body if isinstance(node, ast.ImportFrom)), {})


def test_the_test_command_is_the_makefiles():
    assert re.search(r"^## Tests\n+```\nmake test\n```", (ROOT / "README.md").read_text(), re.M)
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make ([a-z]+)(?=`|$| )", page.read_text(), re.M):
            assert target in targets, (page.name, target)


def test_the_tree_is_what_there_is():
    block = (ROOT / "README.md").read_text().partition("## Where things are")[2].split("```")[1]
    named = re.findall(r"^([a-z]+)/", block, re.M)
    assert {"lmia", "plugins", "configs", "docs", "tests", "benchmarks"} <= set(named)
    assert all((ROOT / name).is_dir() for name in named)


def test_nothing_is_said_of_this_machine():
    for page in [*PAGES, *ROOT.glob("configs/*.yaml")]:
        assert not re.search(r"/(home|root|opt|work|tmp)/", page.read_text()), page.name
