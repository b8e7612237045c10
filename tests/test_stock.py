import hashlib
import io
import json
import os
import shutil
import tarfile
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import lmia
from lmia import record, specs, stock
from lmia.data import AuditData
from lmia.evidence import verdict
from lmia.extract import FeatureExtractor
from lmia.listed import Listed
from lmia.source import Sample
from lmia.stock import Parts, contents, parts, portable, rule, versions
from worlds import Loss, Matrices, Noise, Plain, picture, png


def config_of(model, data, attacks, placebo, **chosen):
    """The config that an audit with these options, and all others at their defaults, records of itself."""
    taken, audit = signature(record.config).parameters, signature(lmia.run_audit).parameters
    made = {"model": model, "data": data, "attacks": attacks, "placebo": placebo, "trainer_config": None}
    return record.config(**{name: audit[name].default for name in taken if name not in made} | made | chosen)


def taken(tmp_path, *, target=None, placebo=(), roles=None, attacks=None, out="out", seed=0, **options):
    """Take stock of an audit of the small world."""
    model = FeatureExtractor(target or Matrices("0:80"), None, tmp_path / "cache")
    roles = roles or {"members": Noise(0, 80), "nonmembers": Noise(400, 480)}
    data, attacks = AuditData(**roles, **options), attacks or [Plain()]
    return parts(config_of(model, data, attacks, placebo, out=out, seed=seed), model, data, attacks, placebo)


def folder(path, indices, captions="pair {}"):
    path.mkdir(parents=True)
    for i in indices:
        (path / f"{i}.png").write_bytes(png(picture(i)))
        (path / f"{i}.txt").write_text(captions.format(i))
    return path


def table(path, indices):
    folder(path / "pictures", indices)
    rows = ["filepath,caption", *(f"pictures/{i}.png,pair {i}" for i in indices)]
    (path / "pairs.csv").write_text("\n".join(rows) + "\n")
    return path / "pairs.csv"


def tar(path, indices):
    path.mkdir(parents=True)
    with tarfile.open(path / "0.tar", "w") as out:
        for i in indices:
            for ending, data in (("png", png(picture(i))), ("txt", f"pair {i}".encode())):
                info = tarfile.TarInfo(f"{i}.{ending}")
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))
    return path / "0.tar"


def found(spec, **more):
    return contents(AuditData(members=specs.source(str(spec)), **more))["members"]


@pytest.mark.parametrize("make", [folder, table, tar], ids=["folder", "table", "tar"])
def test_the_same_files_in_another_folder_are_the_same_data(tmp_path, make):
    here = found(make(tmp_path / "here", range(20)))
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deep")
    for path in (tmp_path / "there").rglob("*"):
        os.utime(path, (1, 1))
    (there,) = (path for path in (tmp_path / "there").rglob("*") if path.name in ("deep", "pairs.csv", "0.tar")
                and (path.name != "deep" or make is folder))  # fmt: skip
    assert found(there) == here
    assert here["records"] == 20


def test_what_changes_in_the_data_changes_its_digest_even_where_size_and_time_do_not(tmp_path):
    path = folder(tmp_path / "in", range(5))
    before = found(path)
    for name, change in [("3.txt", b"pair 4"), ("3.png", png(picture(4)))]:
        file, old, when = path / name, (path / name).read_bytes(), (path / name).stat().st_mtime_ns
        file.write_bytes(change[: len(old)].ljust(len(old), b"\0"))
        os.utime(file, ns=(when, when))
        assert found(path) != before
        file.write_bytes(old)
        assert found(path) == before
    (path / "3.txt").rename(path / "6.txt")
    (path / "3.png").rename(path / "6.png")
    assert found(path) != before


def test_the_digest_is_what_an_independent_hand_makes_of_the_records():
    source = Noise(0, 100, broken=7)
    expected = []
    for start in (0, 64):
        hashed = hashlib.sha256()
        for i in range(start, min(start + 64, 100)):
            image = b"not a picture" if i % 7 == 0 else png(picture(i))
            row = ["pair", f"noise/{i}", f"pair {i}", None, "file", hashlib.sha256(image).hexdigest()]
            hashed.update(json.dumps(row).encode() + b"\n")
        expected.append(hashed.hexdigest())
    assert contents(AuditData(members=source)) == {"members": {"records": 100, "shards": expected}}


