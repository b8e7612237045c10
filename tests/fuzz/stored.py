"""Inputs for files that lmia once wrote and that come back from others, or from a bad disk: runs, keys, the feature store."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzz.contract import Broken, Case
from fuzz.files import nothing
from fuzz.mutations import mutated, mutated_tree, value
from fuzz.sources import column_of
from lmia import Rejected
from lmia.altered import differences
from lmia.canary.key import Item, Key, canonical, choose, read_key
from lmia.canary.trial import Variants
from lmia.canary.words import power_lines
from lmia.commands import canary, compare, show, verify
from lmia.picture import open_pair
from lmia.seal import Parts, Seal, read_seal, write_seal
from lmia.source import Pair
from lmia.store import FORMAT, Store
from lmia_csa import CSA
from worlds import Matrices, Noise, picture, png

COMMANDS: dict[str, Callable[[str, str], int]] = {
    "show": lambda run, whole: show.main([run, whole]),
    "compare": lambda run, whole: compare.main([whole, run]),
    "verify": lambda run, whole: verify.main([run]),
}


# a finished audit


@cache
def _run() -> Path:
    """Audit a world of noise, small as it is, once."""
    from test_audit import audit

    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    roles = {"members": Noise(0, 40), "nonmembers": Noise(100, 140), "known_nonmembers": Noise(200, 230)}
    with contextlib.redirect_stdout(io.StringIO()):
        audit(folder, [CSA()], roles=roles, target=Matrices("0:40", leak=0.7), workers=0)
    return folder / "out"


def run(folder: Path, dice: Random) -> Case:
    """A finished audit whose report or scores were changed: shown, compared and verified, or refused."""
    whole, path = _run(), folder / "run"
    path.mkdir()
    report, scores = (whole / "report.json").read_bytes(), (whole / "scores.parquet").read_bytes()
    if dice.random() < 0.5:
        scores = mutated(scores, dice) if dice.random() < 0.5 else _odd_scores(scores, dice)
    tree = json.loads(report)
    tree["scores_sha256"] = sha256(scores).hexdigest()
    if dice.random() < 0.7:
        tree = mutated_tree(tree, dice)
    data = json.dumps(tree, indent=2).encode()
    (path / "report.json").write_bytes(mutated(data, dice) if dice.random() < 0.2 else data)
    (path / "scores.parquet").write_bytes(scores)
    command = COMMANDS[dice.choices(list(COMMANDS), (5, 4, 1))[0]]

    def ask() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            command(str(path), str(whole))

    return Case(nothing(ask))


def _odd_scores(data: bytes, dice: Random) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    whole = table.to_pydict()  # what was put in cannot always be read: half a letter is none
    for _ in range(1 + dice.randrange(3)):
        at, name = dice.randrange(len(table)), dice.choice(table.column_names)
        cells = whole[name]
        cells[at] = dice.choice((value(dice), float("nan"), float("inf"), -1, None, cells[at - 1], 10**12))
        try:
            column = pa.array(cells, table[name].type)
        except (pa.ArrowException, ValueError, OverflowError, TypeError):
            column = column_of(cells) if dice.random() < 0.3 else table[name]
        table = table.set_column(table.column_names.index(name), name, column)
    if dice.random() < 0.2:
        table = table.slice(dice.randrange(len(table)), dice.randrange(len(table)))
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


# a sealed key


def key(folder: Path, dice: Random) -> Case:
    """A sealed key of whoever made it, fitting its commitment or not: read, and its pictures looked at, or refused."""
    secret = "ab" * 32
    names = [f"{i:05d}" for i in range(3)]
    pictures = {f"{name}-{i}": png(picture(i)) for name in names for i in range(2)}
    items = [
        Item(name, f"mine/{name}", choose(bytes.fromhex(secret), name, 2), _digests(pictures, name), ("a dog", "a cat"))
        for name in names
    ]
    tree: object = json.loads(canonical(asdict(Key(secret, 2, 0.01, tuple(items), {"no caption": 1}, {"side": 64}))))
    tree = mutated_tree(tree, dice) if dice.random() < 0.9 else tree
    said = json.dumps(tree).encode()
    (folder / "key.json").write_bytes(mutated(said, dice) if dice.random() < 0.2 else said)
    try:
        commitment = sha256(canonical(tree)).hexdigest()
    except ValueError:
        commitment = "0" * 64
    for name, data in pictures.items():
        (folder / f"{name}.jpg").write_bytes(data)

    def ask() -> None:
        found = read_key(folder / "key.json", commitment)
        Variants(found, folder).check()
        canary._check_alpha(found.alpha)
        power_lines(len(found.items), found.variants, found.alpha)

    return Case(nothing(ask))


def _digests(pictures: dict[str, bytes], name: str) -> tuple[str, ...]:
    return tuple(sha256(pictures[f"{name}-{i}"]).hexdigest() for i in range(2))


# the feature store


@cache
def _files() -> dict[str, bytes]:
    """Keep three pairs, what was measured of them and a rejected record; return the files by their places."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), "target")
        facts = [open_pair(Pair("k", "a", png(picture(i))))[1] for i in range(3)]  # type: ignore[index]
        rows = [(f"k{i}", "a dog", fact._replace(url="http://host/x")) for i, fact in enumerate(facts)]
        cosine = np.arange(3, dtype=np.float32)
        bad = [Rejected("bad", "no caption")]
        store.write("s", {"cosine": cosine}, {"measured@loss": {"norm": cosine, "two": cosine[:, None]}}, rows, bad)
        return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def kept(folder: Path, dice: Random) -> Case:
    """A feature store with one file damaged: what it gives is what was put in, in kind, or there is a sentence."""
    files = dict(_files())
    hit = dice.choice(list(files))
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(mutated(data, dice, list(files.values())) if name == hit else data)
    store = Store(folder, "target")

    def ask() -> None:
        if not isinstance(store.array("cosine", "s"), np.ndarray):
            raise Broken("No array.")
        if not all(isinstance(one, np.ndarray) for one in store.measured("measured@loss", "s").values()):
            raise Broken("Nothing measured.")
        table, rejected = store.pairs("s")
        table.to_pylist()
        if not all(isinstance(one.reason, str) and isinstance(one.key, str) for one in rejected):
            raise Broken("Rejected without a reason.")

    assert f"target/pairs/s.{FORMAT}.parquet" in files
    return Case(nothing(ask))


# a seal


def seal(folder: Path, dice: Random) -> Case:
    """A seal that was changed, its digests made to fit or not: read, and set against the audit at hand, or refused."""
    now = Parts(
        {"seed": 0, "plugin": [{"class_path": "WSA", "init_args": {"lam": 0.5}}], "fpr": [0.01]},
        {"members": {"records": 3, "shards": ["ab"]}, "manifest": {"file": "ab"}},
        {"target": "ab", "placebos": []},
        {"rule": "1", "ALPHA": 0.01, "text": "ab"},
        {"lmia": "0.1.0"},
    )
    tree: object = json.loads(write_seal(folder / "was.json", Seal(now, "2026-01-01T00:00:00Z")).read_text())
    tree = mutated_tree(tree, dice)
    if isinstance(tree, dict) and isinstance(parts := tree.get("contents"), dict) and dice.random() < 0.7:
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            fresh = Seal(Parts(**parts), str(tree.get("created")))
            tree |= {"digests": fresh.parts.digests, "digest": fresh.digest}
    said = json.dumps(tree).encode()
    (folder / "seal.json").write_bytes(mutated(said, dice) if dice.random() < 0.2 else said)
    return Case(nothing(lambda: differences(read_seal(folder / "seal.json").parts, now)))
