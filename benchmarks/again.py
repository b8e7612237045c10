"""A second attack on cached features: no forward pass, and seconds beyond imports and the model's loading; and how soon the shell answers.

python -m benchmarks.again
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lmia
import lmia_demo
from benchmarks.figures import figure, tell
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
    """Wall seconds of a command, each time."""
    took = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        took.append(time.perf_counter() - start)
    return took


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
        rows = []
        for plugin in ("csa", "anchor"):
            took = []
            for _ in range(RUNS):
                report, wall = audit(target, Path(folder), plugin)
                took.append(wall)
            told = report.extraction["images_encoded"]
            rows += [
                figure(
                    f"{plugin} after wsa on 4,000 cached pairs, seconds beyond imports and the model's loading",
                    *took,
                    most=2,
                ),
                figure(f"{plugin}: pictures encoded, counted", calls["images"] - first, most=0),
                figure(f"{plugin}: pictures encoded, as reported", told, most=0),
            ]
    print(f"The first, cold, took {cold:.1f} s; a bare interpreter {min(seconds(sys.executable, '-c', 'pass')):.3f} s.")
    for flag in ("--help", "--version"):
        rows.append(figure(f"`lmia {flag}`, seconds", *seconds(sys.executable, "-m", "lmia", flag), most=0.5))
    return tell(rows)


if __name__ == "__main__":
    raise SystemExit(main())
