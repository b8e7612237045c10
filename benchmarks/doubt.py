"""What `make audit` spends on doubting itself: its two audits from a cold cache, with their untrained twin and without.

    python -m benchmarks.doubt               # asked: at most 30 s for both

The twin sees the pictures in the target's own pass, so its share is the difference of two runs; blind baselines,
strata, permutations, slices and the verdict are timed where the audit calls them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import wraps
from pathlib import Path
from unittest.mock import patch

from benchmarks.figures import figure, tell

ASKED = 30
AUDITS = {"alike": ["--plugin", "wsa"], "unlike": ["--config", "configs/worlds/unlike.yaml"]}


def audit(words: list[str], twin: bool) -> tuple[float, float]:
    """Audit once in this process; return its seconds, and those of them in checks."""
    import lmia.audit
    from lmia import shell
    from lmia_openclip.target import OpenCLIP

    spent = [0.0]

    def clocked(function):
        @wraps(function)
        def call(*args, **settings):
            start = time.perf_counter()
            found = function(*args, **settings)
            spent[0] += time.perf_counter() - start
            return found

        return call

    with tempfile.TemporaryDirectory() as folder, patch.object(lmia.audit.Doubt, "of", clocked(lmia.audit.Doubt.of)):
        for name in ("validity", "verdict", "asides"):
            setattr(lmia.audit, name, clocked(getattr(lmia.audit, name)))
        if not twin:
            OpenCLIP.untrained = lambda self, seed: None
        start = time.perf_counter()
        code = shell.run(["audit", *words, "--cache", f"{folder}/cache", "--out", f"{folder}/out"])
        assert not code, code
        return time.perf_counter() - start, spent[0]


def measured(name: str, twin: bool) -> tuple[float, float]:
    """The same in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.doubt", name, "twin" if twin else "alone"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    whole, checks = run.stdout.split()[-2:]
    return float(whole), float(checks)


def main() -> int:
    """Print the table; exit code 1 where it costs more than is asked."""
    total = 0.0
    print("| audit | seconds | without the twin | its other checks | validity adds |\n|---|---|---|---|---|")
    for name in AUDITS:
        (whole, _), (alone, checks) = measured(name, True), measured(name, False)
        added = whole - alone + checks
        total += added
        print(f"| {name} | {whole:.1f} | {alone:.1f} | {checks:.1f} | {added:.1f} |")
    return tell([figure("validity adds to both audits of the demo, seconds", total, most=ASKED)])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(*audit(AUDITS[sys.argv[1]], sys.argv[2] == "twin"))
    else:
        raise SystemExit(main())