class Few(lmia.Source):
    """Whatever records it is given.

    Args:
        records: to be read.
    """

    def __init__(self, records: list[object]) -> None:
        self.records = records

    def shards(self):
        return ["0"]

    def read(self, shard):
        yield from self.records

    def fingerprint(self, shard):
        return str(self.records)


def of(*records):
    return contents(AuditData(members=Few(list(records))))["members"]["shards"][0]


def test_records_that_differ_in_anything_have_other_digests():
    dot = Image.new("RGB", (3, 2))
    records = [
        lmia.Pair("a", "b", b"x"),
        lmia.Pair("a", "c", b"x"),
        lmia.Pair("c", "b", b"x"),
        lmia.Pair("a", "b", b"y"),
        lmia.Pair("a", "b", b"x", "u"),
        lmia.Pair("a", "b", b"x", ""),
        lmia.Pair("a", "b", dot),
        lmia.Pair("a", "b", dot.resize((2, 3))),
        lmia.Pair("a", "b", Image.new("RGB", (3, 2), "red")),
        lmia.Pair("a", "b\n", b"x"),
        lmia.Pair("a", "b\ud800", b"x"),
        lmia.Rejected("a", "b"),
        lmia.Rejected("a", "no caption"),
    ]
    digests = [of(one) for one in records]
    assert len(set(digests)) == len(digests)
    assert of(records[0], records[1]) != of(records[1], records[0])
    assert of() != of(records[0]) != of(records[0], records[0])
    assert of(lmia.Pair("a", "b", Image.new("1", (3, 2)))) == of(records[6])  # as RGB, which is all that lmia sees


def test_a_sample_is_sealed_with_its_draw(tmp_path):
    source = Noise(0, 80)
    stocks = [taken(tmp_path, roles={"members": one, "nonmembers": Noise(400, 480)}) for one in
              (source, Sample(source, 20), Sample(source, 20, 1), Sample(source, 30))]  # fmt: skip
    assert [one.config["data"]["members"] for one in stocks] == [
        "every pair", "20 pairs, drawn by seed 0", "20 pairs, drawn by seed 1", "30 pairs, drawn by seed 0"]  # fmt: skip
    assert len({one.digests["config"] for one in stocks}) == 4


def test_a_manifest_is_sealed_by_what_it_says_and_not_by_where_it_lies(tmp_path):
    def of(path, source, **options):
        roles = {role: Listed(source, path, side) for role, side in (("members", "in"), ("nonmembers", "out"))}
        return taken(tmp_path, roles=roles, **options)

    text = "key,in,repeats\n" + "".join(f"noise/{i},{i % 2},{i % 2}\n" for i in range(80))
    for name in ("one.csv", "two.csv", "three.csv"):
        (tmp_path / name).write_text(text.replace("noise/1,1,1", "noise/1,0,0") if name == "three.csv" else text)
    one, two, three = (of(tmp_path / name, Noise(0, 80)) for name in ("one.csv", "two.csv", "three.csv"))
    assert one == two
    assert one.config == three.config
    assert one.data["manifest"] == {"file": hashlib.sha256(text.encode()).hexdigest()} != three.data["manifest"]
    sides = {role: one.config["data"][role] for role in ("members", "nonmembers")}
    assert sides == {
        "members": "every pair that the manifest has in",
        "nonmembers": "every pair that the manifest has out",
    }
    sampled = of(tmp_path / "one.csv", Sample(Noise(0, 80), 20, 1)).config["data"]["members"]
    assert sampled == "20 pairs, drawn by seed 1 that the manifest has in"


