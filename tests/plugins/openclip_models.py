"""Tiny open_clip models in every form that a target can be given in."""

import json

import open_clip
import torch
from safetensors.torch import save_file

CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SIGLIP = {
    **CLIP,
    "custom_text": True,
    "init_logit_bias": -10,
    "text_cfg": {
        **CLIP["text_cfg"],
        "context_length": 16,
        "no_causal_mask": True,
        "pool_type": "last",
        "proj_bias": True,
        "tokenizer_kwargs": {"clean": "canonicalize"},
    },
}
SQUASH = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear", "resize_mode": "squash"}
CAPTIONS = ["a red bus!", "two dogs run along the beach, the third one sleeps", "x"]


def tower(base, **text):
    """A configuration like `base` with some of its text tower's settings changed."""
    return {**base, "text_cfg": {**base["text_cfg"], **text}}


def weights(config, seed=1):
    """Weights of a model of that configuration, large enough for its tokens to matter to one another."""
    config = dict(config)
    torch.manual_seed(seed)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    state = kind(**config).state_dict()
    return {name: (5 * value if "embedding" in name else value).contiguous() for name, value in state.items()}


def folder(path, config=CLIP, preprocess=None, state=None):
    """A `local-dir:` model in `path`."""
    path.mkdir(parents=True, exist_ok=True)
    told = {"model_cfg": config, "preprocess_cfg": preprocess or {}}
    (path / "open_clip_config.json").write_text(json.dumps(told))
    save_file(weights(config) if state is None else state, path / "open_clip_model.safetensors")
    return path


def know(monkeypatch, name, config=CLIP, **tags):
    """Let open_clip know an architecture and its tags for the length of a test."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
    if tags:
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tags)


def hub_cache(path, repo, **files):
    """A cache of the hub as `huggingface_hub` lays it out, holding `files` (name with `__` for a dot: bytes)."""
    place = path / f"models--{repo.replace('/', '--')}"
    snapshot = place / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    for name, content in files.items():
        (snapshot / name.replace("__", ".")).write_bytes(content)
    return path
