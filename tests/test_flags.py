from pathlib import Path

import pytest
import yaml

from lmia.errors import LmiaError
from lmia.flags import Flag, configs, put, split


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["--a", "1"], [("a", ["1"])]),
        (["--a=1", "--b"], [("a", ["1"]), ("b", [])]),
        (["--a=x=y"], [("a", ["x=y"])]),
        (["--a="], [("a", [""])]),
        (["--a", "1", "2", "--a", "3"], [("a", ["1", "2"]), ("a", ["3"])]),
        (["--a", "-1", "-x"], [("a", ["-1", "-x"])]),
        (["-c", "f"], [("config", ["f"])]),
        (["--known-nonmembers", "a-b"], [("known_nonmembers", ["a-b"])]),
        (["--plugin.max-per-class", "3"], [("plugin.max_per_class", ["3"])]),
    ],
)
def test_words_become_flags(words, expected):
    assert [(flag.name, flag.words) for flag in split(words)] == expected


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("seed", "seed"),
        ("model", "model.target"),
        ("model.views", "model.views"),
        ("model.target.leak", "model.target.leak"),
        ("model.leak", "model.target.leak"),
        ("views", "model.views"),
        ("views.k", "model.views.k"),
        ("pool", "data.pool"),
        ("pool.init_args.n", "data.pool.init_args.n"),
        ("data.pool", "data.pool"),
        ("batch", "data.batch"),
        ("trainer.devices", "trainer.devices"),
    ],
)
def test_short_flags_stand_for_keys(name, path):
    assert Flag(name, []).path == path


def test_values_are_words_lists_or_switches():
    assert Flag("fpr", ["0.1", "0.2"]).value == ["0.1", "0.2"]
    assert Flag("seed", ["1"]).value == "1"
    assert Flag("data.allow_overlap", []).value is True
    assert Flag("show_pairs", ["false"]).value == "false"
    with pytest.raises(LmiaError, match="--known-nonmembers has no value"):
        _ = Flag("known_nonmembers", []).value


def test_later_configs_lie_on_earlier_ones_key_by_key_and_classes_whole(tmp_path):
    def write(name, **keys):
        (tmp_path / name).write_text(yaml.safe_dump(keys))
        return Flag("config", [str(tmp_path / name)])

    blur = {"class_path": "Blur", "init_args": {"k": 4}}
    one = write("one", model={"views": blur, "cache": "a"}, plugin=["csa"], seed=1)
    two = write("two", model={"views": {"init_args": {"strength": 2}}}, plugin=["wsa"])
    three = write("three", model={"views": {"class_path": "Crops"}})
    both = {"class_path": "Blur", "init_args": {"k": 4, "strength": 2}}
    expected = {"trainer": {}, "data": {}, "model": {"views": both, "cache": "a"}, "plugin": ["wsa"], "seed": 1}
    assert configs([one, Flag("seed", ["9"]), two]) == expected
    assert configs([one, two, three])["model"] == {"views": {"class_path": "Crops"}, "cache": "a"}
    assert configs([write("four", model="ViT-B-32", data=None)])["model"] == {"target": "ViT-B-32"}


def test_configs_that_are_none_are_refused(tmp_path):
    for text in ("", "- 1", "a: [", "\tb: 1"):
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(LmiaError, match=r"a\.yaml"):
            configs([Flag("config", [str(tmp_path / "a.yaml")])])
    Path(tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(LmiaError, match="is not YAML"):
        configs([Flag("config", [str(tmp_path / "a.yaml")])])
    with pytest.raises(LmiaError, match="cannot be read"):
        configs([Flag("config", [str(tmp_path)])])


def test_put_goes_below_classes_and_through_nothing():
    tree = {"a": None, "b": "word", "c": {"class_path": "X"}}
    put(tree, "a.x", 1)
    put(tree, "c.source.init_args.n", 2)
    assert tree == {"a": {"x": 1}, "b": "word", "c": {"class_path": "X", "init_args": {"source": {"n": 2}}}}
    with pytest.raises(LmiaError, match="b is 'word'"):
        put(tree, "b.x", 1)


BOMBS = {
    "anchors in anchors": "a0: &a0 [1, 2]\n"
    + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)),
    "an anchor in itself": "plugin: &a [*a]\n",
    "a number of five thousand digits": f"seed: {'9' * 5000}\n",
    "brackets in brackets": f"seed: {'[' * 5000}\n",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_config_that_is_a_bomb_or_no_value_is_a_sentence(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(LmiaError, match=r"^The config .*(is not YAML|more than 10,000 things)"):
        configs(split(["--config", str(tmp_path / "a.yaml")]))
