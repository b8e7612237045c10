import hashlib
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import lmia
import players
import worlds
from console import files, ran
from lmia import shell
from lmia.data import AuditData
from lmia.extract import FeatureExtractor
from lmia.report.archive import read_report
from lmia.report.sentences import DEMO

ROLES = {"members": "noise:0:150", "nonmembers": "noise:200:350", "known_nonmembers": "noise:400:500"}
WORDS = ["--model", "toy:0:150", "--pool", "noise:600:650"]
WORDS += [word for role, spec in ROLES.items() for word in (f"--{role.replace('_', '-')}", spec)]


@pytest.fixture(autouse=True)
def _players(monkeypatch, tmp_path):
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)


def digest(folder):
    return hashlib.sha256((Path(folder) / "scores.parquet").read_bytes()).hexdigest()


def audit(*words):
    return shell.run(["audit", *words])


def test_flags_config_replay_and_python_give_one_digest(tmp_path, capsys):
    config = {
        "model": {"target": {"class_path": "players.Toy", "init_args": {"members": "0:150", "leak": 0.5}}},
        "data": {**ROLES, "pool": {"class_path": "Noise", "init_args": {"start": 600, "stop": 650}}, "batch": 32},
        "plugin": ["plain", {"class_path": "Knobs", "init_args": {"factor": 2.0}}],
        "fpr": [0.1, 0.2],
        "seed": 3,
        "out": "config",
    }
    Path("audit.yaml").write_text(yaml.safe_dump(config))
    flags = ["--plugin", "Plain", "--plugin=knobs", "--plugin.factor", "2", "--leak", "0.5", "--seed", "3"]
    flags += ["--batch", "32", "--fpr", "0.1,0.2", "--out", "flags"]
    assert audit(*WORDS, *flags) == 0
    assert audit("--config", "audit.yaml") == 0
    assert audit("--config", "flags/config.yaml", "--out=replayed") == 0
    assert audit("--out", "twice", "--config", "replayed/config.yaml") == 0
    roles = {role: worlds.Noise(*map(int, spec.split(":")[1:])) for role, spec in ROLES.items()}
    model = FeatureExtractor(players.Toy("0:150", leak=0.5))
    data = AuditData(**roles, pool=worlds.Noise(600, 650), batch=32)
    report = lmia.run_audit(model, data, [worlds.Plain(), players.Knobs(2.0)], fpr=[0.1, 0.2], seed=3, out="python")
    digests = {name: digest(name) for name in ("flags", "config", "replayed", "twice", "python")}
    assert set(digests.values()) == {report.scores_sha256}
    replay = {name: yaml.safe_load(Path(name, "config.yaml").read_text()) for name in ("flags", "config", "replayed")}
    for one in replay.values():
        one.pop("out")
    assert replay["flags"] == replay["config"] == replay["replayed"]
    assert capsys.readouterr().err == ""


def test_placebos_by_flag_by_config_and_by_replay(capsys):
    """A model that remembers other pairs: it tells these apart no better than chance."""
    assert audit(*WORDS, "--plugin", "plain", "--placebo", "toy:900:950", "--placebo", "toy:0:0", "--out", "flags") == 0
    out = capsys.readouterr().out
    assert "On the placebo matrices, which cannot remember these pairs, no attack was found" in " ".join(out.split())
    assert audit("--config", "flags/config.yaml", "--out", "replayed") == 0
    found = [read_report(Path(name, "report.json")) for name in ("flags", "replayed")]
    assert found[0].validity.besides == found[1].validity.besides
    assert [(beside.model, beside.kind) for beside in found[0].validity.besides] == [
        ("matrices", "placebo"), ("matrices#2", "placebo")]  # fmt: skip
    assert all(beside.above.low > 0 for beside in found[0].validity.besides)


