"""Recipes: which configuration, activation, preprocessing and weights a name comes to."""

import json

import open_clip
import pytest
import torch

from lmia import LmiaError
from lmia_openclip.config import read_config, training
from lmia_openclip.preprocessing import complete, of_file
from lmia_openclip.recipe import write
from plugins.openclip_models import CLIP, SQUASH, folder, hub_cache, know

STATE = {"x": torch.zeros(1)}


def test_quick_gelu_differs_from_its_architecture_by_that_alone():
    quick = [name for name in open_clip.list_models() if name.endswith("-quickgelu")]
    assert quick
    for name in quick:
        plain = open_clip.get_model_config(name.removesuffix("-quickgelu"))
        assert open_clip.get_model_config(name) == {**plain, "quick_gelu": True}


def test_every_tag_gets_the_activation_it_was_trained_with(tmp_path, monkeypatch):
    monkeypatch.setattr("lmia_openclip.hub.fetch", lambda *args: tmp_path)
    for name, tag in open_clip.list_pretrained():
        recipe = write(name, tag)
        trained = open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False)
        # roberta-ViT-B-32 alone says it in its configuration and not in its tag.
        assert (recipe.activation == "quickgelu") == (trained or name == "roberta-ViT-B-32")
        assert recipe.architecture.endswith("-quickgelu") == trained
        assert recipe.released
        assert recipe.preprocess == complete(open_clip.get_pretrained_cfg(name, tag))


@pytest.mark.parametrize(
    ("model", "activation", "architecture"),
    [
        ("ViT-B-32", "auto", "ViT-B-32"),
        ("ViT-B-32", "gelu", "ViT-B-32"),
        ("ViT-B-32", "quickgelu", "ViT-B-32-quickgelu"),
        ("ViT-B-32-quickgelu", "auto", "ViT-B-32-quickgelu"),
        ("ViT-B-32-quickgelu", "gelu", "ViT-B-32"),
        ("ViT-B/32", "auto", "ViT-B-32"),
    ],
)
def test_a_files_activation_is_the_architectures_unless_forced(model, activation, architecture, tmp_path):
    file = tmp_path / "epoch_32.pt"
    file.write_bytes(b"")
    recipe = write(model, str(file), activation)
    assert (recipe.architecture, recipe.name) == (architecture, f"{architecture}, epoch_32.pt")
    assert recipe.activation == ("quickgelu" if architecture.endswith("-quickgelu") else "gelu")
    assert recipe.checkpoint == file
    assert not recipe.released
    assert recipe.chosen["activation chosen by"] == ("the architecture" if activation == "auto" else "the user")


def test_a_folders_activation_is_its_own_unless_forced(tmp_path):
    spec = f"local-dir:{folder(tmp_path / 'own-model', {**CLIP, 'quick_gelu': True}, state=STATE)}"
    assert write(spec).activation == "quickgelu"
    forced = write(spec, activation="gelu")
    assert (forced.activation, forced.name, forced.architecture) == ("gelu", "own-model", "own")
    assert forced.chosen["activation chosen by"] == "the user"
    assert forced.chosen["preprocessing chosen by"] == "the folder's configuration"


