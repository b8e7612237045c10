"""`lmia fit` as one types it: flags, configs, what it says, and every mistake in two lines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from lmia.commands.fit import guide, request
from lmia.membership import read
from lmia.report.archive import read_report
from lmia.shell import run

ROOT = Path(__file__).parents[2]
SMALL = ["--model", "demo,random", "--source", "emoji:0:120", "--epochs", "2", "--batch", "16"]
QUIET = ["--trainer.enable_progress_bar", "false"]
SIDES = ["--members", "emoji:0:9", "--nonmembers", "emoji:9:19"]
WEIGHTS = "open_clip_model.safetensors"


def refused(words, capsys):
    assert run(["fit", *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 2, said
    return " ".join(said)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("fit") / "t"
    assert run(["fit", *SMALL, *QUIET, "--repeated", "5", "--seed", "3", "--out", str(out)]) == 0
    return out


def test_it_says_what_became_of_it_and_how_to_audit_it(tmp_path, capsys):
    out = tmp_path / "t"
    assert run(["fit", *SMALL, *QUIET, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "of 120 pairs were in, 2 epochs: live AUC" in said.out
    assert f"--model local-dir:{out} --truth {out}/membership.parquet" in said.out
    assert said.err.count("epoch") == 2


def test_its_config_replays_to_the_same_weights(made, tmp_path):
    assert run(["fit", "--config", str(made / "config.yaml"), *QUIET, "--out", str(tmp_path / "again")]) == 0
    for name in (WEIGHTS, "membership.parquet", "metrics.csv"):
        assert (made / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_an_audit_takes_its_roles_from_the_manifest(made, tmp_path):
    truth = ["--truth", str(made / "membership.parquet"), "--source", "emoji:0:120"]
    words = ["--plugin", "csa", "--model", f"local-dir:{made}", *truth, "--out", str(tmp_path / "o"), *QUIET]
    assert run(["audit", *words]) == 0
    report = read_report(tmp_path / "o" / "report.json")
    known = read(made / "membership.parquet")
    counts = {count.role: count.records - sum(count.rejected.values()) for count in report.roles}
    assert report.attacks[0].auc is not None
    assert set(counts) == {"members", "nonmembers"}
    assert int(known.inside.sum()) == 120 - int((~known.inside).sum())


def test_seed_is_of_the_first_weights_too():
    tree = request([*SMALL, "--seed", "7"])
    assert tree["model"]["target"]["init_args"]["seed"] == 7
    assert request([*SMALL, "--seed", "7", "--model.seed", "1"])["model"]["target"]["init_args"]["seed"] == 1


def test_flags_go_on_top_of_the_config():
    tree = request(["--config", str(ROOT / "configs" / "fit-demo.yaml"), "--epochs", "3", "--share", "0.1"])
    assert tree["model"]["plan"]["epochs"] == 3
    assert tree["model"]["plan"]["stop_auc"] == 0.8
    assert (tree["data"]["share"], tree["data"]["repeated"]) == (0.1, 200)


def test_print_config_trains_nothing(tmp_path, capsys):
    assert run(["fit", *SMALL, "--out", str(tmp_path / "t"), "--print_config"]) == 0
    tree = yaml.safe_load(capsys.readouterr().out)
    assert tree["data"]["source"]["init_args"] == {"indices": "0:120"}
    assert not (tmp_path / "t").exists()


def test_help_names_every_option():
    said = guide()
    for word in ("--stop_auc", "--near_copies", "--without", "--save_epochs", "--share"):
        assert word in said


@pytest.mark.parametrize(
    ("words", "about"),
    [
        ([], "No target is given"),
        (["--model", "demo,random"], "No source is given"),
        ([*SMALL, "--epochs", "none"], "'epochs' of the training cannot be 'none'"),
        ([*SMALL, "--epochs", "0"], "'epochs' is 0"),
        ([*SMALL, "--epoch", "2"], "Did you mean 'epochs'"),
        ([*SMALL, "--share", "2"], "share of 2"),
        ([*SMALL, "--save-epochs", "5"], "no epoch 5 to save"),
        ([*SMALL, "--defence", "prayer"], "No defence is called 'prayer'"),
        ([*SMALL, "--defence.p", "1"], "stands before any --defence"),
        ([*SMALL, "--trainer.max_epochs", "3"], "Give --epochs N"),
        ([*SMALL, "--trainer.precision", "8"], "precision"),
        ([*SMALL, "--trainer.devices", "0", "--trainer.accelerator", "cpu"], "No trainer can be made with"),
        ([*SMALL, "--without", "nowhere.csv"], "'nowhere.csv', cannot be read"),
        (["--model", "demo,random", "--source", "emoji:9:1"], "no range of emoji scenes"),
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_mistakes_are_two_lines(words, about, tmp_path, capsys):
    assert about in refused([*words, "--out", str(tmp_path / "t")] if words else words, capsys)
    assert not (tmp_path / "t" / WEIGHTS).exists()


def test_a_taken_folder_is_said(made, capsys):
    assert "already holds a target" in refused([*SMALL, "--out", str(made)], capsys)


def test_a_half_trained_run_is_no_target(tmp_path, capsys):
    (tmp_path / "training.json").write_text(json.dumps({"finished": False, "pairs": 10}))
    assert run(["audit", "--plugin", "csa", "--model", f"local-dir:{tmp_path}", *SIDES]) == 2
    assert "has not finished" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_devices_learn_what_one_does(tmp_path):
    """Gloo on a CPU, from the console: the same lots, and weights as near as sums in another order are.

    All batches are even, or a pair would be left for another epoch.
    """
    words = ["--model", "demo,random", "--source", "emoji:0:64", "--share", "1", "--batch", "16", "--epochs", "2"]
    two = ["--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.strategy", "ddp"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, more in (("one", []), ("two", two)):
        command = [sys.executable, "-m", "lmia", "fit", *words, *QUIET, *more, "--out", str(tmp_path / name)]
        subprocess.run(command, check=True, env=environment)
    for name in ("membership.parquet", "open_clip_config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two"))
    moved = torch.cat([(one[name] - two[name]).abs().flatten() for name in one])
    print(f"weights differ by {moved.max():.1e} at most, {moved.mean():.1e} on average")
    assert moved.mean() < 1e-6
    assert moved[moved > 0].quantile(0.99) < 1e-5
