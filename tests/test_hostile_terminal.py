"""Whatever data, files and columns are called, the terminal gets nothing that it would obey, and a reader of Markdown no link."""

import csv
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

import hostile
import players
import worlds
from lmia import cli, shell
from lmia.registry import Plugin

TEXTS = [text for text in hostile.PAYLOADS if "\0" not in text]
MODEL = ["--model", "toy:0:60"]
NAME = hostile.NAME


def table(path, start, stop, header=("filepath", "caption", "key", "url")):
    """Pairs of noise whose captions, keys, addresses and files attack their reader."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(header)
        for i in range(start, stop):
            picture, text = path.with_name(f"{i} {NAME}.png"), TEXTS[i % len(TEXTS)]
            picture.write_bytes(worlds.png(worlds.picture(i)))
            writer.writerow([picture.name, f"{text} pair {i}", f"{text} {i}", f"http://{hostile.HOST}/{i}/{text}"])
    return str(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two tables that share ten pictures, and two that share none, all of hostile names, in a folder of one."""
    folder = tmp_path_factory.mktemp("hostile") / NAME
    return {
        "members": table(folder / "in" / f"in {NAME}.csv", 0, 60),
        "nonmembers": table(folder / "out" / f"out {NAME}.csv", 60, 150),
        "overlapping": table(folder / "both" / f"both {NAME}.csv", 50, 150),
        "columns": table(folder / "columns" / f"{NAME}.csv", 0, 3, (NAME, hostile.TERMINAL[0], "a", "b")),
        "folder": str(folder),
    }


@pytest.fixture(autouse=True)
def _world(monkeypatch, tmp_path):
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def heard(capfd):
    """Run a command; return its exit code and all that it said, which must be fit for a terminal."""

    def run(*words):
        code = shell.run(list(words))
        out, err = capfd.readouterr()
        assert hostile.unseen(out + err) == []
        if code == 2:
            assert len(err.splitlines()) == 2
        return code, out + err

    return run


def test_the_detector_sees_what_plain_printing_lets_through():
    """The tests below prove nothing if this fails."""
    assert all(hostile.unseen(text) for text in hostile.TERMINAL[:-1])
    assert hostile.unseen(NAME) == ["\x1b", "\x07", "\u202e", "\x9b"]
    assert hostile.unseen("Grüße,\t日本\n👩‍🚀") == []


def test_an_audit_its_show_and_its_check(heard, place, tmp_path):
    out = str(tmp_path / NAME)
    words = ["--members", place["members"], "--nonmembers", place["nonmembers"]]
    code, said = heard("audit", *MODEL, "--plugin", "plain", *words, "--out", out)
    assert code == 0
    assert r"\x1b]0;title" in said.splitlines()[-1]
    for command in (["show", out], ["verify", out], ["compare", out, out]):
        assert heard(*command)[0] == 0, command
    text = (tmp_path / NAME / "report.md").read_text()
    check_markdown(text)
    assert hostile.unseen(text) == []


def check_markdown(text):
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {token.type for one in tokens for token in (one, *(one.children or ()))}
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "code_inline", "em_open"}
    assert f"www.{hostile.HOST}" not in text


def test_data_check_and_lookup_name_copies_that_attack(heard, place, tmp_path):
    roles = ["--members", place["members"], "--nonmembers", place["overlapping"]]
    clean = str(tmp_path / NAME)
    code, said = heard("data", "check", *roles, "--write-clean", clean, "--out", str(tmp_path / f"check {NAME}"))
    assert code == 0
    assert "Of members also in nonmembers: 10 of 60" in said
    index = tmp_path / f"{NAME}.parquet"
    pq.write_table(pa.table({"url": [f"http://{hostile.HOST}/{i}/{text}" for i, text in enumerate(TEXTS)]}), index)
    code, said = heard(
        "lookup", "--mine", place["members"], "--index", str(index), "--out", str(tmp_path / f"look {NAME}")
    )
    assert code == 0
    assert f"Listed: {len(TEXTS)}." in said
    for path in (tmp_path / NAME / "removed.csv", tmp_path / f"check {NAME}" / "copies.csv"):
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        assert len(rows) > 10
        assert hostile.formulas(rows) == []
    with (tmp_path / f"look {NAME}" / "lookup.csv").open(newline="") as file:
        assert hostile.formulas(csv.reader(file)) == []


def test_what_write_clean_keeps_it_keeps_to_the_letter(heard, place, tmp_path):
    roles = ["--members", place["members"], "--nonmembers", place["nonmembers"]]
    assert heard("data", "check", *roles, "--write-clean", str(tmp_path / "clean"))[0] == 0
    kept = pq.read_table(tmp_path / "clean" / "members.parquet").to_pydict()
    with open(place["members"], newline="", encoding="utf-8") as file:  # noqa: PTH123 (a name, not a path)
        rows = list(csv.DictReader(file))
    assert [kept[name] for name in ("key", "caption", "url")] == [
        [row[name] for row in rows] for name in ("key", "caption", "url")
    ]


