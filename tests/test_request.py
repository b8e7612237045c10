import json
from pathlib import Path

import pytest
import yaml

import players
from lmia.errors import LmiaError
from lmia.request import request


@pytest.fixture(autouse=True)
def _players(monkeypatch, tmp_path):
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)


BASE = ["--model", "toy:0:9", "--members", "noise:0:9", "--nonmembers", "noise:9:18"]


def attacks(*words):
    """What `--plugin` words come to: class names with their arguments."""
    return [
        (config["class_path"].rpartition(".")[2], config["init_args"]) for config in request([*BASE, *words])["plugin"]
    ]


def config(name, **keys):
    Path(name).write_text(yaml.safe_dump(keys))
    return name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--plugin", "plain"], [("Plain", {})]),
        (["--plugin=PLAIN", "--plugin", "Knobs"], [("Plain", {}), ("Knobs", {})]),
        (["--plugin", "knobs:half"], [("Knobs", {"factor": 0.5})]),
        (["--plugin", "knobs", "--plugin.factor", "2"], [("Knobs", {"factor": 2.0})]),
        (["--plugin", "knobs", "--plugin.init_args.factor", "2"], [("Knobs", {"factor": 2.0})]),
        (["--plugin", "knobs:half", "--plugin.steps=7"], [("Knobs", {"factor": 0.5, "steps": 7})]),
        (
            ["--plugin", "knobs", "--plugin.steps", "1", "--plugin", "knobs", "--plugin.steps", "2"],
            [("Knobs", {"steps": 1}), ("Knobs", {"steps": 2})],
        ),
        (["--plugin", "both"], [("Both", {"form": "one"}), ("Both", {"form": "two"})]),
        (["--plugin", "both:two"], [("Both", {"form": "two"})]),
        (["--plugin", "both", "--plugin.weight", "2"], [("Both", {"weight": 2.0})]),
        (
            ["--plugin", "plain", "--plugin", "both", "--plugin.weight", "2", "--plugin.form", "two"],
            [("Plain", {}), ("Both", {"weight": 2.0, "form": "two"})],
        ),
        (["--plugin", "knobs", "--plugin.shares", "0.1", "0.2"], [("Knobs", {"shares": [0.1, 0.2]})]),
        (["--plugin", "knobs", "--plugin.shares", "0.1,0.2"], [("Knobs", {"shares": [0.1, 0.2]})]),
        (["--plugin", "knobs", "--plugin.shares", "[0.1, 0.2]"], [("Knobs", {"shares": [0.1, 0.2]})]),
        (["--plugin", "knobs", "--plugin.shares=1e-3"], [("Knobs", {"shares": [0.001]})]),
        (["--plugin", "knobs", "--plugin.mode", "1,2"], [("Knobs", {"mode": "1,2"})]),
        (["--plugin", "knobs", "--plugin.mode", "7"], [("Knobs", {"mode": "7"})]),
        (["--plugin", "knobs", "--plugin.loud", "true"], [("Knobs", {"loud": True})]),
        (["--plugin", "knobs", "--plugin.factor", "null"], [("Knobs", {"factor": None})]),
        (["--plugin", "knobs", "--plugin.factor", "-1.5"], [("Knobs", {"factor": -1.5})]),
    ],
)
def test_attacks_from_flags(words, expected):
    assert attacks(*words) == expected


