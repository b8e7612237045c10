"""`lmia seal`, as typed: what it writes and prints, and that an audit with the same words is the one that was sealed."""

import shutil
import textwrap
from functools import wraps
from pathlib import Path

import pytest
import yaml

import players
import worlds
from lmia import ledger, record, shell
from lmia.altered import differences
from lmia.commands.seal import ABOUT, OUT, main
from lmia.errors import LmiaError
from lmia.seal import read_seal
from lmia.setup import Setup
from lmia.stock import portable
from plugin_makers import tiny_audit

WORDS = ["--model", "toy:0:60", "--members", "noise:0:60", "--nonmembers", "noise:200:260", "--plugin", "plain"]


@pytest.fixture(autouse=True)
def _world(monkeypatch, tmp_path):
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)


def config(tmp_path, more=""):
    text = textwrap.dedent("""\
        model: toy:0:60
        data: {members: "noise:0:60", nonmembers: "noise:200:260"}
        plugin: [plain]
        """)
    (tmp_path / "audit.yaml").write_text(text + more)
    return "audit.yaml"


def sealed(*words, out="seal.json"):
    assert main([*words, "--out", out]) == 0
    return read_seal(Path(out))


def test_without_words_it_explains_itself(capsys, tmp_path):
    for words in ([], ["--help"], ["audit.yaml", "-h"]):
        assert main(words) == 0
        assert capsys.readouterr().out == ABOUT + "\n"
    assert max(map(len, ABOUT.splitlines())) <= 120
    assert list(tmp_path.iterdir()) == []


def test_it_writes_a_seal_and_says_its_digest_in_plain_words(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(worlds.Matrices, "encode_image", None)  # nothing is scored
    monkeypatch.setattr(worlds.Matrices, "encode_text", None)
    assert main([config(tmp_path)]) == 0
    seal = read_seal(tmp_path / OUT)
    said = capsys.readouterr().out
    assert f"\nDigest: {seal.digest}\n" in said
    assert "  members: 60 records\n  nonmembers: 60 records\n" in said
    for digest in seal.parts.digests.values():
        assert f"  {digest[:16]}...  " in said
    assert f"Run the same audit with --seal {OUT}." in said
    assert "What it does not: that nobody had scored these data before that day." in said
    assert "Audits of these data" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.yaml", OUT]


def test_config_and_flags_seal_the_same(tmp_path):
    one = sealed(config(tmp_path), out="one.json")
    assert sealed(*WORDS, out="two.json").digest == one.digest
    assert sealed("--config", config(tmp_path), out="three.json").digest == one.digest
    assert sealed(config(tmp_path), "--seed", "1", out="four.json").parts.config["seed"] == 1
    assert (
        sealed(config(tmp_path, "seed: 1\nout: elsewhere\nshow_pairs: true\n"), out="five.json").parts.config["seed"]
        == 1
    )


@pytest.mark.parametrize("words", [["--out=seal.json"], ["--out", "seal.json"]])
def test_out_is_the_seals_own_file(tmp_path, words):
    assert main([config(tmp_path), *words, "--seed", "0"]) == 0
    assert read_seal(tmp_path / "seal.json").parts.config["seed"] == 0


@pytest.mark.parametrize("words", [["--out"], ["--out="], ["--out", "--seed", "0"]])
def test_out_without_a_name_is_two_lines(tmp_path, words):
    with pytest.raises(LmiaError, match="--out has no value"):
        main([config(tmp_path), *words])


def test_a_seal_replaces_no_file_and_says_so_before_it_reads_anything(tmp_path, capsys):
    (tmp_path / OUT).write_text("mine")
    assert shell.run(["seal", "nowhere.yaml"]) == 2
    assert (
        capsys.readouterr().err
        == f"lmia: '{OUT}' is there already, and a seal replaces no file.\nName another with --out FILE.\n"
    )
    assert (tmp_path / OUT).read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.yaml"], "The config nowhere.yaml cannot be read"),
        ([*WORDS[2:]], "No model is given"),
        ([*WORDS, "--plugin", "nobody"], "No attack is called 'nobody'"),
        ([*WORDS, "--plugin", "plain"], "The attack 'plain' is asked for twice."),
        ([*WORDS, "--fpr", "0.0001"], "0.0001"),
        ([*WORDS, "--colour", "red"], "There is no option --colour"),
    ],
)
def test_what_could_not_be_audited_is_not_sealed(tmp_path, words, said):
    with pytest.raises(LmiaError) as error:
        main(words)
    assert said in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "more",
    [
        ["--fpr", "0.4", "--detect", "0.6", "--seed", "3", "--confidence", "0.9"],
        ["--plugin", "knobs", "--plugin.factor", "1", "--plugin.shares", "1", "0.25", "--plugin", "knobs:loud"],
        ["--plugin", "compares", "--plugin", "both", "--views", "reflections", "--max-pixels", "9999", "--batch", "7"],
        ["--pool", "noise:400:500?n=70&seed=2", "--known-nonmembers", "noise:600:700", "--allow-overlap", "--placebo",
         "toy:900:950", "--model.leak", "2"],
    ],
    ids=["levels", "knobs", "views", "roles"],
)  # fmt: skip
def test_what_is_sealed_is_what_the_same_words_audit(more, monkeypatch):
    """The config that an audit leaves holds nothing that a seal would refuse."""
    made, make = [], record.config

    @wraps(make)
    def kept(*args, **settings):
        made.append(make(*args, **settings))
        return made[-1]

    def stop(*args):
        raise LmiaError("The model would run now.", "")

    monkeypatch.setattr(record, "config", kept)
    monkeypatch.setattr(Setup, "extract", stop)
    seal = sealed(*WORDS, *more)
    assert shell.run(["audit", *WORDS, *more, "--out", "report", "--trainer.accelerator", "cpu"]) == 2
    config = yaml.safe_load(record.write_config(made[-1], Path("report")).read_text())
    assert config["trainer"] == {"accelerator": "cpu"}
    assert portable(config) == seal.parts.config
    again = sealed("report/config.yaml", out="again.json")  # replayed from it
    assert differences(seal.parts, again.parts) == []
    assert again.digest == seal.digest


