"""Inputs for the files that a user names: configs, models, published indices, manifests of a training, columns."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image
from safetensors.torch import save

from fuzz.contract import Broken, Case
from fuzz.mutations import mutated, mutated_tree, raw, text, value
from fuzz.sources import column_of
from lmia.collection.columns import read_columns, words
from lmia.listed import Listed
from lmia.membership import read
from lmia.overlap.index import columns_of, parts_of
from lmia.overlap.lookup import addresses, look_up, nearest, of_this_model
from lmia.overlap.pictures import Pictures
from lmia.picture import open_pair
from lmia.request import request
from lmia.source import Pair
from lmia_openclip import OpenCLIP
from lmia_openclip.weights import load
from worlds import Noise, picture, png

SMALL = {
    "embed_dim": 8,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}
"""A model of two transformers, as small as they come with the vocabulary of CLIP."""


def nothing(read: Callable[[], object]) -> Callable[[], Sequence[Pair]]:
    """Turn a reading that gives no records into one that gives none."""

    def run() -> Sequence[Pair]:
        read()
        return ()

    return run


# configs


@cache
def _configs() -> tuple[dict[str, object], ...]:
    root = Path(__file__).parents[2] / "configs"
    own = {
        "model": {"target": {"class_path": "OpenCLIP", "init_args": {"model": "ViT-B-32", "pretrained": "random"}}},
        "data": {"members": "a.csv", "nonmembers": {"class_path": "Table", "init_args": {"path": "b.csv"}}, "batch": 4},
        "plugin": ["csa", {"class_path": "WSA", "init_args": {"lam": 0.5}}],
        "fpr": [0.01, 0.1],
        "seed": 1,
    }
    return (own, *(yaml.safe_load((root / f"{name}.yaml").read_text()) for name in ("csa", "wsa", "aea")))


def config(folder: Path, dice: Random) -> Case:
    """A config whose tree was changed, or whose text was: the one that Lightning's parser gets, or a sentence."""
    tree, path = dice.choice(_configs()), folder / "config.yaml"
    if dice.random() < 0.7:
        said = raw(yaml.safe_dump(mutated_tree(tree, dice), allow_unicode=dice.random() < 0.5))
    else:
        said = mutated(raw(yaml.safe_dump(tree)), dice)
    path.write_bytes(said)
    return Case(nothing(lambda: request(["--config", str(path)])))


# models


@cache
def _state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    small = {**SMALL, "text_cfg": {**SMALL["text_cfg"], "vocab_size": 32}}
    return {name: value.contiguous() for name, value in open_clip.CLIP(**small).state_dict().items()}


@cache
def _model() -> open_clip.CLIP:
    return open_clip.CLIP(**{**SMALL, "text_cfg": {**SMALL["text_cfg"], "vocab_size": 32}})


@cache
def _checkpoints() -> Mapping[str, tuple[bytes, ...]]:
    def saved(what: object, zipped: bool = True) -> bytes:
        file = io.BytesIO()
        torch.save(what, file, _use_new_zipfile_serialization=zipped)
        return file.getvalue()

    plain = saved(_state())
    return {
        ".safetensors": (save(_state()),),
        ".pt": (plain, saved({"state_dict": _state(), "epoch": 3}), saved(_state(), zipped=False)),
        ".bin": (plain,),
    }


def checkpoint(folder: Path, dice: Random) -> Case:
    """A checkpoint whose bytes, or whose tensors, were changed, put into a model that it was made of."""
    suffix = dice.choice(list(_checkpoints()))
    path, exact = folder / f"weights{suffix}", dice.random() < 0.5
    if dice.random() < 0.3:
        state = _odd_state(dice)
        path.write_bytes(save(state)) if suffix == ".safetensors" else torch.save(state, path)
    else:
        path.write_bytes(mutated(dice.choice(_checkpoints()[suffix]), dice, _checkpoints()[suffix]))
    return Case(nothing(lambda: load(_model(), path, exact)))


def _odd_state(dice: Random) -> dict[str, torch.Tensor]:
    state = dict(_state())
    for name in dice.sample(list(state), dice.randrange(1, 4)):
        tensor = state.pop(name)
        changes: tuple[Callable[[], torch.Tensor], ...] = (
            lambda tensor=tensor: tensor.flatten(),
            lambda tensor=tensor: tensor.to(dice.choice((torch.float16, torch.int8, torch.bool, torch.complex64))),
            lambda: torch.zeros(()),
            lambda: torch.zeros(0, 3),
            lambda tensor=tensor: torch.full_like(tensor.float(), float("nan")),
            lambda tensor=tensor: tensor[None],
        )
        name = dice.choice(
            (name, name, f"module.{name}", f"text.{name}", f"visual.trunk.{name}", raw(text(dice)).hex())
        )
        state[name] = dice.choice(changes)().contiguous()
    return state


@cache
def _weights() -> bytes:
    torch.manual_seed(0)
    return save({name: value.contiguous() for name, value in open_clip.CLIP(**SMALL).state_dict().items()})