def test_a_tags_weights_are_asked_for_by_their_names(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("lmia_openclip.hub.fetch", lambda repo, names, *rest: asked.append((repo, names)) or tmp_path)
    know(
        monkeypatch,
        "tiny",
        CLIP,
        a={"hf_hub": "o/n/"},
        b={"hf_hub": "o/n/w.bin"},
        c={"hf_hub": "o/n/w.pt"},
        d={"url": "u"},
    )
    for tag in "abc":
        write("tiny", tag)
    both = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
    assert asked == [("o/n", both), ("o/n", ["w.safetensors", "w.bin"]), ("o/n", ["w.pt"])]
    with pytest.raises(LmiaError, match="not on the hub but at u"):
        write("tiny", "d")


def test_a_hub_model_brings_its_configuration_and_preprocessing(tmp_path):
    told = json.dumps({"model_cfg": CLIP, "preprocess_cfg": SQUASH}).encode()
    files = {"open_clip_config__json": told, "open_clip_pytorch_model__bin": b"w"}
    recipe = write("hf-hub:some/tiny", cache_dir=str(hub_cache(tmp_path, "some/tiny", **files)))
    assert (recipe.name, recipe.architecture, recipe.released) == ("hf-hub:some/tiny", "own", True)
    assert recipe.config == CLIP
    assert recipe.preprocess == complete(SQUASH)
    assert recipe.checkpoint is not None
    assert recipe.checkpoint.read_bytes() == b"w"


def test_a_folders_weights_are_the_ones_with_the_name_or_the_only_ones(tmp_path):
    place = folder(tmp_path / "model", state=STATE)
    (place / "other.pt").write_bytes(b"")
    assert write(f"local-dir:{place}").checkpoint == place / "open_clip_model.safetensors"
    (place / "open_clip_model.safetensors").unlink()
    assert write(f"local-dir:{place}").checkpoint == place / "other.pt"
    (place / "another.bin").write_bytes(b"")
    with pytest.raises(LmiaError, match=r"needs one file of weights, found another.bin, other.pt"):
        write(f"local-dir:{place}")
    (place / "another.bin").unlink()
    (place / "other.pt").unlink()
    with pytest.raises(LmiaError, match="found none"):
        write(f"local-dir:{place}")
    assert write(f"local-dir:{place}", "random").checkpoint is None


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("local-dir:/no/such", {}, "There is no folder '/no/such'"),
        ("local-dir:", {}, "There is no folder ''"),
        ("local-dir:x", {"pretrained": "openai"}, "brings its own weights, not 'openai'"),
        ("hf-hub:a/b", {"pretrained": "openai"}, "brings its own weights, not 'openai'"),
        ("hf-hub:a/b", {"preprocessing": "default"}, "brings its own preprocessing"),
        ("ViT-B-32", {"pretrained": "openai", "preprocessing": "default"}, "brings its own preprocessing"),
        ("ViT-B-32", {"pretrained": "."}, "is a folder, not a checkpoint file"),
        ("ViT-B-32", {"pretrained": "no.pt"}, "There is no checkpoint file 'no.pt'"),
        ("ViT-B-32", {"pretrained": "a/no"}, "There is no checkpoint file 'a/no'"),
        ("hf-hub:a b", {}, "'a b' is no name of a hub repository"),
    ],
)
def test_what_cannot_be_is_refused(model, options, said):
    with pytest.raises(LmiaError) as caught:
        write(model, **options)
    assert said in caught.value.problem


def test_a_files_preprocessing_is_never_guessed(tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(b"")
    with pytest.raises(LmiaError, match="A checkpoint file says nothing of its preprocessing") as caught:
        write("ViT-B-16-SigLIP", str(file))
    assert "preprocessing released or default" in caught.value.remedy
    released = write("ViT-B-16-SigLIP", str(file), preprocessing="released")
    assert (released.preprocess["resize_mode"], released.preprocess["mean"]) == ("squash", [0.5, 0.5, 0.5])
    assert released.chosen["preprocessing chosen by"] == "the user"
    assert write("ViT-B-16-SigLIP", str(file), preprocessing="default").preprocess == complete({})
    assert write("ViT-B-32", str(file)).chosen["preprocessing chosen by"] == "open_clip's default"


def test_random_weights_take_the_released_preprocessing_where_there_is_one():
    assert of_file("ViT-B-16-SigLIP", "auto", guess=True)[0]["resize_mode"] == "squash"
    assert of_file("ViT-S-32", "auto", guess=True)[0] == complete({})
    with pytest.raises(LmiaError, match="'s 0 released way"):
        of_file("ViT-e-14", "released", guess=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON file"),
        ("[]", "holds no JSON object"),
        ("[" * 100_000, "is no JSON file"),
        ('{"model_cfg": 3}', "describes no model"),
        ('{"model_cfg": {"embed_dim": 3}}', "describes no model"),
        ('{"model_cfg": {"embed_dim": 3, "vision_cfg": {}, "text_cfg": {}}, "preprocess_cfg": []}', None),
        (
            '{"model_cfg": {"embed_dim": 3, "vision_cfg": {}, "text_cfg": {}}, "preprocess_cfg": [1]}',
            "describes no model",
        ),
        ("\udcff", "is no JSON file"),
    ],
)
def test_a_configuration_is_read_or_refused(content, said, tmp_path):
    path = tmp_path / "open_clip_config.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    if said is None:
        assert read_config(path)[1] == complete({})
    else:
        with pytest.raises(LmiaError, match=said):
            read_config(path)


@pytest.mark.parametrize(
    ("told", "numbers"),
    [
        ({"pairs": 2000, "epochs": 3.5, "loss": 0.1}, {"pairs": 2000, "epochs": 3.5}),
        ({"epochs": 1}, {"epochs": 1}),
        ({}, {}),
    ],
)
def test_what_a_folder_says_of_its_training_is_passed_on(told, numbers, tmp_path):
    (tmp_path / "training.json").write_text(json.dumps(told))
    assert training(tmp_path / "training.json") == numbers


@pytest.mark.parametrize("value", ["many", True, -1, 0, None, float("nan"), float("inf"), [3]])
def test_a_training_that_cannot_be_is_refused(value, tmp_path):
    (tmp_path / "training.json").write_text(json.dumps({"pairs": value}))
    with pytest.raises(LmiaError, match="says pairs = "):
        training(tmp_path / "training.json")