def test_the_auc_to_detect_is_said_and_replayed(capsys):
    assert audit(*WORDS, "--plugin", "plain", "--detect", "0.6", "--out", "flags") == 0
    assert "With 150 + 150 pairs an AUC of" in " ".join(capsys.readouterr().out.split())
    assert "an AUC of 0.6 in" in read_report(Path("flags", "report.json")).validity.power
    assert yaml.safe_load(Path("flags", "config.yaml").read_text())["detect"] == 0.6
    assert audit(*WORDS, "--plugin", "plain", "--detect", "0.5") == 2
    assert "The AUC to detect cannot be 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--placebo", "toy:0:150"], "is the target itself"),
        (["--placebo", "toyy"], "toyy"),
        (["--placebo.leak", "3"], "--placebo.leak sets nothing"),
    ],
)
def test_a_placebo_that_cannot_be(capsys, words, said):
    assert audit(*WORDS, "--plugin", "plain", *words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 2


def test_the_summary_is_printed_and_ends_with_the_report(capsys):
    assert audit(*WORDS, "--plugin", "plain") == 0
    out, err = capsys.readouterr()
    assert "plain" in out
    assert "lmia-audit/report.html" in out.splitlines()[-1]
    assert err == ""


def test_what_the_audit_can_see_is_said_before_it_reads_anything_where_nobody_looks_on_too(capsys, monkeypatch):
    told = []

    def begins(*_, **__):
        told.append(capsys.readouterr().out)
        raise lmia.LmiaError("Far enough.", "Stop here.")

    monkeypatch.setattr("lmia.cli.run_audit", begins)
    monkeypatch.setattr(worlds.Noise, "count", worlds.Counted.count)
    assert audit(*WORDS, "--plugin", "plain", "--detect", "0.6") == 2
    assert told[0].startswith("Before anything is read: with 150 + 150 pairs")


def test_nothing_to_learn_is_a_row_and_a_table_and_no_failure(capsys):
    """A model that remembers the known non-members: no pool has more above their threshold than they have."""
    words = ["--model", "toy:400:500", "--pool", "noise:600:750", *WORDS[4:], "--plugin", "wsa", "--plugin", "plain"]
    assert audit(*words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    row = next(i for i, line in enumerate(out.splitlines()) if line.startswith("wsa "))
    assert [line.split() for line in out.splitlines()[row : row + 2]] == [["wsa", "nothing"], ["to", "learn"]]
    assert "wsa found nothing to learn: The pool looks like the known non-members" in " ".join(out.split())
    wsa, plain = json.loads(Path("lmia-audit", "report.json").read_text())["attacks"]
    assert (wsa["status"], plain["status"]) == ("nothing to learn", "ran")
    table = wsa["findings"]["lambdas"]
    assert [row["lambda"] for row in table] == [-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5]
    assert all(row["bound"] is None or row["bound"] >= 0.95 for row in table)
    assert [row["pool_count"] for row in table] == sorted((row["pool_count"] for row in table), reverse=True)
    assert not any(row["chosen"] for row in table)


def test_suspects_beside_known_nonmembers(capsys):
    words = ["--model", "toy:0:150", "--suspects", "noise:100:200", "--known-nonmembers", "noise:400:700"]
    assert audit(*words, "--plugin", "plain") == 0
    assert "smallest p" in capsys.readouterr().out
    report = json.loads(Path("lmia-audit", "report.json").read_text())
    assert report["question"] == "use"
    rows = pq.read_table("lmia-audit/scores.parquet").to_pylist()
    suspects = [row for row in rows if row["role"] == "suspects" and row["model"] != "no model"]
    assert {row["key"] for row in suspects} == {f"noise/{i}" for i in range(100, 200)}
    assert all(1 / 101 <= row["p"] <= row["q"] <= 1 for row in suspects)  # a third of 300 calibrate
    assert {row["role"] for row in rows} == {"suspects", "calibration"}


def test_two_presets_of_one_attack_are_two_rows(capsys):
    words = ["--model", "toy:0:500", "--members", "noise:0:100", "--nonmembers", "noise:600:700"]
    words += ["--known-nonmembers", "noise:700:850", "--pool", "noise:100:500"]
    assert audit(*words, "--plugin", "wsa:official", "--plugin", "wsa:bench") == 0
    out = capsys.readouterr().out
    official, bench = json.loads(Path("lmia-audit", "report.json").read_text())["attacks"]
    for one, lam, network in ((official, 1.5, "mlp"), (bench, 0.5, "linear")):
        assert (one["status"], one["findings"]["lambda"], one["settings"]["network"]) == ("ran", lam, network)
        assert one["auc"]["low"] <= one["auc"]["value"] <= one["auc"]["high"]
    assert [official["name"], bench["name"]] == ["wsa:official", "wsa:bench"]
    rows = [line.split()[0] for line in out.splitlines() if line.startswith("wsa:")]
    assert rows[:2] == ["wsa:official", "wsa:bench"]
    rows = pq.read_table("lmia-audit/scores.parquet").to_pylist()
    scored = Counter(row["attack"] for row in rows if row["model"] == "target")
    assert scored == {"wsa:official": 250, "wsa:bench": 250}  # 100 members, 100 nonmembers, 50 to calibrate


def test_pairs_are_shown_of_the_demo_and_of_nothing_else(monkeypatch):
    toys = {"model": "toy:0:150", **ROLES, "pool": "noise:600:650"}
    fresh = players.install(monkeypatch)
    monkeypatch.setattr(fresh.manager.hook, "lmia_demo", lambda: toys)
    assert audit("--plugin", "plain", "--out", "demo") == 0
    assert DEMO in Path("demo", "pairs.html").read_text()
    assert audit(*WORDS, "--plugin", "plain", "--out", "own") == 0
    assert read_report(Path("own", "report.json")).demo is False
    assert Path("own", "report.html").exists()
    assert not Path("own", "pairs.html").exists()


def test_a_printed_config_replays(capsys):
    assert audit(*WORDS, "--plugin", "both", "--print_config") == 0
    printed = capsys.readouterr().out
    assert not Path("lmia-audit").exists()
    Path("printed.yaml").write_text(printed)
    assert audit("--config", "printed.yaml", "--print-config") == 0
    assert capsys.readouterr().out == printed
    assert audit("--config", "printed.yaml", "--out", "printed") == 0
    assert audit(*WORDS, "--plugin", "both") == 0
    assert digest("printed") == digest("lmia-audit")


def test_an_attack_that_fails_keeps_its_traceback(capsys):
    with pytest.raises(ValueError, match="a fault of the attack's author"):
        audit(*WORDS, "--plugin", "faulty")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--trainer.accelerator", "abacus"], "abacus"),
        (["--trainer.devices", "none"], "none"),
        (["--trainer.strategy", "chess"], "chess"),
        (["--trainer.inference_mode", "perhaps"], "perhaps"),
    ],
)
def test_a_trainer_that_cannot_be_made_is_two_lines(capsys, words, named):
    assert audit(*WORDS, "--plugin", "plain", *words) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert named in first
    assert second
    assert not Path("lmia-audit").exists()


