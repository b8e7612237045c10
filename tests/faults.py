"""Faults made on purpose: processes that are killed, disks that fill, memory that runs out."""

import hashlib
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import lmia
from lmia import shell
from lmia.store import default_cache
from worlds import Noise

FORK = multiprocessing.get_context("fork")
"""Processes that need not import torch again; what a test has patched is patched in them."""
SCORES = "scores.parquet"


class Slow(Noise):
    """Noise, two milliseconds a pair: `slow:0:100`."""

    def read(self, shard):
        for pair in super().read(shard):
            time.sleep(0.002)
            yield pair

    @classmethod
    def claims(cls, spec):
        return _numbers(spec, "slow")


class Dying(Noise):
    """Noise whose reader is killed in the last shard, once a shard is committed; once and never again: `dying:0:400`."""

    def read(self, shard):
        mark = default_cache() / "died"
        for pair in super().read(shard):
            if shard == self.shards()[-1] and not mark.exists():
                wait(lambda: list(default_cache().rglob("pairs/*.parquet")))
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield pair

    @classmethod
    def claims(cls, spec):
        return _numbers(spec, "dying")


def _numbers(spec, word):
    kind, _, numbers = spec.partition(":")
    start, _, stop = numbers.partition(":")
    return {"start": int(start), "stop": int(stop), "shard": 32} if kind == word else None


@lmia.hookimpl
def lmia_sources():
    return [Slow, Dying]


def wait(until, seconds=30):
    """Wait for something to be so."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def begun(words, said):
    """Begin a command in a process and a process group of its own; what it says goes to a file."""

    def command():
        os.setsid()
        with said.open("w") as file:
            sys.stdout = sys.stderr = file
            code = shell.run(words)
        os._exit(code)

    process = FORK.Process(target=command)
    process.start()
    return process


def ended(process, seconds=120):
    """Wait for a command and return its exit code."""
    process.join(seconds)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def killed(process):
    """Kill a command with everything that it has started; return whether it was there to be killed."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has ended, or has not yet a group of its own
        process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def fill(monkeypatch, sign):
    """Let every file whose path holds `sign` be written to a disk that is full; return the paths that were tried."""
    real, tried = Path.open, []

    def full(path, mode="r", *args, **kwargs):
        if "w" not in mode or sign not in str(path):
            return real(path, mode, *args, **kwargs)
        tried.append(path)
        real(path, mode, *args, **kwargs).close()
        return real(Path("/dev/full"), mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    return tried


def contents(folder):
    """Digest every file below a folder, by its place."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def parts(folder):
    """List what lies aside below a folder."""
    return [path for path in folder.rglob("*") if path.name.endswith(".part")]
