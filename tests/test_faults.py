"""Machines that fail: each leaves a store that the next run uses, an old report as it was, and a true sentence."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import faults
import players
import worlds
from lmia import aside, audit, gather, picture, shell
from lmia.alone import alone
from lmia.data import AuditData, shards_of
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor, extract
from lmia.picture import open_pair
from lmia.record import trainer
from lmia.report.archive import read_report
from lmia.source import Pair, Rejected
from lmia.store import FORMAT, Store, default_cache
from test_store import FACTS, filled
from training.worlds import fit

GOOD = ["--model", "toy:0:150", "--members", "noise:0:150", "--nonmembers", "noise:200:350", "--plugin", "plain"]
FIT = ["--model", "demo,random", "--source", "emoji:0:24", "--epochs", "2", "--batch", "12"]
FIT += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(autouse=True)
def _world(monkeypatch):
    players.install(monkeypatch, "faults")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The cache and the report of an audit to which nothing happened."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        players.install(patch, "faults")
        assert shell.run(["audit", *GOOD, "--cache", str(folder / "cache"), "--out", str(folder / "out")]) == 0
    return folder


@pytest.fixture
def unbroken(whole):
    """The bytes of its scores.parquet."""
    return scores(whole / "out")


@pytest.fixture
def cached(whole):
    """A copy of its cache, in use."""
    shutil.copytree(whole / "cache", default_cache(), dirs_exist_ok=True)
    return default_cache()


def run(capsys, command, words, out):
    """Run a command; return its exit code and what it says on standard error, line by line."""
    capsys.readouterr()
    code = shell.run([command, *words, "--out", str(out)])
    return code, capsys.readouterr().err.splitlines()


def refused(capsys, command, words, out):
    """Run a command that a fault ends; return its two lines."""
    code, said = run(capsys, command, words, out)
    assert code == 2, said
    first, second = [line for line in said if not line.startswith("epoch ")]
    assert first.startswith("lmia: ")
    return first, second


def scores(out):
    return (out / faults.SCORES).read_bytes()


def extraction(out):
    return json.loads((out / "report.json").read_text())["extraction"]


# Processes that are killed


def test_a_killed_reading_process_is_said_and_the_next_run_goes_on(capsys, tmp_path):
    words = ["--model", "toy:0:150", "--members", "dying:0:384", "--nonmembers", "noise:400:550", "--plugin", "plain"]
    first, second = refused(capsys, "audit", [*words, "--workers", "2"], tmp_path / "out")
    assert "A process that reads pictures was killed" in first
    assert "--workers 0" in second
    code, said = run(capsys, "audit", [*words, "--workers", "0"], tmp_path / "out")
    assert code == 0, said
    assert 1 <= extraction(tmp_path / "out")["shards_cached"] < extraction(tmp_path / "out")["shards"]


@pytest.mark.slow
def test_a_killed_rank_ends_the_others_and_its_shards_are_done_by_the_next_run(tmp_path, monkeypatch):
    """Rank 1 kills itself in its last shard; rank 0 would wait for it at the barrier."""
    script = tmp_path / "toys.py"
    script.write_text(
        "import pytest, players; from lmia.shell import main; players.install(pytest.MonkeyPatch(), 'faults'); main()"
    )
    here = str(Path(__file__).parent)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "LMIA_CACHE": str(tmp_path / "cache")}
    env["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    words = ["audit", "--model", "toy:0:150", "--members", "dying:0:128", "--nonmembers", "noise:200:300"]
    words += ["--plugin", "plain", "--trainer.accelerator", "cpu", "--workers", "0", "--out", str(tmp_path / "out")]
    two = subprocess.run(
        [sys.executable, str(script), *words, "--trainer.devices", "2"],
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert two.returncode == 2, two.stderr
    assert "process of this run was killed" in two.stderr
    assert "Traceback" not in two.stderr
    kept = len(list((tmp_path / "cache").rglob("pairs/*.parquet")))
    assert kept >= 1
    monkeypatch.setenv("LMIA_CACHE", str(tmp_path / "cache"))
    assert shell.run(words) == 0
    assert 1 <= extraction(tmp_path / "out")["shards_cached"] < extraction(tmp_path / "out")["shards"]


def test_who_is_told_to_end_ends_and_the_next_run_goes_on(tmp_path):
    """SIGTERM, which Lightning takes note of and no more: a machine that shuts down, a scheduler, `timeout`."""
    words = ["--model", "toy:0:150", "--members", "slow:0:600", "--nonmembers", "slow:1000:1600", "--plugin", "plain"]
    words = ["audit", *words, "--workers", "0", "--batch", "8", "--out", str(tmp_path / "out")]
    process = faults.begun(words, tmp_path / "said")
    faults.wait(lambda: len(list(default_cache().rglob("pairs/*.parquet"))) >= 2)
    os.kill(process.pid, signal.SIGTERM)
    assert faults.ended(process, 30) == 143
    assert "the same command goes on from there" in (tmp_path / "said").read_text()
    assert faults.ended(faults.begun(words, tmp_path / "said")) == 0, (tmp_path / "said").read_text()
    assert extraction(tmp_path / "out")["shards_cached"] >= 1


def test_a_pass_that_was_broken_off_leaves_nothing_in_the_next_one_of_the_same_process(tmp_path):
    """Half a shard that waits in memory would come twice."""

    class Breaks(worlds.Noise):
        broken_off = False

        def read(self, shard):
            for i, pair in enumerate(super().read(shard)):
                if i == 20 and not self.broken_off:
                    self.broken_off = True
                    raise LmiaError("The disk is gone.", "Bring it back.")
                yield pair

    source, model = Breaks(0, 40), FeatureExtractor(worlds.Matrices(), None, tmp_path)
    asked = (
        trainer(accelerator="cpu"),
        model,
        AuditData(members=source, batch=8, workers=0),
        shards_of(source),
        ["cosine"],
    )
    with pytest.raises(LmiaError, match="The disk is gone"):
        extract(*asked)
    extract(trainer(accelerator="cpu"), *asked[1:])
    assert model.store.array("cosine", asked[3][0].key).shape == (40,)
    assert len(model.store.pairs(asked[3][0].key)[0]) == 40


def test_what_kills_left_aside_is_removed_and_what_is_under_way_is_not(capsys, tmp_path, cached):
    old, out = time.time() - 2 * aside.OLD, tmp_path / "out"
    folder = next(cached.rglob("cosine"))
    (out / ".report.3.part").mkdir(parents=True)
    left = [folder / ".a.npy.0.part", cached / "blind" / ".b.npz.1.part", out / ".report.html.2.part"]
    under_way = folder / ".c.npy.4.part"
    for path in (*left, under_way):
        path.write_bytes(b"half")
    for path in (*left, out / ".report.3.part"):
        os.utime(path, (old, old))
    assert run(capsys, "audit", GOOD, out)[0] == 0
    assert [*faults.parts(cached), *faults.parts(out)] == [under_way]


# Memory that runs out

MEMORY = {
    "numpy's": MemoryError("Unable to allocate 9.00 TiB for an array"),
    "a GPU's": torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 9.00 TiB. GPU 0 has a total capacity of 80 GiB"
    ),
    "torch's on the CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
    ),
    "the system's": OSError(errno.ENOMEM, "Cannot allocate memory"),
}


@pytest.mark.parametrize("error", MEMORY.values(), ids=MEMORY)
def test_memory_that_runs_out_in_the_model_is_said_with_a_way_out(capsys, tmp_path, monkeypatch, unbroken, error):
    encode, calls = worlds.Matrices.encode_image, []

    def greedy(self, pixels):
        calls.extend([1] * (len(pixels) > 1))  # a batch; a shard's first pairs are encoded once more, one by one
        if len(calls) > 4:
            raise error
        return encode(self, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(worlds.Matrices, "encode_image", greedy)
        first, second = refused(capsys, "audit", GOOD, tmp_path / "out")
    assert first.startswith("lmia: Memory ran out: ")
    assert "--batch" in second
    assert run(capsys, "audit", GOOD, tmp_path / "out")[0] == 0
    assert extraction(tmp_path / "out")["shards_cached"] >= 1
    assert scores(tmp_path / "out") == unbroken


def test_a_fault_of_the_models_author_keeps_its_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr(worlds.Matrices, "encode_image", lambda self, pixels: pixels.flatten(1) @ torch.ones(7, 7))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        shell.run(["audit", *GOOD, "--out", str(tmp_path / "out")])


def test_memory_that_runs_out_in_the_evidence_is_said(capsys, tmp_path, monkeypatch, cached):
    def greedy(*_):
        raise MemoryError

    monkeypatch.setattr(audit, "validity", greedy)
    first, second = refused(capsys, "audit", GOOD, tmp_path / "out")
    assert first == "lmia: Memory ran out."
    assert "what was extracted is kept" in second


def test_memory_that_runs_out_is_not_held_against_a_picture(monkeypatch):
    """Kept in the store, that would outlast the shortage; a file that asks for absurdly much is rejected as ever."""

    def greedy(*_):
        raise MemoryError

    pair = Pair("a", "a dot", worlds.png(Image.new("RGB", (8, 8))))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", greedy)
    assert open_pair(pair) == Rejected("a", "image does not decode")
    monkeypatch.setattr(picture, "bytearray", greedy, raising=False)
    with pytest.raises(MemoryError):
        open_pair(pair)


# Disks that fill


def out_of_room(capsys, command, words, out, site):
    """Run a command whose disk is full where it comes to `site`; return what it says one can do."""
    with pytest.MonkeyPatch.context() as patch:
        players.install(patch, "faults")
        tried = faults.fill(patch, site)
        first, second = refused(capsys, command, words, out)
    assert tried, site
    assert "No space left on device" in first, site
    return second


SITES = ["cosine", "pairs", "blind", faults.SCORES, "config.yaml", "report.json", "report.md", "report.html"]


def test_wherever_an_audit_fills_the_disk_the_old_report_stays_and_the_next_run_ends(capsys, tmp_path, whole, unbroken):
    out = tmp_path / "out"
    shutil.copytree(whole / "out", out)
    (out / "report.md").write_text("older")
    old = faults.contents(out)
    for site in SITES:  # in the order of writing: each run goes a step further
        second = out_of_room(capsys, "audit", GOOD, out, site)
        assert "--out" in second or "--cache" in second, site
        assert faults.contents(out) == old, site
        assert faults.parts(default_cache()) == [], site
    assert run(capsys, "audit", GOOD, out)[0] == 0
    assert scores(out) == unbroken
    assert (out / "report.md").read_text() != "older"
    assert read_report(out / "report.json").scores_sha256 == hashlib.sha256(unbroken).hexdigest()


def test_a_full_disk_at_the_ledger_costs_a_sentence_in_the_report(capsys, tmp_path, monkeypatch, cached, unbroken):
    real = Path.open

    def full(path, mode="r", *args, **kwargs):
        if "a" in mode and path.suffix == ".jsonl":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    assert run(capsys, "audit", GOOD, tmp_path / "out")[0] == 0
    assert "not counted for later ones" in (tmp_path / "out" / "report.md").read_text()
    assert scores(tmp_path / "out") == unbroken


def test_wherever_a_training_fills_the_disk_the_same_command_goes_on_to_the_same_weights(capsys, tmp_path):
    out = tmp_path / "t"
    for site in ("pixels.u8", "pairs.parquet", "training.json", "last.ckpt", WEIGHTS, "membership"):
        out_of_room(capsys, "fit", FIT, out, site)
        assert faults.parts(out) == [], site
    assert run(capsys, "fit", FIT, out)[0] == 0
    assert run(capsys, "fit", FIT, tmp_path / "whole")[0] == 0
    assert (out / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


# Files that are damaged

DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "torn at its end": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "something else": lambda path: path.write_bytes(b"nonsense"),
}


@pytest.mark.parametrize("harm", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["cosine/s.npy", f"pairs/s.{FORMAT}.parquet", "measured@x/s.npz"])
def test_a_damaged_file_is_lacking_and_never_read(tmp_path, name, harm):
    store = filled(tmp_path)
    assert store.lacks("s", ["cosine", "measured@x"]) == []
    harm(store.folder / name)
    assert store.lacks("s", ["cosine", "measured@x"]) == [name.partition("/")[0]]
    read = {"cosine": store.array, "measured@x": store.measured, "pairs": lambda _, shard: store.pairs(shard)}
    with pytest.raises(LmiaError, match="cannot be read"):
        read[name.partition("/")[0]](name.partition("/")[0], "s")


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_an_array_of_another_number_of_rows_is_lacking(tmp_path, rows):
    store = filled(tmp_path)
    np.save(store.folder / "cosine" / "s.npy", np.zeros(rows, np.float32))
    np.savez(store.folder / "measured@x" / "s.npz", loss=np.zeros(rows))
    assert store.lacks("s", ["cosine", "measured@x"]) == ["cosine", "measured@x"]


def test_what_was_made_of_other_pairs_is_dropped_when_a_shard_is_read_anew(tmp_path):
    """As many of them, but not the same ones: lengths alone would not tell."""
    store = filled(tmp_path)
    image = {"image": np.zeros((2, 3), np.float32)}
    store.write("s", image, {}, [("a", "ä cat", FACTS), ("b", "a dog", FACTS)], [Rejected("c", "no caption")])
    assert store.lacks("s", ["cosine", "image", "measured@x"]) == []
    store.write("s", image, {}, [("a", "ä cat", FACTS), ("c", "a bird", FACTS)], [Rejected("b", "file cannot be read")])
    assert store.lacks("s", ["cosine", "image", "measured@x"]) == ["cosine", "measured@x"]


def test_a_shard_of_rejected_records_alone_lacks_nothing(tmp_path):
    store = Store(tmp_path, "t")
    store.write("s", {"cosine": np.zeros(0, np.float32)}, {"measured@x": {}}, [], [Rejected("c", "no caption")])
    store.write("e", {"cosine": np.zeros(0, np.float32)}, {"measured@x": {}}, [], [])
    assert store.lacks("s", ["cosine", "measured@x"]) == store.lacks("e", ["cosine", "measured@x"]) == []


def test_a_damaged_cache_is_made_anew_where_it_is_damaged(capsys, tmp_path, cached, unbroken):
    cosines, pairs = (sorted(cached.rglob(f"{name}/*")) for name in ("cosine", "pairs"))
    np.save(cosines[0], np.zeros(len(np.load(cosines[0])) + 1, np.float32))
    cosines[1].write_bytes(b"")
    pairs[2].write_bytes(pairs[2].read_bytes()[:100])
    assert run(capsys, "audit", GOOD, tmp_path / "out")[0] == 0
    assert scores(tmp_path / "out") == unbroken
    told = extraction(tmp_path / "out")
    assert told["shards"] - told["shards_cached"] == 3


def test_features_that_do_not_fit_the_pairs_are_named_and_not_used():
    """Where another process writes between the look and the reading."""
    table = pa.table({"shard": pa.array([0, 0, 1], pa.int32()), "row": pa.array([0, 1, 0])})
    where, shards = gather._where(table, np.arange(3), 2), shards_of(worlds.Noise(0, 80))
    with pytest.raises(LmiaError, match=r"Of the shard '64' 2 pairs have features, and 1 are there"):
        gather._fill([lambda shard: np.zeros(2)], shards, where, 3)


def test_another_limit_of_pixels_is_another_shard(capsys, tmp_path):
    """What was too large for one run is not too large for the next, and their features are kept apart."""
    words = [*GOOD, "--max-pixels"]
    first, _ = refused(capsys, "audit", [*words, "63"], tmp_path / "out")
    assert "{'decompression bomb': 150}" in first
    assert run(capsys, "audit", [*words, "64"], tmp_path / "out")[0] == 0
    source = worlds.Noise(0, 9)
    assert shards_of(source) == shards_of(source, picture.MAX_PIXELS) != shards_of(source, 64)


def test_a_shard_that_the_system_cannot_read_is_named(capsys, tmp_path, monkeypatch):
    read = worlds.Noise.read

    def failing(self, shard):
        yield from read(self, shard)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(worlds.Noise, "read", failing)
    first, second = refused(capsys, "audit", [*GOOD, "--workers", "1"], tmp_path / "out")
    assert "The shard '0' cannot be read: [Errno 5] Input/output error" in first
    assert "finished shards are kept" in second


# Clocks that jump


def test_a_clock_that_jumps_changes_nothing(capsys, tmp_path, monkeypatch, cached, unbroken):
    """Backwards while it runs, with a cache from the future and a shard of it to be made."""
    out, moment = tmp_path / "out", iter(range(2_000_000_000, 0, -100_000))
    next(cached.rglob("cosine/*")).unlink()
    for path in cached.rglob("*"):
        os.utime(path, (4e9, 4e9))
    monkeypatch.setattr(time, "time", lambda: float(next(moment)))
    assert run(capsys, "audit", GOOD, out)[0] == 0
    report = read_report(out / "report.json")
    assert extraction(out)["shards_cached"] == extraction(out)["shards"] - 1
    assert min(report.seconds, extraction(out)["seconds"], *(one.seconds for one in report.attacks)) >= 0
    assert scores(out) == unbroken


# Two at once


def test_four_audits_at_once_on_an_empty_cache_are_as_each_alone(tmp_path, unbroken):
    """Three alike, two of them into one folder, and one whose attack keeps more of the same shards."""
    alike = ["audit", *GOOD, "--workers", "0", "--cache"]
    anchor = ["--plugin", "anchor"]
    lone = [*alike, str(tmp_path / "lone"), *anchor, "--out", str(tmp_path / "lone" / "out")]
    assert shell.run(lone) == 0
    runs = {"one": [], "two": [], "two again": [], "more": anchor}
    both = {
        name: faults.begun(
            [*alike, str(tmp_path / "cache"), *words, "--out", str(tmp_path / name.split()[0])],
            tmp_path / f"{name}.txt",
        )
        for name, words in runs.items()
    }
    for name, process in both.items():
        assert faults.ended(process) == 0, (tmp_path / f"{name}.txt").read_text()
    assert scores(tmp_path / "one") == scores(tmp_path / "two") == unbroken
    assert scores(tmp_path / "more") == scores(tmp_path / "lone" / "out") != unbroken
    for name in ("one", "two", "more"):
        digest = hashlib.sha256(scores(tmp_path / name)).hexdigest()
        assert read_report(tmp_path / name / "report.json").scores_sha256 == digest
    assert faults.parts(tmp_path) == []


def test_a_second_training_in_a_folder_is_refused_while_the_first_is_at_work(capsys, tmp_path):
    out = tmp_path / "t"
    with alone(out):
        first, second = refused(capsys, "fit", FIT, out)
    assert first == f"lmia: Another process is at work in '{out}'."
    assert "another --out" in second
    assert run(capsys, "fit", FIT, out)[0] == 0


# Trainings that are killed early and late


def test_a_training_killed_while_it_decodes_goes_on(tmp_path):
    place = tmp_path / "t" / "underway"
    place.mkdir(parents=True)
    (place / ".0-pixels.u8.0.part").write_bytes(b"half")
    (tmp_path / "t" / ".training.json.0.part").write_bytes(b"half")
    assert fit(tmp_path / "t", "emoji:0:24").finished


def test_what_a_training_needs_no_more_goes_even_if_it_was_killed_before(tmp_path):
    fit(tmp_path / "t", "emoji:0:24")
    (tmp_path / "t" / "underway").mkdir()
    with pytest.raises(LmiaError, match="already holds a target"):
        fit(tmp_path / "t", "emoji:0:24")
    assert not (tmp_path / "t" / "underway").exists()


def test_checkpoints_do_not_pass_through_the_systems_temporary_folder(tmp_path, monkeypatch):
    """It lies on another disk, from which a file is copied, and half a copy is no checkpoint."""

    def none(*args, **kwargs):
        raise AssertionError("a temporary file")

    monkeypatch.setattr("fsspec.implementations.local.tempfile.mkstemp", none)
    assert fit(tmp_path / "t", "emoji:0:24").finished
