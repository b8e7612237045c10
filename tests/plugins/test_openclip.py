"""`OpenCLIP` against open_clip itself: the same pictures, tokens and features, and what it says of itself."""

import copy
import json
import pickle
import socket

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lmia import LmiaError, Target
from lmia_openclip import OpenCLIP, lmia_targets
from lmia_openclip.text import described_here
from plugins.openclip_models import CAPTIONS, CLIP, SIGLIP, SQUASH, folder, hub_cache, know, tower, weights


def picture(width, height, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)


def ours(target, pictures):
    with torch.no_grad():
        pixels = torch.stack([target.preprocess(one) for one in pictures])
        assert pixels.dtype == torch.uint8
        return target.encode_image(pixels / 255), target.encode_text(target.tokenize(CAPTIONS))


def theirs(spec, pictures, **options):
    model, transform = open_clip.create_model_from_pretrained(spec, **options)
    tokens = open_clip.get_tokenizer(spec)(CAPTIONS)
    with torch.no_grad():
        pixels = torch.stack([transform(one) for one in pictures])
        return model.eval().encode_image(pixels), model.encode_text(tokens)


def exact(*words, **options):
    """Resize as open_clip does to the last bit; how far torch is from that, test_resizing.py tells."""
    return OpenCLIP(*words, resizing="pillow", **options)


def same(one, other):
    assert all(torch.allclose(a, b, atol=1e-5, rtol=0) for a, b in zip(one, other, strict=True))


PICTURES = [picture(90, 61), picture(40, 200), picture(20, 12)]


@pytest.mark.parametrize("kind", ["pt", "training.pt", "safetensors", "local-dir"])
def test_every_way_to_give_a_model_gives_open_clips_features(kind, tmp_path, monkeypatch):
    know(monkeypatch, "tiny-clip")
    place = folder(tmp_path / "model")
    state = weights(CLIP)
    file = tmp_path / f"weights.{kind}"
    if kind == "pt":
        torch.save(state, file)
    elif kind == "training.pt":  # as open_clip's training writes it, from several devices
        named = {f"module.{name}": value for name, value in state.items()}
        torch.save({"epoch": 3, "name": "x", "state_dict": named, "optimizer": {"lr": 0.1}}, file)
    elif kind == "safetensors":
        save_file(state, file)
    target = exact(f"local-dir:{place}") if kind == "local-dir" else exact("tiny-clip", str(file))
    same(ours(target, PICTURES), theirs(f"local-dir:{place}", PICTURES))


@pytest.mark.parametrize(
    ("resize_mode", "interpolation", "size"),
    [
        ("shortest", "bicubic", 32),
        ("shortest", "bilinear", 32),
        ("shortest", "bicubic", [32, 48]),
        ("squash", "bilinear", 32),
        ("squash", "bicubic", [32, 48]),
        ("longest", "bilinear", 32),
        ("longest", "bicubic", [32, 48]),
    ],
)
def test_a_folders_own_preprocessing_is_open_clips(resize_mode, interpolation, size, tmp_path):
    config = {**CLIP, "vision_cfg": {**CLIP["vision_cfg"], "image_size": size}}
    own = {**SQUASH, "resize_mode": resize_mode, "interpolation": interpolation, "fill_color": 7}
    place = folder(tmp_path / "model", config, own)
    target = exact(f"local-dir:{place}")
    same(ours(target, PICTURES), theirs(f"local-dir:{place}", PICTURES))
    said = target.facts().details["preprocessing"]
    assert f"{resize_mode}, {interpolation}, mean [0.5, 0.5, 0.5]" in said
    plain = OpenCLIP(f"local-dir:{folder(tmp_path / 'plain', config)}")
    assert not torch.allclose(ours(target, PICTURES)[0], ours(plain, PICTURES)[0], atol=1e-3)


