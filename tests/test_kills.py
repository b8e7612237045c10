"""Fifty times `kill -9` at a random moment, each time the same command once more: the scores and weights of no kill."""

import hashlib
import random
import time
from pathlib import Path

import pytest

import faults
import players
from lmia.report.archive import read_report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

AUDIT = ["audit", "--model", "toy:0:150", "--members", "slow:0:300", "--nonmembers", "slow:500:800"]
AUDIT += ["--plugin", "plain", "--plugin", "anchor", "--workers", "0", "--batch", "16"]
FIT = ["fit", "--model", "demo,random", "--source", "emoji:0:200", "--epochs", "5", "--batch", "20", "--watched", "40"]
FIT += ["--save-epochs", "2", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(autouse=True)
def _world(monkeypatch):
    players.install(monkeypatch, "faults")


def went(words, said):
    """Run a command to its end; return its exit code and its seconds."""
    start = time.monotonic()
    return faults.ended(faults.begun(words, said), 600), time.monotonic() - start


def after(words, said, seconds):
    """Kill a command so many seconds after its start; return whether it still ran."""
    process = faults.begun(words, said)
    process.join(seconds)
    return process.is_alive() and faults.killed(process)


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def audited(folder):
    """Where an audit keeps its features and writes its report."""
    return [*AUDIT, "--cache", str(folder / "cache"), "--out", str(folder / "out")]


def test_twenty_kills_of_an_extraction(tmp_path):
    said, draw, hits, kept = tmp_path / "said", random.Random(0), 0, []
    code, seconds = went(audited(tmp_path / "whole"), said)
    assert code == 0, said.read_text()
    expected = sha(tmp_path / "whole" / "out" / faults.SCORES)
    extracting = read_report(tmp_path / "whole" / "out" / "report.json").extraction["seconds"]
    for i in range(20):
        folder = tmp_path / f"{i}"
        hits += after(audited(folder), said, draw.uniform(0.1, 1.1) * extracting)
        code, _ = went(audited(folder), said)
        assert code == 0, said.read_text()
        assert sha(folder / "out" / faults.SCORES) == expected, i
        kept.append(read_report(folder / "out" / "report.json").extraction["shards_cached"])
    times = f"{extracting:.1f} s of the {seconds:.1f} s of a whole run"
    print(f"{hits} of 20 kills came before the end; shards kept: {kept}; an extraction takes {times}")
    assert hits >= 15
    assert any(0 < shards < 20 for shards in kept)


def test_fifteen_kills_of_a_training(tmp_path):
    said, draw, hits = tmp_path / "said", random.Random(1), 0
    code, seconds = went([*FIT, "--out", str(tmp_path / "whole")], said)
    assert code == 0, said.read_text()
    names = (WEIGHTS, f"epochs/002/{WEIGHTS}", "metrics.csv", "membership.parquet")
    expected = {name: sha(tmp_path / "whole" / name) for name in names}
    for i in range(15):
        words = [*FIT, "--out", str(tmp_path / f"{i}")]
        hits += after(words, said, draw.uniform(0.05, 1) * seconds)
        code, _ = went(words, said)
        assert code == 0 or "already holds a target" in said.read_text(), said.read_text()
        assert {name: sha(tmp_path / f"{i}" / name) for name in names} == expected, i
        assert not (tmp_path / f"{i}" / "underway").exists()
    print(f"{hits} of 15 kills came before the end; a whole training takes {seconds:.1f} s")
    assert hits >= 8


def test_fifteen_kills_of_evidence_and_report(tmp_path, monkeypatch):
    """Features lie there, and an older report; every write takes longer, so that kills meet it."""
    said, draw, hits, old = tmp_path / "said", random.Random(2), 0, 0
    replace = Path.replace

    def slowly(path, target):
        time.sleep(0.05)
        return replace(path, target)

    assert went([*audited(tmp_path), "--seed", "7"], said)[0] == 0, said.read_text()
    monkeypatch.setattr(Path, "replace", slowly)
    out = tmp_path / "out"
    before = sha(out / faults.SCORES)
    code, seconds = went([*audited(tmp_path)[:-1], str(tmp_path / "whole")], said)
    assert code == 0, said.read_text()
    expected = sha(tmp_path / "whole" / faults.SCORES)
    assert before != expected
    for i in range(15):
        hits += after(audited(tmp_path), said, draw.uniform(0.05, 0.8) * seconds)
        assert sha(out / faults.SCORES) in (before, expected), i
        old += sha(out / faults.SCORES) == before
        code, _ = went(audited(tmp_path), said)
        assert code == 0, said.read_text()
        assert sha(out / faults.SCORES) == expected == read_report(out / "report.json").scores_sha256, i
        assert went([*audited(tmp_path), "--seed", "7"], said)[0] == 0
    print(f"{hits} of 15 kills came before the end, {old} of them left the old report; a run takes {seconds:.1f} s")
    assert hits >= 8