def test_an_audit_goes_on_just_where_it_is_the_sealed_one(monkeypatch, capsys):
    def stop(*args):
        raise LmiaError("The model would run now.", "Now.")

    monkeypatch.setattr(Setup, "extract", stop)
    sealed(*WORDS)
    capsys.readouterr()
    for more, said in [
        (["--seed", "1"], "This audit is not the one sealed in 'seal.json': config: seed was 0, is 1."),
        (["--nonmembers", "noise:200:259"], "nonmembers (60 records, now 59)"),
        ([], "The model would run now."),
    ]:
        words = [*WORDS[:4], *WORDS[6:], *(more if "--nonmembers" in more else [*WORDS[4:6], *more])]
        assert shell.run(["audit", *words, "--seal", "seal.json", "--out", "report"]) == 2
        problem, _ = capsys.readouterr().err.splitlines()[-2:]
        assert problem.startswith("lmia: ")
        assert said in problem
        assert Path("report").exists() == (not more)


def test_the_same_files_elsewhere_have_the_same_digest(tmp_path, monkeypatch):
    """A table, its pictures and an open_clip model, copied to another folder and named by other paths."""
    here = tmp_path / "here"
    words = ["--plugin", "csa", *tiny_audit(here, 12, 20)]
    one = sealed(*words, out="one.json")
    shutil.copytree(here, tmp_path / "there")
    moved = [word.replace(str(here), str(tmp_path / "there")) for word in words]
    assert moved != words
    two = sealed(*moved, "--cache", "another", "--trainer.accelerator", "cpu", out="two.json")
    assert two.digest == one.digest
    monkeypatch.chdir(tmp_path / "there")
    relative = [word.replace(f"{here}/", "") for word in words]
    assert sealed(*relative, out="three.json").digest == one.digest
    picture = next((tmp_path / "there" / "members").glob("*.png"))
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert differences(one.parts, sealed(*relative, out="four.json").parts) == [
        "data: members (as many records, but others)"
    ]


def test_earlier_audits_of_the_data_are_said(tmp_path, capsys, monkeypatch):
    cache = tmp_path / "cache"
    past = ledger.Past((ledger.Scoring("2026-01-01T00:00:00+00:00", "t", ("csa", "wsa"), "s"),), unread=1)
    seen = []
    monkeypatch.setattr(ledger, "earlier", lambda root, data: seen.append((root, data)) or past)
    sealed(*WORDS, "--cache", str(cache))
    assert "from before this seal: 2 (attacks: csa, wsa). The report will say so." in capsys.readouterr().out
    ((root, data),) = seen
    assert root == cache
    assert len(data) == 32


def test_a_ledger_that_cannot_be_read_is_said_and_costs_no_seal(tmp_path, capsys):
    (tmp_path / "cache").write_text("a file")
    assert sealed(*WORDS, "--cache", "cache").digest
    assert "Earlier audits of these data are not known: " in capsys.readouterr().out
