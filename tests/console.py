"""The console script in a process of its own, and a small world of files for it to audit."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import worlds
from plugins.openclip_models import folder

LMIA = str(Path(sys.executable).parent / "lmia")
_TOYS = "import pytest, players; from lmia.shell import main; players.install(pytest.MonkeyPatch()); main()"


def ran(*words, toys=False, **environment):
    """Run `lmia` with these words, and with what `players` brings if asked; return exit code, stdout and stderr."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    if toys:
        env["PYTHONPATH"] = str(Path(__file__).parent)
    command = [sys.executable, "-c", _TOYS] if toys else [LMIA]
    done = subprocess.run([*command, *words], capture_output=True, text=True, env=env, timeout=240, check=False)
    return done.returncode, done.stdout, done.stderr


def files(path, pairs):
    """A random OpenCLIP model and two tables of noise below `path`; return the flags that name them."""
    folder(path / "model")
    words = ["--model", f"local-dir:{path / 'model'}"]
    for role, start in (("members", 0), ("nonmembers", pairs)):
        with (path / f"{role}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["filepath", "caption"])
            for i in range(start, start + pairs):
                (path / f"{i}.png").write_bytes(worlds.png(worlds.picture(i)))
                writer.writerow([str(path / f"{i}.png"), f"pair {i}"])
        words += [f"--{role}", str(path / f"{role}.csv")]
    return words