def test_help_explains_every_option_of_everything_installed(capsys):
    assert audit("--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("lmia audit: ")
    for option in ("--plugin.factor FACTOR", "--model.leak LEAK", "--data.batch BATCH", "--confidence CONFIDENCE",
                   "--model.cache CACHE", "--plugin.lam LAM", "--views.k K", "--members.stop STOP"):  # fmt: skip
        assert option in text
    assert "Path to a configuration file" not in text
    assert "--fpr+" not in text
    assert audit("--trainer.help") == 0
    assert "--trainer.devices DEVICES" in capsys.readouterr().out


def test_plugins_are_listed_a_line_each_the_broken_last(monkeypatch, capsys):
    players.install(monkeypatch, "no_such_module")
    assert shell.run(["plugins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(maxsplit=4) for line in lines]
    ours = [row[1] for row in rows if row[0] == "attack" and row[2] == "lmia"]
    assert ours == ["aea", "anchor", "csa", "semisupervised", "wsa"]
    assert lines[-1].startswith("broken")
    assert "ModuleNotFoundError: No module named 'no_such_module'" in lines[-1]
    assert shell.run(["plugins", "--all"]) == 2
    assert "--all" in capsys.readouterr().err


def test_the_script_is_silent_but_for_its_table_and_faults_exit_1(tmp_path):
    """With warnings as Python has them, not as pytest does."""
    words = [*WORDS, "--plugin", "plain", "--out", str(tmp_path / "out")]
    code, out, err = ran("audit", *words, toys=True, LMIA_CACHE=str(tmp_path / "cache"))
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("report.html")
    code, out, err = ran("audit", *words, "--plugin", "faulty", toys=True, LMIA_CACHE=str(tmp_path / "cache"))
    assert code == 1
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1] == "ValueError: a fault of the attack's author"


@pytest.mark.slow
def test_two_devices_give_the_scores_of_one_from_the_console_script(tmp_path):
    words = [
        *files(tmp_path, pairs=400),
        "--plugin",
        "wsa",
        "--plugin.lam=-1.5",
        "--plugin.epochs",
        "1",
        "--plugin",
        "csa",
    ]
    digests = set()
    for devices in ("1", "2"):
        out = tmp_path / devices
        code, _, err = ran("audit", *words, "--out", str(out), "--trainer.devices", devices, "--trainer.accelerator",
                           "cpu", LMIA_CACHE=str(tmp_path / f"cache{devices}"))  # fmt: skip
        assert (code, err) == (0, "")
        digests.add(digest(out))
    assert len(digests) == 1
