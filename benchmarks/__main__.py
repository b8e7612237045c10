"""Run every benchmark, one after the other, and put their figures into one table: about forty minutes on two quiet cores.

    python -m benchmarks                       # or: make bench
    python -m benchmarks views memory          # these alone
    python -m benchmarks --out FOLDER

Writes `figures.json` (each figure with its rounds, and the machine) and `figures.md` (the table) into the folder,
`lmia-bench` unless told. Exit code 1 where a figure is not what is asked, or a benchmark broke.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.figures import HEAD, KEPT, Figure, told

ALL = {
    "extraction-demo": ("extraction, the demo's model", "benchmarks.extraction", "demo"),
    "extraction-long": ("extraction, the demo's model, 8,000 pairs", "benchmarks.extraction", "long"),
    "extraction-vit": ("extraction, ViT-B-32 with random weights", "benchmarks.extraction", "vit"),
    "decoding": ("ways to decode", "benchmarks.decoding"),
    "views": ("views", "benchmarks.views"),
    "again": ("a second attack, and start-up", "benchmarks.again"),
    "memory": ("memory", "benchmarks.memory", "--curve"),
    "fit": ("training a target against a bare loop", "benchmarks.fit"),
    "doubt": ("what an audit spends on doubting itself", "benchmarks.doubt"),
    "evidence": ("evidence for 10,000,000 + 10,000,000 scores", "benchmarks.evidence"),
    "validity": ("all checks on 100,000 + 100,000 pairs", "benchmarks.validity"),
    "dataset": ("data-set inference", "benchmarks.dataset"),
    "classifier": ("WSA's classifier against a bare loop", "benchmarks.classifier", "4"),
    "gpu": ("extraction on a GPU", "benchmarks.gpu"),
}


def run(name: str, kept: Path) -> list[Figure]:
    """Run one benchmark in a process of its own; what it tells is added to `kept`."""
    title, *words = ALL[name]
    before = len(told(kept))
    print(f"\n## {title}\n", flush=True)
    code = subprocess.run([sys.executable, "-m", *words], env={**os.environ, KEPT: str(kept)}, check=False).returncode
    figures = told(kept)[before:]
    if not figures:
        print(f"\n{name} broke: exit code {code}.", flush=True)
    return figures


def machine() -> dict[str, object]:
    """Describe what the figures are of."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"cores": len(os.sched_getaffinity(0)), "gpu": gpu, "day": f"{datetime.now(UTC):%Y-%m-%d}", **versions}


def main() -> int:
    """Run what was asked for, or everything that this machine can."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--out", type=Path, default=Path("lmia-bench"))
    args = parser.parse_args()
    if unknown := set(args.names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    names = args.names or [name for name in ALL if name != "gpu" or torch.cuda.is_available()]
    with tempfile.TemporaryDirectory() as folder:
        found = {name: run(name, Path(folder) / "kept.jsonl") for name in names}
    table = "\n".join([HEAD, *(one.row() for figures in found.values() for one in figures)])
    here = machine()
    whole = {name: [asdict(one) | {"value": one.value} for one in figures] for name, figures in found.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "figures.json").write_text(json.dumps({"machine": here, "figures": whole}, indent=1))
    (args.out / "figures.md").write_text(f"{json.dumps(here)}\n\n{table}\n")
    print(f"\n## All of them\n\n{table}\n\n{args.out / 'figures.json'}")
    return int(not all(figures and all(one.reached for one in figures) for figures in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
