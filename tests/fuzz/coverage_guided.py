"""Bytes that lead a reader down paths it has not gone: `make fuzz-guided READER=tar SECONDS=60`, where atheris is installed.

It is no part of the environment (`pip install atheris`). Whatever breaks the contract ends the search, and the bytes
that did it are left in a file `crash-...`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

SEEDS = 40


def guided(kind: str, path: Path) -> Callable[[bytes], None]:
    """Return what reads bytes as a file of that kind, and holds them against the contract."""
    from fuzz.contract import Case, Outcome, judge
    from fuzz.sources import every
    from lmia_table import Table
    from lmia_webdataset import WebDataset

    packed = kind in ("tar", "tgz")

    def one(data: bytes) -> None:
        path.write_bytes(data)
        source = WebDataset(str(path)) if packed else Table(str(path))
        judge(Case(lambda: every(source, counted=not packed)), Outcome())

    return one


def seeds(kind: str, folder: Path) -> None:
    """Write inputs to begin from."""
    from fuzz.sources import table, tar

    for i in range(SEEDS):
        place = folder / f"from-{i}"
        place.mkdir(parents=True)
        (tar if kind in ("tar", "tgz") else table)(place, Random(i))
        for path in place.glob(f"*.{kind}"):
            (folder / f"{i}-{path.name}").write_bytes(path.read_bytes())


def main() -> None:
    """Search until the time is up or something breaks."""
    import atheris

    kind = sys.argv.pop(1)
    with atheris.instrument_imports(include=["lmia_webdataset", "lmia_table", "tarfile", "webdataset"]):
        import lmia_table  # noqa: F401
        import lmia_webdataset  # noqa: F401
    with tempfile.TemporaryDirectory() as folder:
        seeds(kind, Path(folder, "seeds"))
        atheris.Setup([*sys.argv, str(Path(folder, "seeds"))], guided(kind, Path(folder, f"a.{kind}")))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