def test_a_siglip_head(tmp_path):
    place = folder(tmp_path / "model", SIGLIP, SQUASH, {**weights(SIGLIP), "logit_bias": torch.tensor(-7.5)})
    target = exact(f"local-dir:{place}")
    same(ours(target, PICTURES), theirs(f"local-dir:{place}", PICTURES))
    facts = target.facts()
    assert (facts.loss, facts.logit_bias) == ("sigmoid", -7.5)
    assert facts.logit_scale == pytest.approx(1 / 0.07)
    assert target.tokenize(["a"]).shape == (1, 16)


@pytest.mark.parametrize("config", [CLIP, SIGLIP], ids=["clip", "siglip"])
@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_low_precision_changes_little_and_is_told(config, precision, dtype, tmp_path):
    place = folder(tmp_path / "model", config)
    full, low = OpenCLIP(f"local-dir:{place}"), OpenCLIP(f"local-dir:{place}", precision=precision)
    assert low.precision == low.facts().details["precision"] == precision
    assert all(parameter.dtype == dtype for parameter in low.parameters())
    for one, other in zip(ours(full, PICTURES), ours(low, PICTURES), strict=True):
        assert other.dtype == torch.float32
        assert not torch.equal(one, other)
        assert (torch.cosine_similarity(one, other) > 0.999).all()
    assert low.facts().logit_scale == full.facts().logit_scale
    assert low.fingerprint() != full.fingerprint()


def test_a_quick_gelu_tag_builds_quick_gelu_and_says_so(tmp_path, monkeypatch):
    tag = {"hf_hub": "some/tiny/", "quick_gelu": True, **SQUASH}
    know(monkeypatch, "tiny-clip", CLIP, t400m=tag, plain={**tag, "quick_gelu": False})
    content = (folder(tmp_path / "model") / "open_clip_model.safetensors").read_bytes()
    cache = str(hub_cache(tmp_path / "cache", "some/tiny", open_clip_model__safetensors=content))
    quick = exact("tiny-clip", "t400m", cache_dir=cache)
    right = folder(tmp_path / "right", {**CLIP, "quick_gelu": True}, SQUASH)
    same(ours(quick, PICTURES), theirs(f"local-dir:{right}", PICTURES))
    assert quick.facts().name == "tiny-clip-quickgelu, t400m"
    told = quick.facts().details
    assert (told["architecture"], told["activation"]) == ("tiny-clip-quickgelu", "quickgelu")
    assert (told["activation chosen by"], told["preprocessing chosen by"]) == ("the tag", "the tag")

    forced = exact("tiny-clip", "t400m", activation="gelu", cache_dir=cache)
    assert (forced.facts().name, forced.facts().details["activation"]) == ("tiny-clip, t400m", "gelu")
    assert forced.facts().details["activation chosen by"] == "the user"
    assert not torch.allclose(ours(forced, PICTURES)[0], ours(quick, PICTURES)[0], atol=1e-4)
    assert forced.fingerprint() != quick.fingerprint()

    plain = exact("tiny-clip", "plain", cache_dir=cache)
    assert plain.facts().details["activation chosen by"] == "the architecture"
    same(ours(plain, PICTURES), ours(forced, PICTURES))
    same(ours(exact("tiny-clip", "plain", activation="quickgelu", cache_dir=cache), PICTURES), ours(quick, PICTURES))


def test_facts_hold_what_a_report_needs(tmp_path):
    place = folder(tmp_path / "my-clip")
    (place / "training.json").write_text(json.dumps({"pairs": 2000, "epochs": 2.5, "seed": 4}))
    target = OpenCLIP(f"local-dir:{place}")
    facts = target.facts()
    assert (facts.name, facts.loss, facts.logit_bias) == ("my-clip", "softmax", None)
    assert facts.details["pairs"] == 2000
    assert facts.details["epochs"] == 2.5
    assert facts.details["parameters"] == sum(value.numel() for value in weights(CLIP).values())
    assert (facts.details["image size"], facts.details["context length"]) == ("32x32", 32)
    assert facts.details["open_clip"] == open_clip.__version__
    assert len(str(facts.details["weights digest"])) == 32
    assert "seed" not in facts.details
    assert str(tmp_path) not in repr(facts)


