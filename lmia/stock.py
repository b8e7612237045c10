"""Stock of an audit: what it is about to do and to what, in plain data that say nothing of where files lie.

Whoever has the same data and the same model on another machine takes the same stock.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

import lmia
from lmia import roles
from lmia.attack import Attack
from lmia.canary.key import canonical
from lmia.data import AuditData, Shard
from lmia.errors import LmiaError
from lmia.evidence import verdict
from lmia.extract import FeatureExtractor
from lmia.listed import Listed
from lmia.records import records
from lmia.settings import class_path, made_by
from lmia.source import Pair, Rejected, Sample, reader_of
from lmia.target import Target

Tree = Mapping[str, object]

RULE = "the verdict's rule, 1"
"""Raised when `lmia.evidence.verdict` comes to say something else of the same numbers."""
NUMBERS = ("ALPHA", "MIN_OVERLAP", "LEFTOVER")
_LEFT_OUT = {
    "": ("out", "show_pairs", "trainer", "seal"),
    "model": ("cache",),
    "data": ("workers", "columns"),
}
"""Settings, by section, that change no number (where things are written, how extraction runs) or only name a file."""


@dataclass(frozen=True)
class Parts:
    """What an audit is about to do, part by part.

    Args:
        config: the settings, without those that change no number, and without places.
        data: of every role how many records it has, and a digest of each shard's records, in order; of a file of columns
            its digest, and so of a manifest.
        weights: fingerprints of the target and of the placebos.
        rule: the verdict's: its word, its numbers, a digest of its source text.
        version: of lmia, and of whatever else brings an attack, a model, views or a source.
    """

    config: Tree
    data: Tree
    weights: Tree
    rule: Tree
    version: Tree

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of every part, 64 hexadecimal digits, by its name."""
        return {part.name: sha256(canonical(getattr(self, part.name))).hexdigest() for part in fields(self)}


def parts(
    config: Tree, model: FeatureExtractor, data: AuditData, attacks: Sequence[Attack], placebo: Sequence[Target] = ()
) -> Parts:
    """Take stock of an audit before it scores anything; every record of the data is read, none is decoded.

    Args:
        config: as `lmia.record.config` makes it.
        model: the target and its views.
        data: the roles.
        attacks: as asked for.
        placebo: models that cannot have seen the data.

    Raises:
        LmiaError: a source cannot be read.
    """
    readers = [reader_of(source) for source in data.given().values()]
    weights = {"target": model.target.fingerprint(), "placebos": [one.fingerprint() for one in placebo]}
    made = [model.target, model.augmentation, *attacks, *placebo, *readers]
    return Parts(portable(config), contents(data), weights, rule(), versions(made))


