"""A second attack on cached features: no forward pass, and seconds beyond imports; and how soon the shell answers.

python -m benchmarks.again
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lmia
import lmia_demo
from lmia import record, specs
from lmia.data import AuditData
from lmia.extract import FeatureExtractor

RUNS = 5


def audit(target, cache, plugin):
    """Audit 2,000 members and 2,000 non-members of the demo; return its report and its seconds."""
    roles = {"members": "emoji:in:0:4000?n=1900", "nonmembers": "emoji:out:0:4000?n=2100"}
    data = AuditData(**{role: specs.source(spec) for role, spec in roles.items()})
    start = time.perf_counter()
    trainer = record.trainer(accelerator="cpu", enable_progress_bar=False, callbacks=[])
    report = lmia.run_audit(FeatureExtractor(target, None, cache), data, [plugin], out=cache / "out", trainer=trainer)
    return report, time.perf_counter() - start


def seconds(*words):
    """Median wall seconds of a command."""
    took = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def main():
    """Measure and print the rows."""
    calls = {"images": 0}
    target = specs.target(f"local-dir:{lmia_demo.MODEL}")
    encode = target.encode_image

    def counted(pixels):
        calls["images"] += len(pixels)
        return encode(pixels)

    target.encode_image = counted
    with tempfile.TemporaryDirectory() as folder:
        _, cold = audit(target, Path(folder), "wsa")
        first = calls["images"]
        rows = {}
        for plugin in ("csa", "anchor"):
            took = []
            for _ in range(RUNS):
                report, wall = audit(target, Path(folder), plugin)
                took.append(wall)
            rows[plugin] = statistics.median(took), calls["images"] - first, report.extraction["images_encoded"]
    print("| what | value | asked |\n|---|---|---|")
    for plugin, (wall, passes, told) in rows.items():
        print(
            f"| {plugin} after wsa on 4,000 cached pairs: seconds beyond imports | {wall:.2f} (cold {cold:.1f}) | 2 |"
        )
        print(f"| {plugin}: pictures encoded, counted / reported | {passes} / {told} | 0 |")
    bare = seconds(sys.executable, "-c", "pass")
    for flag in ("--help", "--version"):
        print(f"| `lmia {flag}`, seconds (a bare interpreter: {bare:.3f}) "
              f"| {seconds(sys.executable, '-m', 'lmia', flag):.3f} | 0.5 |")  # fmt: skip


if __name__ == "__main__":
    main()
