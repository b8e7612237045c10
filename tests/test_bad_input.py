"""Every bad input that a user can mend: exit code 2, two lines with the value in them, nothing half-written."""

import csv
import errno
import hashlib
import io
import re
import resource
import tarfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import players
import worlds
from lmia import shell
from lmia.flags import TOP
from lmia.store import Store

MODEL = ["--model", "toy:0:150"]
DATA = ["--members", "noise:0:150", "--nonmembers", "noise:200:350"]
GOOD = [*MODEL, *DATA, "--plugin", "plain"]
TRUTH = [*MODEL, "--plugin", "plain", "--truth", "truth.csv", "--source", "noise:0:300"]


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Files that are wrong, each in one way."""
    folder = tmp_path_factory.mktemp("bad")
    png = worlds.png(worlds.picture(1))
    (folder / "good.png").write_bytes(png)
    (folder / "torn.png").write_bytes(png[:60])
    Image.fromarray(np.zeros((400, 400, 3), np.uint8)).save(folder / "bomb.png")
    _table(folder / "columns.csv", ["filepath", "words"], [["good.png", "a"]])
    _table(folder / "torn.csv", ["filepath", "caption"], [["torn.png", f"pair {i}"] for i in range(30)])
    _table(folder / "bomb.csv", ["filepath", "caption"], [["bomb.png", f"pair {i}"] for i in range(30)])
    _table(folder / "mute.csv", ["filepath", "caption"], [["good.png", " "] for _ in range(30)])
    _table(folder / "empty.csv", ["filepath", "caption"], [])
    names = ["key", "in", "repeats"]
    _table(folder / "truth.csv", names, [[f"noise/{i}", i % 2, i % 2] for i in range(300)])
    _table(folder / "all.csv", names, [[f"noise/{i}", 1, 1] for i in range(3)])
    _table(folder / "twice.csv", names, [["noise/1", 1, 1], ["noise/1", 0, 0]])
    for i in range(3):
        (folder / f"{i}.tar").write_bytes(_tar(range(i * 10, i * 10 + 10)))
    (folder / "torn.tar").write_bytes(_tar(range(40))[:700])
    (folder / "empty").mkdir()
    (folder / "file").write_text("in the way")
    (folder / "list.yaml").write_text("- 1\n- 2\n")
    (folder / "broken.yaml").write_text("plugin: [plain\nout: x")
    return folder


def _table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _tar(indices):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for i in indices:
            for suffix, data in (("png", worlds.png(worlds.picture(i))), ("txt", f"pair {i}".encode())):
                member = tarfile.TarInfo(f"{i:04d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


@pytest.fixture(autouse=True)
def _world(monkeypatch, place):
    players.install(monkeypatch)
    monkeypatch.chdir(place)


def no_result(stdout):
    """Nothing was printed but what the audit would be able to see, which it says before it begins."""
    return not stdout or (stdout.startswith("Before anything is read: ") and stdout.count("\n") == 1)


def refused(capsys, words, out, begun=False):
    """Run an audit that must be refused, before or after it has made its folder; return its two lines."""
    assert shell.run(["audit", *words, "--out", str(out)]) == 2
    stdout, stderr = capsys.readouterr()
    first, second = stderr.splitlines()
    assert no_result(stdout)
    assert first.startswith("lmia: ")
    assert second.strip()
    assert list(out.glob("*")) == []
    assert out.exists() == begun
    return first, second


TYPED = {
    # what is unknown: the nearest name, and the list
    "a plugin": ([*MODEL, *DATA, "--plugin", "plian"], "'plian'", "Did you mean 'plain'? Known: aea, anchor,"),
    "a preset": ([*MODEL, *DATA, "--plugin", "wsa:bnch"], "'bnch'", "Did you mean 'bench'? Known: bench, official."),
    "a model": ([*DATA, "--plugin", "plain", "--model", "vit-b-23"], "'vit-b-23'", "Did you mean 'ViT-B-32'"),
    "a model unlike any": ([*DATA, "--plugin", "plain", "--model", "x/y.z"], "'x/y.z'", "local-dir:FOLDER"),
    "a tag": ([*DATA, "--plugin", "plain", "--model", "RN50", "--pretrained", "yfcc15"], "'yfcc15'", "'yfcc15m'"),
    "views": ([*GOOD, "--views", "four-basics"], "'four-basics'", "Did you mean 'fourbasic'? Known: blur,"),
    "a source": ([*MODEL, "--members", "a.doc", "--nonmembers", "b.doc", "--plugin", "plain"], "'a.doc'", "tar shards"),
    "a flag": ([*GOOD, "--batchh", "3"], "--batchh", "Did you mean 'batch'? Known: allow_overlap, batch,"),
    "a flag with a dot": ([*GOOD, "--dta.batch", "3"], "--dta.batch", "Did you mean 'data'?"),
    "an option of the target": ([*GOOD, "--model.leek", "3"], "'leek'", "Did you mean 'leak'? Known: leak, members,"),
    "an option of the attack": ([*GOOD, "--plugin", "wsa", "--plugin.lamb", "3"], "'lamb'", "Did you mean 'lam'?"),
    "an option of the data": ([*GOOD, "--data.bach", "3"], "'bach'", "Did you mean 'batch'?"),
    "an option of the views": ([*GOOD, "--views", "blur", "--views.kk", "3"], "'kk'", "Did you mean 'k'?"),
    "an option of a source": ([*GOOD, "--members.shrad", "3"], "'shrad'", "Did you mean 'shard'?"),
    "an option of the trainer": ([*GOOD, "--trainer.device", "3"], "'device'", "Did you mean 'devices'?"),
    "an option below a number": ([*GOOD, "--seed", "1", "--seed.x", "3"], "--seed.x", "--FLAG VALUE"),
    # what is of the wrong type: what it takes
    "batch": ([*GOOD, "--data.batch", "abc"], "'batch' of the data cannot be 'abc'", "It takes int or nothing (null)."),
    "batches of nothing": ([*GOOD, "--batch", "0"], "Batches of 0 pairs", "Give --batch 1 or more"),
    "no limit": ([*GOOD, "--max-pixels", "null"], "'max_pixels' of the data cannot be 'null'", "It takes int."),
    "seed": ([*GOOD, "--seed", "x"], "'seed' of the audit cannot be 'x'", "It takes int."),
    "lam": (
        [*GOOD, "--plugin", "wsa", "--plugin.lam", "abc"],
        "'lam' of the attack wsa cannot be 'abc'",
        "It takes float or 'auto'.",
    ),
    "network": ([*GOOD, "--plugin", "wsa", "--plugin.network", "mpl"], "'mpl'", "It takes 'mlp' or 'linear'."),
    "fpr": ([*GOOD, "--fpr", "0.1", "few"], "['0.1', 'few']", "It takes a list of float or nothing (null)."),
    "views' k": ([*GOOD, "--views", "blur", "--views.k", "many"], "'many'", "It takes int."),
    # what is missing or too much
    "no value": ([*GOOD, "--seed"], "--seed has no value", "Write --seed VALUE."),
    "an empty value": ([*GOOD, "--members="], "--members", ""),
    "a word before any flag": (["csa", *GOOD], "'csa' stands before any flag", "--FLAG VALUE"),
    "an option before its attack": (
        [*MODEL, *DATA, "--plugin.factor", "2"],
        "--plugin.factor",
        "Name the attack first",
    ),
    "options of no views": ([*GOOD, "--views.k", "2"], "{'k': '2'}", "Write a name"),
    "no attack": ([*MODEL, *DATA], "No attack is asked for", "Give --plugin NAME, of aea, anchor,"),
    "an attack twice": ([*GOOD, "--plugin", "plain"], "'plain' is asked for twice", "other settings"),
    "an attack twice by its default": (
        [*GOOD, "--plugin", "knobs", "--plugin", "knobs", "--plugin.steps", "3"],
        "'knobs' is asked for twice",
        "other settings",
    ),
    "a pattern the shell has expanded": (
        [*MODEL, "--members", "0.tar", "1.tar", "2.tar", "--nonmembers", "noise:0:9"],
        "--members takes one value, got 3: 0.tar, 1.tar, 2.tar",
        "put it in quotes: '/data/{00000..00009}.tar'",
    ),
    "a flag the shell has expanded": (
        [*MODEL, "--members=0.tar", "--members=1.tar", "--nonmembers", "noise:0:9"],
        "--members is given 2 times: 0.tar, 1.tar",
        "put it in quotes",
    ),
    "attacks in one flag": (
        [*MODEL, *DATA, "--plugin", "csa", "wsa"],
        "--plugin takes one value, got 2: csa, wsa",
        "Repeat the flag: --plugin csa --plugin wsa.",
    ),
    "no model": ([*DATA, "--plugin", "plain"], "No model is given (given: members, nonmembers)", "Give --model SPEC"),
    "no data": ([*MODEL, "--plugin", "plain"], "No data is given", "--members SPEC and --nonmembers SPEC"),
    "no nonmembers": ([*MODEL, *DATA[:2], "--plugin", "plain"], "nonmembers missing (given: members)", "--nonmembers"),
    "suspects alone": (
        [*MODEL, "--suspects", "noise:0:9", "--plugin", "plain"],
        "known_nonmembers missing",
        "--known-",
    ),
    "suspects and truth": ([*GOOD, "--suspects", "noise:0:9"], "(given: members, nonmembers, suspects)", "--suspects"),
    "a config as a model": ([*DATA, "--model", "a.yaml"], "got the config a.yaml", "Write --config a.yaml"),
    "pretrained of the demo's absence": ([*DATA, "--pretrained", "x"], "No model is given", "Give --model"),
    # what cannot be sampled
    "a sample of none": ([*GOOD[:2], "--members", "noise:0:9?n=0", *GOOD[4:]], "n=0", "SPEC?n=1000&seed=0"),
    "a sample of x": ([*GOOD[:2], "--members", "noise:0:9?n=x", *GOOD[4:]], "'n=x'", "SPEC?n=3000&seed=0"),
    # truth by a manifest
    "truth alone": ([*MODEL, "--truth", "m.csv", "--plugin", "plain"], "--truth m.csv stands alone", "Give --source"),
    "a source alone": ([*MODEL, "--source", "noise:0:9", "--plugin", "plain"], "--source noise:0:9", "Give --truth"),
    "truth beside members": ([*TRUTH, "--members", "noise:0:9"], "and so does --members", "one by one"),
    "truth beside nonmembers": ([*TRUTH, "--nonmembers", "noise:0:9"], "and so does --nonmembers", "one by one"),
    "truth beside suspects": ([*TRUTH, "--suspects", "noise:0:9"], "and so does --suspects", "one by one"),
    "truth twice": ([*TRUTH, "--truth", "two.csv"], "--truth is given 2 times", "once"),
    "a source of two words": ([*TRUTH, "b.tar"], "--source takes one value, got 2", "quotes"),
    "an option of no source": ([*GOOD, "--source.shard", "3"], "--source.shard sets nothing", "--truth FILE"),
    "an option of truth": ([*TRUTH, "--truth.x", "3"], "There is no option --truth.x", "Known:"),
    "an option that the source has not": ([*TRUTH, "--source.shrad", "3"], "'shrad'", "Did you mean 'shard'?"),
    # what cannot be read as a config
    "no config": (["--config", "none.yaml"], "none.yaml cannot be read: No such file", "Give --config FILE.yaml."),
    "a list as a config": (["--config", "list.yaml"], "list.yaml holds no keys", "Known: trainer, model,"),
    "broken YAML": (["--config", "broken.yaml"], "broken.yaml is not YAML", "Mend that line."),
}


@pytest.mark.parametrize(("words", "first", "second"), TYPED.values(), ids=TYPED)
def test_what_was_typed(capsys, tmp_path, words, first, second):
    one, two = refused(capsys, words, tmp_path / "out")
    assert first in one
    assert second in two


KEYS = {
    "a key": ({"plugins": ["plain"]}, "no key 'plugins'", "Did you mean 'plugin'?"),
    "a key of the data": ({"data": {"member": "x"}}, "data has no option 'member'", "Did you mean 'members'?"),
    "a key of the model": ({"model": {"tarket": "x"}}, "model has no option 'tarket'", "Did you mean 'target'?"),
    "a key of the trainer": ({"trainer": {"devicez": 1}}, "'devicez'", "Did you mean 'devices'?"),
    "an init argument": ({"plugin": [{"class_path": "WSA", "init_args": {"lamda": 1}}]}, "'lamda'", "'lam'"),
    "a key beside class_path": ({"plugin": [{"class_path": "WSA", "lam": 1}]}, "stands 'lam'", "init_args: {lam:"),
    "init arguments that are a word": ({"plugin": [{"class_path": "WSA", "init_args": "x"}]}, "are 'x'", "KEY: VALUE"),
    "a class path": ({"plugin": [{"class_path": "wsaa"}]}, "'wsaa'", "Did you mean 'wsa'?"),
    "a class path of nowhere": ({"plugin": [{"class_path": "lmia_wsa.WSAA"}]}, "'lmia_wsa.WSAA'", "'wsa'"),
    "a class path of another kind": ({"plugin": [{"class_path": "worlds.Noise"}]}, "'worlds.Noise'", "class path"),
    "no class path": ({"model": {"target": {"init_args": {"members": "x"}}}}, "'members': 'x'", "class_path: NAME"),
    "an attack that is a number": ({"plugin": [3]}, "named by 3", "class_path: NAME"),
    "an argument that must be": ({"data": {"members": {"class_path": "Noise"}}}, "lacks its option 'start'", "start"),
    "a nested class": (
        {
            "data": {
                "members": {"class_path": "lmia.source.Sample", "init_args": {"n": 3, "source": {"class_path": "x"}}}
            }
        },
        "'x'",
        "Known: emoji,",
    ),
    "a blank value": ({"data": {"max_pixels": None}}, "'max_pixels' of the data cannot be empty", "It takes int."),
    "a float for an int": ({"seed": 1.5}, "'seed' of the audit cannot be 1.5", "It takes int."),
    "a list for a section": ({"data": [1]}, "'data' holds no keys of its own: [1]", "KEY: VALUE"),
    "keys for a number": ({"seed": {"a": 1}}, "'seed' of the audit cannot be {'a': 1}", "It takes int."),
}


@pytest.mark.parametrize(("keys", "first", "second"), KEYS.values(), ids=KEYS)
def test_what_a_config_says(capsys, tmp_path, keys, first, second):
    good = {
        "model": {"target": "toy:0:9"},
        "data": {"members": "noise:0:9", "nonmembers": "noise:9:18"},
        "plugin": ["plain"],
    }
    merged = {k: {**good[k], **keys[k]} if k in good and isinstance(keys.get(k), dict) else keys.get(k, good.get(k))
              for k in {**good, **keys}}  # fmt: skip
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(merged))
    one, two = refused(capsys, ["--config", str(tmp_path / "a.yaml")], tmp_path / "out")
    assert first in one
    assert second in two


def test_an_unknown_key_is_answered_with_every_known_one(capsys, tmp_path):
    (tmp_path / "a.yaml").write_text("colour: red\n")
    one, two = refused(capsys, ["--config", str(tmp_path / "a.yaml")], tmp_path / "out")
    assert one == "lmia: The config has no key 'colour'."
    assert two == f"Known: {', '.join(sorted(TOP))}."


def members(spec, *more):
    return [*MODEL, "--members", spec, "--nonmembers", "noise:200:350", "--plugin", "plain", *more]


def truth(manifest, source="noise:0:300"):
    return [*MODEL, "--truth", manifest, "--source", source, "--plugin", "plain"]


FOUND = {
    "a confidence that is none": ([*GOOD, "--confidence", "95"], "95", "0.95"),
    "a trainer that would stop early": (
        [*GOOD, "--trainer.limit_predict_batches", "0.5"],
        "limit_predict_batches=0.5",
        "",
    ),
    "no shard matches": (members("none/*.tar"), "No shard matches 'none/*.tar'", "Check the pattern and the folder."),
    "a brace of nothing": (members("none/{000..003}.tar"), "none/000.tar", ""),
    "no table": (members("none.csv"), "none.csv", ""),
    "an empty folder": (members("empty"), "empty", ""),
    "a table without captions": (members("columns.csv"), "no column known as caption", "'filepath', 'words'"),
    "an empty table": (members("empty.csv"), "empty.csv", ""),
    "a truncated tar": (
        members("torn.tar"),
        "(webdataset: torn.tar) can be used: {'truncated tar': ",
        "Mend what these",
    ),
    "images that do not decode": (members("torn.csv"), "{'image does not decode': 30}", "Mend what these reasons name"),
    "bombs": (
        members("bomb.csv", "--max-pixels", "1000"),
        "{'decompression bomb': 30}",
        "Mend what these reasons name",
    ),
    "empty captions": (members("mute.csv"), "caption': 30}", "Mend what these reasons name"),
    "members among the nonmembers": (
        [*MODEL, "--members", "noise:0:150", "--nonmembers", "noise:100:350", "--plugin", "plain"],
        "50 of 150 pairs of members are also in nonmembers, such as 'noise/100'",
        "Take these pairs out",
    ),
    "members in the pool": ([*GOOD, "--pool", "noise:0:20"], "20 of 150 pairs of members", "--allow-overlap"),
    "members among the known, allowed": (
        [*GOOD, "--known-nonmembers", "noise:0:20", "--allow-overlap"],
        "20 of 150 pairs of members are also in known_nonmembers",
        "Take these pairs out",
    ),
    "an fpr too small": ([*GOOD, "--fpr", "0.001"], "0.001", "Give more nonmembers"),
    "an fpr that is none": ([*GOOD, "--fpr", "1.5"], "1.5", ""),
    "too few pseudo-members": (
        [*GOOD, "--plugin", "wsa", "--plugin.lam", "9"],
        "9",
        "",
    ),
    "an alpha of 0": ([*GOOD, "--plugin", "aea:sum", "--plugin.alpha", "0"], "alpha", "csa"),
    "scores that are NaN": ([*GOOD, "--plugin", "nans"], "'nans' returned", "NaN"),
    "scores of the wrong shape": ([*GOOD, "--plugin", "crooked"], "'crooked' returned", ""),
    "no manifest": (truth("none.csv"), "The manifest 'none.csv' cannot be read: No such file", "repeats"),
    "a manifest without its columns": (truth("columns.csv"), "no one column 'key'", "Known: filepath, words"),
    "a manifest of one side": (truth("all.csv"), "No pair of the manifest 'all.csv' is out (3 pairs)", "give both"),
    "a manifest of doubled keys": (truth("twice.csv"), "1 key stands more than once", "one row a key"),
    "a manifest of other pairs": (
        truth("truth.csv", "noise:0:290"),
        "10 of 300 keys of the manifest 'truth.csv' are not in noise: 0, 290, such as 'noise/290', 'noise/291',",
        "SPEC?n=1000&seed=0",
    ),
    "a cache in a file": ([*GOOD, "--cache", "file"], "file", ""),
}


@pytest.mark.parametrize(("words", "first", "second"), FOUND.values(), ids=FOUND)
def test_what_the_files_and_attacks_say(capsys, tmp_path, words, first, second):
    out = tmp_path / "out"
    assert shell.run(["audit", *words, "--out", str(out)]) == 2
    stdout, stderr = capsys.readouterr()
    one, two = stderr.splitlines()
    assert no_result(stdout)
    assert first in one
    assert second in one + two
    assert two.strip()
    assert list(out.glob("*")) == []


def test_too_few_pseudo_members_are_counted_at_every_lambda(capsys, tmp_path):
    words = [*GOOD, "--plugin", "wsa", "--plugin.lam", "9"]
    one, two = refused(capsys, words, tmp_path / "out", begun=True)
    assert one == "lmia: WSA needs 50 pseudo-members, and lambda 9 leaves 0."
    left = [(float(lam), int(count)) for lam, count in re.findall(r"(-?[\d.]+) leaves (\d+)", two)]
    assert [lam for lam, _ in left] == [-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5]
    counts = [count for _, count in left]
    assert counts == sorted(counts, reverse=True)
    assert 0 <= counts[-1] < counts[0] <= 60  # a fifth of 150 members and of 105 nonmembers


def test_a_folder_that_cannot_be_written(capsys):
    for out in ("file", "file/inside"):
        assert shell.run(["audit", *GOOD, "--out", out]) == 2
        one, two = capsys.readouterr().err.splitlines()
        assert f"The folder {out} cannot be written" in one
        assert "--out DIR" in two
    assert Path("file").read_text() == "in the way"


@contextmanager
def room(bytes_a_file):
    """Let no file grow beyond so many bytes, as a disk does that fills up while it is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("bytes_a_file", [0, 4_000, 25_000])