@pytest.mark.parametrize(
    ("listed", "words", "expected"),
    [
        (["plain"], [], ["Plain"]),
        ("plain", [], ["Plain"]),
        (["plain", {"class_path": "knobs"}], [], ["Plain", "Knobs"]),
        (["plain"], ["--plugin", "knobs"], ["Knobs"]),
        (["plain"], ["--plugin", "+knobs"], ["Plain", "Knobs"]),
        (["plain"], ["--plugin", "knobs", "--plugin", "+plain"], ["Knobs", "Plain"]),
        ([{"class_path": "players.Knobs"}], ["--plugin", "+both:one"], ["Knobs", "Both"]),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_the_config_comes_first_wherever_it_stands(listed, words, expected, first):
    path = ["--config", config("a.yaml", plugin=listed)]
    words = [*path, *words] if first else [*words, *path]
    assert [name for name, _ in attacks(*words)] == expected


def test_an_option_without_a_name_is_of_the_configs_last_attack():
    path = config("a.yaml", plugin=["plain", {"class_path": "Knobs", "init_args": {"steps": 9}}])
    assert attacks("--plugin.factor", "3", "-c", path)[1] == ("Knobs", {"steps": 9, "factor": 3.0})


def test_flags_reach_every_part_of_the_config():
    words = ["--plugin", "compares", "--views", "Four-Basic", "--views.k", "8", "--cache", "c", "--workers", "1"]
    words += ["--data.batch=16", "--max-pixels", "9", "--allow-overlap", "--precision", "bf16", "--model.leak", "0.25"]
    words += ["--members.shard", "3", "--trainer.accelerator", "cpu", "--show-pairs", "--out", "o", "--seed", "5"]
    tree = request([*BASE, *words, "--fpr", "0.5", "0.25", "--confidence", ".9"])
    assert tree["model"]["target"]["init_args"] == {"members": "0:9", "precision": "bf16", "leak": 0.25}
    assert tree["model"]["views"]["class_path"].endswith(".FourBasic")
    assert tree["model"]["views"]["init_args"] == {"k": 8}
    assert tree["model"]["cache"] == "c"
    assert tree["data"]["members"] == {
        "class_path": "worlds.Noise",
        "init_args": {"start": 0, "stop": 9, "shard": 3},
    }
    assert {key: tree["data"][key] for key in ("batch", "workers", "max_pixels", "allow_overlap")} == {
        "batch": 16, "workers": 1, "max_pixels": 9, "allow_overlap": True}  # fmt: skip
    assert tree["trainer"] == {"accelerator": "cpu"}
    assert (tree["out"], tree["seed"], tree["fpr"], tree["confidence"]) == ("o", 5, [0.5, 0.25], 0.9)
    assert tree["show_pairs"] is True
    assert tree["demo"] is False


def test_views_are_four_basic_where_an_attack_compares_them_and_none_are_named():
    assert request([*BASE, "--plugin", "compares"])["model"]["views"]["class_path"].endswith("FourBasic")
    assert request([*BASE, "--plugin", "compares", "--views.k", "2"])["model"]["views"]["init_args"] == {"k": 2}
    assert "views" not in request([*BASE, "--plugin", "plain"])["model"]
    chosen = request([*BASE, "--plugin", "compares", "--views", "reflections"])["model"]["views"]
    assert chosen["class_path"] == "worlds.Reflections"


@pytest.mark.parametrize("path", ["Toy", "toy", "players.Toy"])
def test_class_paths_are_names_in_any_case_or_whole_paths(path):
    target = {"class_path": path, "init_args": {"members": "0:3"}}
    tree = request([*BASE[2:], "--config", config("a.yaml", model={"target": target}, plugin=["csa"])])
    assert tree["model"]["target"] == {"class_path": "players.Toy", "init_args": {"members": "0:3"}}
    assert tree["plugin"] == [{"class_path": "lmia_csa.CSA", "init_args": {}}]


def test_a_flag_replaces_the_configs_thing_whole_and_later_configs_lie_on_top():
    one = config("one.yaml", model={"target": {"class_path": "Toy", "init_args": {"leak": 0.5}}}, seed=1, out="a")
    two = config("two.yaml", model={"target": {"init_args": {"precision": "bf16"}}}, seed=2)
    words = ["--plugin", "plain", "--config", one, "--config", two]
    tree = request([*BASE[2:], *words])
    assert tree["model"]["target"]["init_args"] == {"leak": 0.5, "precision": "bf16"}
    assert (tree["seed"], tree["out"]) == (2, "a")
    tree = request([*BASE, *words])
    assert tree["model"]["target"]["init_args"] == {"members": "0:9"}


def test_truth_and_a_source_are_short_for_both_sides():
    words = ["--plugin", "plain", "--truth", "m.csv", "--source", "noise:0:90", "--source.shard", "10"]
    tree = request([*BASE[:2], *words])
    inner = {"class_path": "worlds.Noise", "init_args": {"start": 0, "stop": 90, "shard": 10}}
    assert {role: tree["data"][role] for role in tree["data"]} == {
        role: {"class_path": "lmia.listed.Listed", "init_args": {"source": inner, "manifest": "m.csv", "side": side}}
        for role, side in (("members", "in"), ("nonmembers", "out"))
    }
    assert (tree["regime"], tree["demo"]) == ("one-run", False)
    assert (
        request(["--config", config("a.yaml", **{key: value for key, value in tree.items() if value is not None})])
        == tree
    )
    assert request([*BASE[:2], *words, "--regime", "post hoc"])["regime"] == "post hoc"
    assert request([*BASE[:2], *words, "--config", config("b.yaml", regime="randomised")])["regime"] == "randomised"
    sampled = request([*BASE[:2], "--plugin", "plain", "--truth", "m.csv", "--source", "noise:0:90?n=30"])
    assert sampled["data"]["members"]["init_args"]["source"]["class_path"] == "lmia.source.Sample"
    over = request([*words, "--config", config("c.yaml", model={"target": "toy:0:9"}, data={"members": "noise:5:7"})])
    assert over["data"]["members"] == tree["data"]["members"]
    assert "regime" not in request([*BASE, "--plugin", "plain"])


def named(tree):
    """What stands before the target, as a config has it: class names with their arguments."""
    return [(one["class_path"].rpartition(".")[2], one["init_args"]) for one in tree["model"]["defence"]]


@pytest.mark.parametrize(
    ("listed", "words", "expected"),
    [
        (None, [], []),
        (None, ["--defence", "rounding"], [("Rounding", {})]),
        (None, ["--defence=ROUNDING", "--defence.digits", "1"], [("Rounding", {"digits": 1})]),
        (
            None,
            ["--defence", "noise", "--defence.scale", "0.5", "--defence", "rounding", "--defence.digits=0"],
            [("Noise", {"scale": 0.5}), ("Rounding", {"digits": 0})],
        ),
        (["rounding"], [], [("Rounding", {})]),
        ("rounding", [], [("Rounding", {})]),
        (["noise", {"class_path": "Rounding", "init_args": {"digits": 3}}], [], [("Noise", {}), ("Rounding", {"digits": 3})]),
        (["noise"], ["--defence", "rounding"], [("Rounding", {})]),
        (["noise", "rounding"], ["--defence.digits", "1"], [("Noise", {}), ("Rounding", {"digits": 1})]),
    ],
)  # fmt: skip
def test_defences_from_flags_and_configs(listed, words, expected):
    given = [] if listed is None else ["--config", config("a.yaml", model={"defence": listed})]
    tree = request([*BASE, "--plugin", "plain", *words, *given])
    assert named(tree) == expected
    replayed = request(
        ["--config", config("b.yaml", **{key: value for key, value in tree.items() if value is not None})]
    )
    assert replayed["model"]["defence"] == tree["model"]["defence"]


@pytest.mark.parametrize(
    ("words", "problem", "remedy"),
    [
        (["--defence.digits", "1"], "--defence.digits stands before any --defence NAME", "Name the defence first"),
        (["--defence.digits", "1", "--defence", "rounding"], "stands before any --defence NAME", "first"),
        (["--defence", "roundin"], "No defence is called 'roundin'", "Did you mean 'rounding'"),
        (["--defence", "rounding", "--defence.digit", "1"], "no option 'digit'", "digits"),
        (["--defence", "rounding", "--defence.digits", "few"], "'digits'", "int"),
    ],
)
def test_what_is_wrong_with_a_defence_is_said(words, problem, remedy):
    with pytest.raises(LmiaError) as raised:
        request([*BASE, "--plugin", "plain", *words])
    assert problem in raised.value.problem
    assert remedy in raised.value.remedy


def test_a_sample_keeps_its_source_and_its_options_reach_in():
    words = ["--plugin", "plain", "--members", "noise:0:90?n=30&seed=4", "--members.source.shard", "10"]
    tree = request([*BASE[:2], *BASE[4:], *words])
    inner = {"class_path": "worlds.Noise", "init_args": {"start": 0, "stop": 90, "shard": 10}}
    expected = {"class_path": "lmia.source.Sample", "init_args": {"source": inner, "n": 30, "seed": 4}}
    assert tree["data"]["members"] == expected
    again = request(
        [*BASE[:2], *BASE[4:], "--plugin", "plain", "--config", config("a.yaml", data={"members": expected})]
    )
    assert again["data"]["members"] == expected


def test_the_demo_fills_in_where_neither_model_nor_data_is_named(monkeypatch):
    specs = {"model": "toy:0:50", "members": "noise:0:50", "nonmembers": "noise:50:99", "views": "reflections"}
    fresh = players.install(monkeypatch)
    monkeypatch.setattr(fresh.manager.hook, "lmia_demo", lambda: specs)
    tree = request(["--plugin", "compares", "--precision", "bf16", "--members.shard", "5"])
    assert (tree["demo"], tree["show_pairs"]) == (True, True)
    assert tree["model"]["target"]["init_args"] == {"members": "0:50", "precision": "bf16"}
    assert tree["model"]["views"]["class_path"] == "worlds.Reflections"
    assert tree["data"]["members"]["init_args"] == {"start": 0, "stop": 50, "shard": 5}
    assert request([])["plugin"] == [{"class_path": "lmia_csa.CSA", "init_args": {}}]
    assert request(["--views", "four-basic"])["model"]["views"]["class_path"].endswith("FourBasic")
    own = request([*BASE, "--plugin", "plain", "--config", config("demo.yaml", **tree)])
    assert own["demo"] is False  # the replayed demo with other data is none
    assert not own.get("show_pairs")  # and shows nobody's pictures
    assert own.get("regime", "post hoc") == "post hoc"
    bare = request([*BASE, "--plugin", "plain"])
    assert own["data"] == bare["data"]  # none of its pairs is left
    other = request(["--model", "toy:0:60", "--plugin", "plain", "--config", config("demo.yaml", **tree)])
    assert (other["demo"], other.get("regime")) == (False, None)  # another model on the demo's pairs is no demo
    assert other["data"] == tree["data"]


def test_without_the_demos_packages_the_install_command_is_said(monkeypatch):
    fresh = players.install(monkeypatch)
    monkeypatch.setattr(fresh.manager.hook, "lmia_demo", lambda: None)
    with pytest.raises(LmiaError, match=r"pip install 'lmia\[demo\]'"):
        request(["--plugin", "plain"])


def test_the_shipped_demo_is_complete():
    tree = request(["--plugin", "wsa"])
    assert tree["model"]["target"]["class_path"].endswith("OpenCLIP")
    assert {"members", "nonmembers", "known_nonmembers", "pool"} <= tree["data"].keys()
    assert json.dumps(tree)


def test_the_demos_views_are_gentle_where_none_are_named():
    assert request(["--plugin", "aea"])["model"]["views"] == {"class_path": "lmia_kornia.mixed.Gentle", "init_args": {}}
    assert request(["--plugin", "aea", "--views", "flips"])["model"]["views"]["class_path"].endswith(".Flips")
    own = [*BASE, "--plugin", "aea"]  # whose captions may say anything
    assert request(own)["model"]["views"]["class_path"].endswith(".FourBasic")


def test_an_activation_reaches_the_target():
    words = ["--model", "ViT-B-32", "--pretrained", "laion400m_e32", *BASE[2:], "--plugin", "plain"]
    given = {"model": "ViT-B-32", "pretrained": "laion400m_e32"}
    assert request(words)["model"]["target"]["init_args"] == given
    for flag in ("--activation", "--model.activation"):
        assert request([*words, flag, "gelu"])["model"]["target"] == {
            "class_path": "lmia_openclip.target.OpenCLIP", "init_args": {**given, "activation": "gelu"}}  # fmt: skip
    with pytest.raises(LmiaError, match="'activation' of the target openclip cannot be 'relu'"):
        request([*words, "--activation", "relu"])