def test_the_fingerprint_changes_with_everything_a_feature_depends_on(tmp_path):
    def made(config=CLIP, preprocess=None, state=None, **options):
        return OpenCLIP(f"local-dir:{folder(tmp_path / 'model', config, preprocess, state)}", **options).fingerprint()

    moved = OpenCLIP(f"local-dir:{folder(tmp_path / 'elsewhere')}").fingerprint()
    assert made() == made() == moved
    changed = weights(CLIP)
    changed["visual.proj"][0, 0] += 1e-6
    deeper = {**CLIP, "vision_cfg": {**CLIP["vision_cfg"], "norm_kwargs": {"eps": 1e-3}}}
    others = [
        made(state=changed),
        made(preprocess=SQUASH),
        made(config=deeper),
        made(config=tower(CLIP, tokenizer_kwargs={"clean": "canonicalize"})),
        made(activation="quickgelu"),
        made(precision="bf16"),
    ]
    assert len({moved, *others}) == len(others) + 1


def test_the_fingerprint_sees_a_weight_changed_in_memory(tmp_path):
    target = OpenCLIP(f"local-dir:{folder(tmp_path / 'model')}")
    before = target.fingerprint()
    with torch.no_grad():
        target.model.visual.proj[0, 0] += 1
    assert target.fingerprint() != before


def test_random_weights_are_the_seeds_and_leave_the_generator_alone(tmp_path, monkeypatch):
    know(monkeypatch, "tiny-clip")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, again, other = (OpenCLIP("tiny-clip", "random", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    assert (one.facts().name, one.facts().details["seed"]) == ("tiny-clip, random weights", 3)
    of_folder = OpenCLIP(f"local-dir:{folder(tmp_path / 'model', CLIP, SQUASH)}", "random", seed=3)
    assert of_folder.facts().name == "model, random weights"
    assert of_folder.facts().details["weights digest"] == one.facts().details["weights digest"]
    assert "squash" in str(of_folder.facts().details["preprocessing"])


def test_it_stays_in_eval_mode_and_lets_gradients_through(tmp_path):
    config = {**CLIP, "vision_cfg": {**CLIP["vision_cfg"], "patch_dropout": 0.5}}
    target = OpenCLIP(f"local-dir:{folder(tmp_path / 'model', config)}").train()
    assert not any(module.training for module in target.modules())
    pixels = torch.rand(2, 3, 32, 32, requires_grad=True)
    features = target.encode_image(pixels)
    assert torch.equal(features, target.encode_image(pixels))
    (features.sum() + target.encode_text(target.tokenize(CAPTIONS)).sum()).backward()
    assert pixels.grad is not None
    assert (pixels.grad != 0).any()
    assert target.model.token_embedding.weight.grad is not None


def test_it_can_be_copied_and_sent_to_another_process(tmp_path):
    target = OpenCLIP(f"local-dir:{folder(tmp_path / 'model')}")
    for twin in (copy.deepcopy(target), pickle.loads(pickle.dumps(target))):
        same(ours(twin, PICTURES), ours(target, PICTURES))
        assert twin.fingerprint() == target.fingerprint()


def test_a_batch_does_not_change_its_members(tmp_path):
    target = OpenCLIP(f"local-dir:{folder(tmp_path / 'model')}")
    image, text = ours(target, PICTURES)
    with torch.no_grad():
        alone = [target.encode_text(target.tokenize([caption])) for caption in CAPTIONS]
    assert torch.allclose(torch.cat(alone), text, atol=1e-5)
    assert torch.allclose(torch.cat([ours(target, [one])[0] for one in PICTURES]), image, atol=1e-5)


@pytest.mark.parametrize("option", ["precision", "activation", "preprocessing"])
def test_an_unknown_choice_is_refused_with_the_list(option):
    with pytest.raises(LmiaError, match=f"OpenCLIP's {option} cannot be 'fp8'.\nIt is one of "):
        OpenCLIP("ViT-B-32", "random", **{option: "fp8"})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"std": [0.0, 1.0, 1.0]}, "std [0.0, 1.0, 1.0]"),
        ({"mean": [0.5, 0.5]}, "mean [0.5, 0.5]"),
        ({"resize_mode": "stretch"}, "stretch"),
    ],
)
def test_a_preprocessing_of_nobodys_is_refused(wrong, said, tmp_path):
    with pytest.raises(LmiaError, match="preprocessing of model is not open_clip's") as caught:
        OpenCLIP(f"local-dir:{folder(tmp_path / 'model', CLIP, wrong)}")
    assert said in caught.value.problem


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**CLIP, "embed_dim": "wide"}, "builds no model"),
        ({**CLIP, "vision_cfg": {"widht": 3}}, "widht"),
        ({**CLIP, "text_cfg": None}, "no text_cfg"),
        (tower(CLIP, heads=0.5), "heads is 0.5, which is no whole number"),
        (tower(CLIP, tokenizer_kwargs={"trust_remote_code": True}), "trust_remote_code"),
        (tower(CLIP, tokenizer_kwargs={"reduction_mask": "random"}), "reduction_mask"),
        ({**CLIP, "vision_cfg": {**CLIP["vision_cfg"], "output_tokens": True}}, "output_tokens of vision_cfg is True"),
        (tower(SIGLIP, output_tokens=True), "output_tokens of text_cfg is True"),
        ({**SIGLIP, "multimodal_cfg": {}}, "output_tokens of vision_cfg is False"),
        (tower(CLIP, context_length=4097), "context_length is 4097"),
        ({**CLIP, "new": [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}, "more than 16 deep"),
    ],
)
def test_a_configuration_that_makes_no_model_is_refused(config, said, tmp_path):
    place = folder(tmp_path / "model", config, state={"x": torch.zeros(1)})
    with pytest.raises(LmiaError, match=said):
        OpenCLIP(f"local-dir:{place}")


