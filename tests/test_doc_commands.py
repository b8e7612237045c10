"""The commands beside `lmia audit` that the pages show: each is understood as it stands, and none is run."""

import re
import shlex
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from lmia.commands import Parser, control, seal
from lmia.errors import LmiaError
from lmia.request import request
from lmia.shell import COMMANDS as WORDS
from lmia.study.plan import shipped

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PARSED = ("lookup", "dataset", "data", "verify", "canary", "compare", "unlearned", "show", "study")
ASKED = {"seal": lambda words: request(seal._split(words)[1]), "control": control.request}
"""Commands that read configs, and what turns their words into one without making anything."""
SECOND = {"data": ("check",), "canary": ("make", "test")}


class Understood(Exception):
    """Raised in place of what a command would do."""


def commands(text):
    """Every `lmia WORD ...` of fenced blocks and of code spans, as words, without prompts, comments and explanations."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()]
    spans = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    told = [re.split(r"\s{2,}", line.strip().removeprefix("$ "))[0] for line in lines]
    told += [" ".join(span.split()) for span in spans]
    return [line for line in told if re.match(rf"lmia ({'|'.join((*PARSED, *ASKED))})(?=\s|$)", line)]


COMMANDS = sorted({(page.name, line) for page in PAGES for line in commands(page.read_text())})
HELP = {word: import_module(f"lmia.commands.{word}").ABOUT for word in (*PARSED, "seal")} | {"control": control.START}
HELPED = [(word, line) for word in HELP for line in commands(f"```\n{HELP[word]}\n```\n") if "..." not in line]


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch):
    def parse(parser, words=None, _=Parser.parse_args):
        _(parser, words)
        raise Understood

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(Parser, "parse_args", parse)


def understood(line):
    """Parse a command to where it would begin to do something; a name alone must be that of a command."""
    _, command, *words = shlex.split(line, comments=True)
    assert command in WORDS
    if (
        not words
        or words[-1] == "--help"
        or (command in SECOND and words == [words[0]] and not words[0].startswith("-"))
    ):
        assert all(word in (*SECOND.get(command, ()), "--help") for word in words)
        return
    if command in ASKED:
        ASKED[command](words)
        return
    with pytest.raises(Understood):
        import_module(f"lmia.commands.{command}").main(words)


@pytest.mark.parametrize(("page", "line"), [*COMMANDS, *HELPED], ids=lambda word: word[:70])
def test_command_is_understood(page, line):
    configs = [word for flag, word in pairwise(shlex.split(line)) if flag in ("--config", "seal") and word[0] != "-"]
    missing = {Path(word).name for word in configs if not Path(word).is_file()}
    if missing:
        assert missing <= {"CONFIG", "config.yaml", "wsa.yaml"}, "only one's own may be missing"
        pytest.skip("needs a config of one's own")
    understood(line)


def test_studies_that_are_shown_come_with_lmia():
    shown = {line.split()[2] for _, line in [*COMMANDS, *HELPED] if re.match(r"lmia study \w", line)}
    assert {"repeats", "mine.yaml"} <= shown
    assert {name for name in shown if not name.endswith(".yaml") and not name.isupper()} <= set(shipped())


@pytest.mark.parametrize("command", [*PARSED, *ASKED])
def test_an_unknown_option_is_not_understood(command):
    bare = {"verify": "a", "compare": "a b", "show": "a b", "seal": "configs/wsa.yaml"}
    shown = [line for _, line in COMMANDS if re.match(rf"lmia {command} .*--", line) and "--config" not in line]
    line = f"lmia {command} {bare[command]}" if command in bare else shown[0]
    understood(line)
    for more in ("--no-such-option", "--no-such-option=1"):
        with pytest.raises(LmiaError, match=r"no[-_]such[-_]option"):
            understood(f"{line} {more}")


def test_commands_are_found():
    assert commands(
        "a `lmia data\ncheck` b\n```\n$ lmia study x \\\n   --jobs 2   in two\nlmia audit x\nlmia datasets\n```\n"
    ) == [
        "lmia study x --jobs 2",
        "lmia data check",
    ]
    whole = {line.split()[1] for _, line in COMMANDS if " --" in line}
    assert whole >= {"lookup", "dataset", "data", "canary", "unlearned", "study", "control"}
    assert {line.split()[1] for page, line in COMMANDS if page == "README.md"} >= {"seal", "verify", "show", "compare"}


def test_owners_find_every_step_where_the_table_promises_it():
    text = (ROOT / "docs/for-owners.md").read_text()
    steps = [(number, step.lower()) for number, step in re.findall(r"^\| (\d)\. (.+?) \|", text, re.M)]
    assert steps == [
        ("1", "`lmia lookup`"),
        ("2", "`lmia canary`"),
        ("3", "data-set inference"),
        ("4", "an audit of suspects"),
    ]
    headings = re.findall(r"^## (.*)$", text, re.M)
    assert [heading.partition(".")[0] for heading in headings] == [number for number, _ in steps]
    parts = re.split(r"^## .*$", text, flags=re.M)[1:]
    shown = [{word for word in ("lookup", "dataset", "audit") if f"lmia {word} --" in part} for part in parts]
    assert shown == [{"lookup"}, set(), {"dataset"}, {"audit"}]
    assert "](canary.md)" in parts[1]
    assert "--suspects" in parts[3]
    assert [line.split()[2] for page, line in COMMANDS if page == "canary.md"] == ["make", "test"]