def test_the_disk_fills_while_the_report_is_written_and_the_same_command_mends_it(capsys, tmp_path, bytes_a_file):
    """What lies in the folder is whole, and afterwards it is what an audit with room enough writes."""
    out, expected = tmp_path / "out", tmp_path / "expected"
    assert shell.run(["audit", *GOOD, "--out", str(expected)]) == 0  # from here on the features are there
    capsys.readouterr()
    with room(bytes_a_file):
        code = shell.run(["audit", *GOOD, "--out", str(out)])
    one, two = capsys.readouterr().err.splitlines()
    assert code == 2
    assert "cannot be written: File too large" in one
    assert "--out" in two
    left = {path.name: path for path in out.glob("*")}
    assert not [name for name in left if name.startswith(".")]
    assert "report.html" not in left  # the largest
    whole = {name: hashlib.sha256((expected / name).read_bytes()).digest() for name in ("scores.parquet",)}
    assert all(hashlib.sha256(left[name].read_bytes()).digest() == whole[name] for name in left.keys() & whole.keys())
    assert shell.run(["audit", *GOOD, "--out", str(out)]) == 0
    assert hashlib.sha256((out / "scores.parquet").read_bytes()).digest() == whole["scores.parquet"]
    assert {path.name for path in out.iterdir()} == {path.name for path in expected.iterdir()}


def test_a_full_disk(capsys, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/shard.npy")

    monkeypatch.setattr(Store, "write", full)
    one, two = refused(capsys, GOOD, tmp_path / "out", begun=True)
    assert one == "lmia: /cache/shard.npy cannot be written: No space left on device."
    assert "Free some space" in two