def model(folder: Path, dice: Random) -> Case:
    """A folder of a model whose configuration was changed: built, and a caption and a picture encoded, or refused."""
    told = {"model_cfg": SMALL, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear"}}
    config, training = json.dumps(mutated_tree(told, dice)), json.dumps({"pairs": 100, "epochs": 3})
    if dice.random() < 0.2:
        config, training = json.dumps(told), json.dumps(mutated_tree(json.loads(training), dice))
    data = mutated(raw(config), dice) if dice.random() < 0.2 else raw(config)
    (folder / "open_clip_config.json").write_bytes(data)
    (folder / "training.json").write_text(training)
    (folder / "open_clip_model.safetensors").write_bytes(_weights())
    return Case(nothing(lambda: _use(OpenCLIP(f"local-dir:{folder}"))))


def _use(made: OpenCLIP) -> None:
    made.facts()
    made.fingerprint()
    with torch.no_grad():
        made.encode_text(made.tokenize(["a dog"]))
        made.encode_image(made.preprocess(Image.new("RGB", (20, 30)))[None].float() / 255)


# indices of data sets


@cache
def _mine() -> Pictures:
    pairs = [Pair(f"k{i}", f"a dog, {i}", png(picture(i)), f"http://host/{i}") for i in range(3)]
    facts = [open_pair(pair)[1] for pair in pairs]  # type: ignore[index]
    names = [pair.key for pair in pairs], [pair.caption for pair in pairs]
    return Pictures(range(3), *names, facts, {}, md5=["0" * 32] * 3)


def index(folder: Path, dice: Random) -> Case:
    """The index of a data set, a table or a folder with embeddings beside it: looked up, or refused."""
    rows = [_listed(dice, i, hostile=dice.random() < 0.5) for i in range(dice.randrange(1, 6))]
    if dice.random() < 0.5:
        place = _sheet(folder, "index", rows, dice)
        return Case(nothing(lambda: _look(place)))
    for part in ("metadata", "img_emb"):
        (folder / part).mkdir()
    _sheet(folder / "metadata", "metadata_0", rows, dice, (".parquet",))
    file = io.BytesIO()
    numbers = np.random.default_rng(len(rows)).normal(size=(len(rows), 4))
    if dice.random() < 0.2:
        numbers[dice.randrange(len(rows))] = dice.choice((np.nan, np.inf, 0.0, 1e30))
    with np.errstate(over="ignore"):
        np.save(file, numbers.astype(dice.choice((np.float16, np.float32, np.float64))))
    data = file.getvalue()
    (folder / "img_emb" / "img_emb_0.npy").write_bytes(mutated(data, dice) if dice.random() < 0.7 else data)
    return Case(nothing(lambda: _look(folder)))


def _listed(dice: Random, i: int, hostile: bool) -> dict[str, object]:
    mine = _mine().facts[i % 3]
    row: dict[str, object] = {
        "url": mine.url,
        "sha256": mine.sha256,
        "phash": mine.phash,
        "key": f"k{i}",
        "caption": "a",
    }
    if hostile:
        row[dice.choice(list(row))] = value(dice)
    return row


def _look(place: Path) -> None:
    parts = parts_of(place)
    for part in parts:
        columns_of(part)
    listing = look_up(_mine(), parts)
    if any(part.embeddings for part in parts):
        features = np.eye(3, 4, dtype=np.float32)
        listing = nearest(listing, parts, features, 0.9)
        if listing.cosines is not None and not (listing.cosines <= 1.001).all():
            raise Broken(f"Cosines {listing.cosines}")
        of_this_model(listing, parts, features)
    addresses(listing, parts, range(listing.size))
    if len(listing.answers()) != 3:
        raise Broken("A picture without an answer.")


# manifests and columns


def membership(folder: Path, dice: Random) -> Case:
    """The manifest of a training: read, and asked of a few keys, or refused."""
    rows: list[dict[str, object]] = [{"key": f"noise/{i}", "in": i % 2, "repeats": i % 2 * 3} for i in range(6)]
    if dice.random() < 0.5:
        rows[dice.randrange(6)][dice.choice(("key", "in", "repeats"))] = value(dice)
    path = _sheet(folder, "membership", rows, dice)

    def ask() -> None:
        known = read(path)
        if not len(known) == len(known.keys) == len(known.repeats) == len(known.inside):
            raise Broken("Rows were lost.")
        both = [Listed(Noise(0, 6), str(path), side) for side in ("in", "out")]
        keys = [f"noise/{i}" for i in range(6)]
        both[0].shards()
        mine = [one.mine(keys) for one in both]
        if (mine[0] & mine[1]).any():
            raise Broken("A pair is in and out.")

    return Case(nothing(ask))


def columns(folder: Path, dice: Random) -> Case:
    """A table of columns that the user brings: each key has its word, or there is a sentence."""
    rows: list[dict[str, object]] = [{"key": f"k{i}", "shoot": f"s{i % 2}", "n": i} for i in range(4)]
    for _ in range(dice.randrange(3)):
        rows[dice.randrange(4)][dice.choice(("key", "shoot", "n"))] = value(dice)
    path = _sheet(folder, "columns", rows, dice)

    def ask() -> None:
        read = read_columns(path, ["shoot", "n"])
        words([f"k{i}" for i in range(4)], "mine", read, "shoot")

    return Case(nothing(ask))


def _sheet(
    folder: Path, name: str, rows: list[dict[str, object]], dice: Random, kinds: Sequence[str] = (".csv", ".parquet")
) -> Path:
    """Write rows as CSV or parquet, the bytes changed half the time."""
    kind = dice.choice(kinds)
    if kind == ".csv":
        out = io.StringIO()
        csv.writer(out).writerows([list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)])
        data = raw(out.getvalue())
    else:
        file = io.BytesIO()
        pq.write_table(pa.table({key: _cells([row[key] for row in rows]) for key in rows[0]}), file)
        data = file.getvalue()
    path = folder / f"{name}{kind}"
    path.write_bytes(mutated(data, dice) if dice.random() < 0.5 else data)
    return path


def _cells(cells: list[object]) -> pa.Array:
    with contextlib.suppress(pa.ArrowException, ValueError, OverflowError):  # of several kinds, or no Unicode
        if "struct<>" not in str((column := pa.array(cells)).type):  # which parquet does not have
            return column
    return column_of(cells)