DATA = ["--members", "noise:0:60", "--nonmembers", "noise:100:190"]
GOOD = ["audit", *MODEL, *DATA, "--plugin", "plain"]
MISTAKES = {
    "a command": [NAME],
    "a plugin": ["audit", *MODEL, *DATA, "--plugin", NAME],
    "a model": ["audit", "--model", NAME, *DATA, "--plugin", "plain"],
    "a folder of a model": ["audit", "--model", f"local-dir:{NAME}", *DATA, "--plugin", "plain"],
    "a tag": ["audit", "--model", "ViT-B-32", "--pretrained", NAME, *DATA, "--plugin", "plain"],
    "a checkpoint": ["audit", "--model", "ViT-B-32", "--pretrained", f"{NAME}.pt", *DATA, "--plugin", "plain"],
    "views": [*GOOD, "--views", NAME],
    "a defence": [*GOOD, "--defence", NAME],
    "a flag": [*GOOD, f"--{NAME}", "1"],
    "an option": [*GOOD, f"--plugin.{NAME}", "1"],
    "a value": [*GOOD, "--seed", NAME],
    "a word": [*GOOD, "--seed", "0", NAME],
    "a source": [*GOOD[:3], "--members", NAME, *DATA[2:], "--plugin", "plain"],
    "a sample": [*GOOD[:3], "--members", f"noise:0:60?n={NAME}", *DATA[2:], "--plugin", "plain"],
    "a table that is not there": [*GOOD[:3], "--members", f"{NAME}.csv", *DATA[2:], "--plugin", "plain"],
    "shards that are not there": [*GOOD[:3], "--members", f"{NAME}*.tar", *DATA[2:], "--plugin", "plain"],
    "columns": [*GOOD[:3], "--members", "COLUMNS", *DATA[2:], "--plugin", "plain"],
    "overlapping roles": ["audit", *MODEL, "--members", "MEMBERS", "--nonmembers", "OVERLAPPING", "--plugin", "plain"],
    "a config": ["audit", "--config", f"{NAME}.yaml"],
    "a key of a config": ["audit", "--config", "KEY"],
    "a config that is no YAML": ["audit", "--config", "BROKEN"],
    "a class path": ["audit", "--config", "CLASS"],
    "a manifest": [*GOOD[:3], "--truth", f"{NAME}.csv", "--source", "noise:0:60", "--plugin", "plain"],
    "columns of a manifest": [*GOOD[:3], "--truth", "COLUMNS", "--source", "noise:0:60", "--plugin", "plain"],
    "a column to slice by": [*GOOD, "--slice-by", NAME, "--columns", "COLUMNS"],
    "a cluster": [*GOOD, "--cluster-by", NAME, "--columns", "COLUMNS"],
    "an out that is a file": [*GOOD, "--out", "COLUMNS"],
    "a report": ["show", NAME],
    "a report to verify": ["verify", NAME],
    "a report to compare": ["compare", NAME, NAME],
    "an index": ["lookup", "--mine", "MEMBERS", "--index", f"{NAME}.csv"],
    "columns of an index": ["lookup", "--mine", "MEMBERS", "--index", "COLUMNS"],
    "a role to check": ["data", "check", "--members", NAME, "--nonmembers", NAME],
    "a subcommand": ["data", NAME],
    "a subcommand of canary": ["canary", NAME],
    "a flag of lookup": ["lookup", f"--{NAME}"],
    "a study": ["study", NAME],
    "a seal": [*GOOD, "--seal", NAME],
    "a sealed folder": ["canary", "test", "--sealed", NAME, "--commitment", NAME, "--model", "toy:0:1"],
}


@pytest.mark.parametrize("words", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_with_a_hostile_name_is_two_lines_of_text(heard, place, tmp_path, words):
    configs = {"KEY": json.dumps({NAME: 1}), "BROKEN": f"plugin: [{NAME}\n\x1b[31m", "CLASS": "plugin: ['a.\\x1b[31m']"}
    for name, text in configs.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    files = {"COLUMNS": place["columns"], "MEMBERS": place["members"], "OVERLAPPING": place["overlapping"]}
    files |= {name: f"{name}.yaml" for name in configs}
    assert heard(*(files.get(word, word) for word in words))[0] == 2


def test_plugins_of_hostile_names_and_reasons(heard, monkeypatch):
    odd = [Plugin("attack", NAME, None, NAME, NAME, NAME), Plugin("broken", NAME, None, NAME, NAME, NAME)]
    monkeypatch.setattr(cli.registry(), "listing", lambda: odd, raising=False)
    code, said = heard("plugins")
    assert code == 0
    assert len(said.splitlines()) == 3


def test_a_traceback_is_text_as_well():
    """Of a fault that is nobody's to mend, in a process of its own; line breaks in a traceback are Python's."""
    code = "import sys; from lmia import cli, shell\n"
    code += f"def fail(argv): raise ValueError({NAME!r})\ncli.audit = fail; sys.argv = ['lmia', 'audit']; shell.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "ValueError: <img src=x" in done.stderr
    assert hostile.unseen(done.stderr) == []