def test_a_file_of_columns_is_sealed_by_what_it_says(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text("key,shoot\n" + ("noise/1,a\n" if name == "three" else ""))
    one, two, three = (taken(tmp_path, columns=tmp_path / name) for name in ("one", "two", "three"))
    assert one == two != taken(tmp_path)
    assert one.config == three.config
    assert one.data["columns"] == {"file": hashlib.sha256(b"key,shoot\n").hexdigest()} != three.data["columns"]
    assert taken(tmp_path, columns=str(tmp_path / "one")) == one
    with pytest.raises(lmia.LmiaError, match="cannot be read: No such file"):
        taken(tmp_path, columns=tmp_path / "nowhere")


def test_shared_shards_are_read_once():
    source = Noise(0, 80)
    data = AuditData(members=source, pool=source)
    assert contents(data)["members"] == contents(data)["pool"]
    assert source.reads == 2 * 2  # two shards, two calls


def test_what_changes_no_number_is_not_sealed(tmp_path):
    one = taken(tmp_path / "one", out="here", workers=None)
    assert taken(tmp_path / "other", out="there", workers=0) == one
    every = {"model", "data", "plugin", "placebo", "fpr", "detect", "seed", "confidence", "demo"}
    assert one.config.keys() == every | {"regime"}
    assert "columns" not in one.config["data"]
    assert str(tmp_path) not in json.dumps([one.config, one.data, one.weights, one.rule, one.version])


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("config", {"seed": 1}),
        ("config", {"attacks": [Loss()]}),
        ("config", {"batch": 32}),
        ("config", {"max_pixels": 10}),
        ("config", {"allow_overlap": True}),
        ("data", {"roles": {"members": Noise(0, 81), "nonmembers": Noise(400, 480)}}),
        ("weights", {"target": Matrices("0:80", seed=1)}),
    ],
)
def test_each_part_changes_alone(tmp_path, part, change):
    one, other = taken(tmp_path), taken(tmp_path, **change)
    assert [name for name in one.digests if one.digests[name] != other.digests[name]] == [part]


def test_a_placebo_is_sealed_by_its_weights(tmp_path):
    one, other = (taken(tmp_path, placebo=[Matrices("0:0", seed=seed)]) for seed in (1, 2))
    assert one.config == other.config
    assert one.weights != other.weights
    assert one.weights["target"] == other.weights["target"]


@pytest.mark.parametrize("name", ["ALPHA", "MIN_OVERLAP", "LEFTOVER"])
def test_the_rules_numbers_are_sealed(monkeypatch, name):
    before = rule()
    monkeypatch.setattr(verdict, name, 0.123)
    assert {key for key, value in rule().items() if value != before[key]} == {name}


def test_the_rules_text_is_sealed(monkeypatch):
    text = Path(verdict.__file__).read_text("utf-8")
    assert rule()["text"] == hashlib.sha256(text.encode()).hexdigest()
    monkeypatch.setattr(stock.inspect, "getsource", lambda module: text + "\n")
    assert rule()["text"] == hashlib.sha256((text + "\n").encode()).hexdigest()


def test_versions_of_strangers_are_sealed(monkeypatch):
    owners = {"a": "lmia 0.0.9", "b": "lmia-margin 1.0", "c": "in_a_script", "d": "one 1 two 2"}
    monkeypatch.setattr(stock, "made_by", lambda thing: owners[thing.name])
    made = [SimpleNamespace(name=name) for name in "dcba"]
    assert versions(made) == {"lmia": lmia.__version__, "lmia-margin": "1.0", "one": "1", "two": "2"}


WORDS = st.text(max_size=12)


@given(WORDS, WORDS, WORDS, WORDS, st.integers())
def test_no_place_is_left_in_the_settings(out, cache, path, weights, seed):
    def config(out, cache, path, weights):
        source = {"class_path": "lmia_folder.Folder", "init_args": {"path": path}}
        target = {"class_path": "lmia_openclip.OpenCLIP", "init_args": {"model": "ViT-B-32", "pretrained": weights}}
        return {"trainer": {"devices": len(out)}, "model": {"target": target, "views": None, "cache": cache},
                "data": {"members": source, "batch": 64}, "placebo": [target], "out": out, "seed": seed}  # fmt: skip

    assert portable(config(out, cache, path, weights)) == portable(config("o", None, "p", None))
    assert portable(config(out, cache, path, weights))["seed"] == seed


@given(st.integers(-(2**53), 2**53))
def test_a_number_is_one_number_however_it_is_written(number):
    one, other = (Parts(portable({"k": [value]}), {}, {}, {}, {}) for value in (number, float(number)))
    assert one.digests == other.digests


def test_truth_is_no_number_and_what_is_not_finite_has_a_word():
    tidied = portable({"a": True, "b": 1.0, "c": float("nan"), "d": -float("inf"), "e": 0.1, "f": (1.5,), "g": None})
    assert json.dumps(tidied) == '{"a": true, "b": 1, "c": "nan", "d": "-inf", "e": 0.1, "f": [1.5], "g": null}'
