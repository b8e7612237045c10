"""The blind baselines of an audit: of the same pairs and sides they are trained once, whatever attacks and models come.

Kept as `<cache>/blind/<fingerprint>.npz`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import lmia
from lmia.evidence.baselines import COLUMNS, Baseline, Blind, blind_scores, traits_of
from lmia.evidence.estimate import Estimate
from lmia.store import aside

_LIBRARIES = ("numpy", "scikit-learn", "scipy")
_MISSING_OR_DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile)
"""What reading raises where baselines are to be trained, and where a file is to be made again."""


def blind_baselines(
    cache: Path,
    table: pa.Table,
    labels: NDArray[np.bool_],
    groups: NDArray[np.int64],
    seed: int,
    confidence: float,
) -> Blind:
    """Train the blind baselines, or read what they found of the very same pairs before.

    Args:
        cache: the folder of features; what was found is kept in it.
        table: `(n,)` pairs with their facts, as `lmia.store.Store.pairs` has them.
        labels: `(n,)` True for the first side's.
        groups: `(n,)` duplicate groups.
        seed: of the halves and of the training.
        confidence: of every interval.

    Raises:
        LmiaError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> table, labels = pa.table({"caption": [f"cat {i}" for i in range(80)]}), np.arange(80) % 2 == 0
        >>> once, again = (blind_baselines(Path(folder), table, labels, np.arange(80), 0, 0.95)
        ...                for folder in [tempfile.mkdtemp()] * 2)
        >>> once.baselines[0].auroc == again.baselines[0].auroc
        True
    """
    kept = cache / "blind" / f"{_fingerprint(table, labels, groups, seed, confidence)}.npz"
    with suppress(*_MISSING_OR_DAMAGED):
        return _read(kept)
    found = blind_scores(traits_of(table), labels, groups, seed, confidence=confidence)
    with aside(kept) as file:
        np.savez(file, **_written(found))
    return found


def _fingerprint(
    table: pa.Table, labels: NDArray[np.bool_], groups: NDArray[np.int64], seed: int, confidence: float
) -> str:
    """Digest what the baselines see, and who trains them: the text of all evidence, and the libraries."""
    seen = table.select([name for name in COLUMNS if name in table.column_names]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, seen.schema) as stream:
        stream.write_table(seen)
    digest = blake2b(sink.getvalue(), digest_size=16)
    digest.update(labels.tobytes() + groups.astype(np.int64).tobytes())
    libraries = {name: version(name) for name in _LIBRARIES}
    digest.update(json.dumps([len(labels), seed, confidence, lmia.__version__, libraries], sort_keys=True).encode())
    for path in sorted(Path(str(files("lmia.evidence"))).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _written(found: Blind) -> dict[str, Any]:
    arrays: dict[str, Any] = {"a": found.a, "b": found.b, "half": found.half}
    said = []
    for i, one in enumerate(found.baselines):
        arrays |= {
            f"{name} {i}": scores
            for name, scores in (("judged", one.scores), ("crossed", one.cross_fitted))
            if scores is not None
        }
        said.append({"kind": one.kind, "reason": one.reason, "auroc": asdict(one.auroc) if one.auroc else None})
    return arrays | {"said": np.array(json.dumps({"note": found.note, "baselines": said}))}


def _read(path: Path) -> Blind:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files}
    said = json.loads(str(arrays["said"]))
    baselines = tuple(_baseline(one, i, arrays) for i, one in enumerate(said["baselines"]))
    return Blind(baselines, arrays["a"], arrays["b"], arrays["half"], said["note"])


def _baseline(said: Mapping[str, Any], i: int, arrays: Mapping[str, NDArray[Any]]) -> Baseline:
    area = Estimate(**said["auroc"]) if said["auroc"] else None
    return Baseline(said["kind"], arrays.get(f"judged {i}"), area, arrays.get(f"crossed {i}"), said["reason"])