def test_lists_hundreds_deep_in_a_configuration_are_a_sentence(tmp_path):
    place = folder(tmp_path / "model")
    told = (place / "open_clip_config.json").read_text().removesuffix("}")
    (place / "open_clip_config.json").write_text(f'{told}, "x": {"[" * 600}{"]" * 600}}}')
    with pytest.raises(LmiaError, match="more than 16 deep"):
        OpenCLIP(f"local-dir:{place}")


@pytest.fixture
def asked(monkeypatch):
    """The hosts that are looked up, in vain."""
    hosts = []

    def look_up(host, *_, **__):
        hosts.append(host)
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return hosts


@pytest.mark.parametrize("name", ["hf-hub:evil/tracker", "hf_hub:evil/tracker", "local-dir:/tmp", "evil/tracker"])
def test_a_folders_picture_tower_is_of_no_hub(name, tmp_path, asked):
    config = {**CLIP, "vision_cfg": {"timm_model_name": name, "image_size": 32}}
    place = folder(tmp_path / "model", config, state={"x": torch.zeros(1)})
    with pytest.raises(LmiaError, match="which is no name of timm's own"):
        OpenCLIP(f"local-dir:{place}")
    assert asked == []


def test_a_folders_text_tower_is_described_by_the_cache_or_not_at_all(tmp_path, asked, monkeypatch):
    monkeypatch.setattr("lmia_openclip.text.find_spec", lambda _: True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    config = tower(CLIP, hf_model_name="some/tower")
    place = folder(tmp_path / "model", config, state={"x": torch.zeros(1)})
    with pytest.raises(LmiaError, match=r"needs config.json of 'some/tower', which is not in the hub's cache"):
        OpenCLIP(f"local-dir:{place}")
    assert asked == []
    cache = hub_cache(tmp_path / "cache", "some/tower", config__json=b"{}")
    found = described_here(config["text_cfg"], place)
    assert found == {**config["text_cfg"], "hf_model_name": str(cache / "models--some--tower/snapshots" / ("0" * 40))}
    assert described_here(config["text_cfg"], None) == config["text_cfg"]


@pytest.mark.parametrize("config", [CLIP, SIGLIP], ids=["clip", "siglip"])
@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_a_head_that_is_no_number_is_refused_when_it_is_read(config, value, tmp_path):
    name = "logit_bias" if config is SIGLIP and value != value else "logit_scale"
    place = folder(tmp_path / "model", config, state={**weights(config), name: torch.tensor(value)})
    with pytest.raises(LmiaError, match=r"The weights of model are no training's: logit_scale"):
        OpenCLIP(f"local-dir:{place}")


def test_a_mask_larger_than_the_weights_is_refused_before_it_fills_the_memory(tmp_path):
    config = tower(CLIP, context_length=4096, width=1, heads=1)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in open_clip.CLIP(**config).named_parameters()}
    place = folder(tmp_path / "model", config, state={name: torch.zeros(shape) for name, shape in shapes.items()})
    with pytest.raises(LmiaError, match="builds no model: it has 16,"):
        OpenCLIP(f"local-dir:{place}")