def portable(config: Tree) -> dict[str, object]:
    """Leave out of a configuration what changes no number, and what only says where a thing lies that has a digest.

    Args:
        config: as `lmia.record.config` makes it.

    Example:
        >>> source = {"class_path": "lmia_folder.Folder", "init_args": {"path": "/home/me/in"}}
        >>> target = {"class_path": "lmia_openclip.OpenCLIP", "init_args": {"model": "local-dir:/home/me/clip"}}
        >>> portable({"out": "x", "seed": 0, "model": {"target": target}, "data": {"members": source, "batch": 64}})
        {'seed': 0, 'model': {'target': 'lmia_openclip.OpenCLIP'}, 'data': {'members': 'every pair', 'batch': 64}}
    """
    found = {name: value for name, value in config.items() if name not in _LEFT_OUT[""]}
    for section in ("model", "data"):
        if isinstance(inner := config.get(section), Mapping):
            found[section] = {key: value for key, value in inner.items() if key not in _LEFT_OUT[section]}
    if isinstance(model := found.get("model"), dict):
        model["target"] = _class(model.get("target"))
    if isinstance(data := found.get("data"), dict):
        found["data"] = {key: _drawn(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    if isinstance(placebos := found.get("placebo"), Sequence):
        found["placebo"] = [_class(one) for one in placebos]
    return {name: _tidy(value) for name, value in found.items()}


def contents(data: AuditData) -> dict[str, object]:
    """Digest what every role holds: keys, captions, urls and images of its shards, and what is rejected, in order.

    A shard's key in the store would not do: of most sources it changes with the folder and with a file's time.

    Raises:
        LmiaError: a source or the file of columns cannot be read.
    """
    read: dict[str, tuple[str, int]] = {}
    found: dict[str, object] = {}
    for role, shards in roles.plan(data).items():
        for shard in shards:
            read[shard.key] = read.get(shard.key) or _content(shard)
        mine = [read[shard.key] for shard in shards]
        found[role] = {"records": sum(n for _, n in mine), "shards": [content for content, _ in mine]}
        if isinstance(source := data.given()[role], Listed):
            found["manifest"] = {"file": _file(source.manifest, "manifest", "--truth")}
    return found | _columns(data)


def rule() -> dict[str, object]:
    """Say which rule will judge: its word, its numbers, and a digest of its text.

    Example:
        >>> rule()["ALPHA"]
        0.01
    """
    text = sha256(inspect.getsource(verdict).encode()).hexdigest()
    return {"rule": RULE, **{name: getattr(verdict, name) for name in NUMBERS}, "text": text}


def versions(made: Sequence[object]) -> dict[str, object]:
    """Name the versions of lmia, and of other distributions that these things come from.

    Example:
        >>> versions([]) == {"lmia": lmia.__version__}
        True
    """
    owners = [made_by(thing).split(" ") for thing in made]
    pairs = {(words[i], words[i + 1]) for words in owners for i in range(0, len(words) - 1, 2)}
    return {**dict(sorted(pairs)), "lmia": lmia.__version__}


def _columns(data: AuditData) -> dict[str, object]:
    """Digest the file of columns, if there is one: pairs are grouped and sliced by what it says."""
    return {"columns": {"file": _file(Path(data.columns), "columns", "--columns")}} if data.columns else {}


def _file(path: Path, what: str, flag: str) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise LmiaError(
            f"The {what} '{path}' cannot be read: {error.strerror}.", f"Give {flag} FILE, CSV or parquet."
        ) from error


def _class(config: object) -> object:
    return config.get("class_path") if isinstance(config, Mapping) else config


def _drawn(config: Mapping[str, object]) -> str:
    args, path = config.get("init_args"), config.get("class_path")
    if not isinstance(args, Mapping) or path not in (class_path(Sample), class_path(Listed)):
        return "every pair"
    inner = args.get("source")
    whole = _drawn(inner) if isinstance(inner, Mapping) else "every pair"
    if path == class_path(Listed):
        return f"{whole} that the manifest has {args.get('side')}"
    of = f", of {whole}" if whole != "every pair" else ""
    return f"{args.get('n')} pairs, drawn by seed {args.get('seed', 0)}{of}"


def _tidy(value: object) -> object:
    """Write a number in one way, whether it came as `1` or `1.0`; JSON has no word for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    if isinstance(value, float):
        return str(value) if not math.isfinite(value) else int(value) if value.is_integer() else value
    return value


def _content(shard: Shard) -> tuple[str, int]:
    hashed, count = sha256(), 0
    for record in records(shard.source, shard.name):
        hashed.update(_line(record))
        count += 1
    return hashed.hexdigest(), count


def _line(record: Pair | Rejected) -> bytes:
    """Write a record as one line; JSON in ASCII keeps line breaks and lone surrogates apart from its own."""
    if isinstance(record, Rejected):
        return json.dumps(["rejected", record.key, record.reason]).encode() + b"\n"
    if isinstance(record.image, bytes):
        image = ["file", sha256(record.image).hexdigest()]
    else:  # as `lmia.picture` sees it
        image = [
            f"{record.image.width} x {record.image.height}",
            sha256(record.image.convert("RGB").tobytes()).hexdigest(),
        ]
    return json.dumps(["pair", record.key, record.caption, record.url, *image]).encode() + b"\n"
