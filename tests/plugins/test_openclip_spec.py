"""Which words name a model of open_clip, and what is said about those that nearly do."""

import open_clip
import pytest

from lmia import LmiaError
from lmia_openclip import OpenCLIP
from lmia_openclip.spec import claim


@pytest.mark.parametrize(
    ("spec", "model", "pretrained"),
    [
        ("ViT-B-32", "ViT-B-32", None),
        ("ViT-B/32", "ViT-B/32", None),
        ("coca_roberta-ViT-B-32", "coca_roberta-ViT-B-32", None),
        ("ViT-B-32,laion400m_e32", "ViT-B-32", "laion400m_e32"),
        ("ViT-B-32,/a/b.pt", "ViT-B-32", "/a/b.pt"),
        ("open_clip:ViT-B-32/laion400m_e32", "ViT-B-32", "laion400m_e32"),
        ("open_clip:ViT-B-32", "ViT-B-32", None),
        ("open_clip:hf-hub:some/model", "hf-hub:some/model", None),
        ("hf-hub:some/model", "hf-hub:some/model", None),
        ("local-dir:./some, folder", "local-dir:./some, folder", None),
        ("VitB32", "VitB32", None),
        ("vit-b-32,openai", "vit-b-32", "openai"),
        ("open_clip:VitB32/openai", "VitB32", "openai"),
    ],
)
def test_what_is_claimed(spec, model, pretrained):
    args = {"model": model} if pretrained is None else {"model": model, "pretrained": pretrained}
    assert OpenCLIP.claims(spec) == args


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "demo",
        "mymodel",
        "pairs.csv",
        "a/{000..009}.tar",
        "ViT-B-32.tar",
        "./ViT-B-33",
        "x,y",
        ",",
        "a/b",
        "\x00",
        "ViT-B-32,",
        "v" * 9999,
        "hf_clip:org/name",
    ],
)
def test_what_is_not(spec):
    assert claim(spec) is None


def test_every_architecture_is_claimed():
    assert all(claim(name) == {"model": name} for name in open_clip.list_models())
    assert len(open_clip.list_models()) > 100


def test_a_file_or_folder_of_a_near_name_is_not_an_architecture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "VitB32").mkdir()
    assert claim("VitB32") is None
    (tmp_path / "ViT-B-32").mkdir()
    assert claim("ViT-B-32") == {"model": "ViT-B-32"}


def test_an_unknown_architecture_names_a_handful():
    with pytest.raises(LmiaError) as caught:
        OpenCLIP("vitb32", "openai")
    assert caught.value.problem == "open_clip has no architecture called 'vitb32'."
    assert caught.value.remedy.startswith("Did you mean 'ViT-B-32'? Close to it: ")
    assert "print(*open_clip.list_models())" in caught.value.remedy
    assert len(caught.value.remedy) < 250
    with pytest.raises(LmiaError, match=r"called 'zzz'.\n`python -c"):
        OpenCLIP("zzz")


def test_an_unknown_tag_names_the_nearest_and_all_of_the_architecture():
    with pytest.raises(LmiaError) as caught:
        OpenCLIP("ViT-B-32", "laion400m_e33")
    assert caught.value.problem == "'laion400m_e33' is neither a tag of ViT-B-32 nor a file."
    assert "Did you mean 'laion400m_e32'?" in caught.value.remedy
    assert all(tag in caught.value.remedy for tag in open_clip.list_pretrained_tags_by_model("ViT-B-32"))
    with pytest.raises(LmiaError, match="That tag belongs to ViT-B-32\\."):
        OpenCLIP("ViT-B-32-quickgelu", "laion2b_s34b_b79k")


def test_an_architecture_alone_asks_for_weights():
    with pytest.raises(LmiaError) as caught:
        OpenCLIP("ViT-B-32")
    assert caught.value.problem == "'ViT-B-32' is an architecture, and no weights were named."
    assert "--pretrained TAG (such as openai, " in caught.value.remedy
    assert "--pretrained random" in caught.value.remedy