def test_the_plugin_brings_one_target():
    assert list(lmia_targets()) == [OpenCLIP]
    assert issubclass(OpenCLIP, Target)


@pytest.mark.slow
def test_a_shipped_architecture_with_open_clips_own_numbers():
    target = exact("ViT-B/32", "random", activation="quickgelu", seed=1)
    model, _, transform = open_clip.create_model_and_transforms("ViT-B-32-quickgelu")
    model.load_state_dict(target.model.state_dict())
    with torch.no_grad():
        image = model.eval().encode_image(torch.stack([transform(one) for one in PICTURES]))
        text = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(CAPTIONS))
    same(ours(target, PICTURES), (image, text))


def test_the_untrained_twin_is_the_architecture_with_first_weights(tmp_path):
    target = OpenCLIP(f"local-dir:{folder(tmp_path / 'model')}")
    before = target.fingerprint()
    twin, again, other = target.untrained(1), target.untrained(1), target.untrained(2)
    assert twin.fingerprint() == again.fingerprint() != other.fingerprint()
    assert target.fingerprint() == before != twin.fingerprint()
    shapes = [{name: value.shape for name, value in each.model.state_dict().items()} for each in (target, twin)]
    assert shapes[0] == shapes[1]
    assert twin.facts().name.endswith("untrained twin")
    assert not twin.training
    image = Image.new("RGB", (50, 40), "red")
    assert torch.equal(twin.preprocess(image), target.preprocess(image))
    assert torch.equal(twin.tokenize(["a dot"]), target.tokenize(["a dot"]))
    pixels = twin.preprocess(image)[None] / 255
    assert not torch.allclose(twin.encode_image(pixels), target.encode_image(pixels))
    assert torch.equal(twin.encode_image(pixels), again.encode_image(pixels))


@pytest.mark.parametrize(
    "odd",
    [
        {"vision_cfg": {**CLIP["vision_cfg"], "layers": 2**31}},
        {"vision_cfg": {**CLIP["vision_cfg"], "width": 2**31}},
        {"vision_cfg": {**CLIP["vision_cfg"], "mlp_ratio": 1e308}},
        {"text_cfg": {**CLIP["text_cfg"], "layers": 256, "width": 16384, "heads": 1}},
        {"embed_dim": float("inf")},
    ],
)
def test_a_configuration_larger_than_its_weights_is_refused_before_it_fills_the_memory(odd, tmp_path):
    place = folder(tmp_path / "model", {**CLIP, **odd}, state=weights(CLIP))
    with pytest.raises(LmiaError, match="builds no model"):
        OpenCLIP(f"local-dir:{place}")
