"""Captions cut behind their end: proven against the uncut tower, per kind of tower, and left alone where it matters."""

import time
from random import Random

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lmia import LmiaError
from lmia_openclip import text
from plugins.openclip_models import CAPTIONS, CLIP, SIGLIP, tower, weights

END = 49407
TOKENIZER = text.tokenizer(CLIP["text_cfg"], None, None)
CLEANING = {
    how: text.tokenizer({"tokenizer_kwargs": {"clean": how}}, None, None)
    for how in ("lower", "whitespace", "canonicalize")
}
CAUSAL = {
    "CLIP's own": CLIP,
    "quick GELU": {**CLIP, "quick_gelu": True},
    "a tower of its own": {**CLIP, "custom_text": True},
    "a linear projection with a bias": {**tower(CLIP, proj_bias=True), "custom_text": True},
    "no projection": {**tower(CLIP, width=24, heads=2, proj_type="none"), "custom_text": True},
    "custom blocks": tower(CLIP, qk_norm=True, scale_fc=True, scale_attn=True),
    "scaled heads": tower(CLIP, scale_heads=True, scale_attn_inner=True),
    "layer scale": tower(CLIP, ls_init_value=0.5),
    "read at a token of its own": tower(CLIP, pool_type="eos", eos_id=END),
}
WHOLE = {
    "SigLIP": SIGLIP,
    "no mask in a CLIP": tower(CLIP, no_causal_mask=True),
    "the last token": tower(CLIP, pool_type="last"),
    "the class token of CoCa": {**tower(CLIP, embed_cls=True), "custom_text": True},
}


def built(config):
    state = weights(config)
    config = dict(config)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    model = kind(**config).eval()
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("config", CAUSAL.values(), ids=CAUSAL.keys())
def test_cut_captions_have_the_features_of_the_uncut(config):
    model = built(config)
    tokens = TOKENIZER(CAPTIONS, context_length=config["text_cfg"]["context_length"])
    with torch.no_grad():
        whole = model.encode_text(tokens)
        assert text.can_cut(model)
        short = text.cut(model, tokens)
        assert short.shape == (3, int((tokens == END).int().argmax(1).max()) + 1)
        assert short.shape[1] < tokens.shape[1]
        assert (text.encode(model, short) - whole).abs().max() <= 1e-5
        assert (text.encode(model, tokens) - whole).abs().max() <= 1e-5
        assert whole.std(dim=0).min() > 1e-2  # the captions differ by far more than that
        one_less = text.encode(model, short[:, :-1])
        assert (one_less - whole).abs().max() > 1e-3


@pytest.mark.parametrize("config", WHOLE.values(), ids=WHOLE.keys())
def test_towers_that_read_their_padding_are_left_whole(config):
    model = built(config)
    assert not text.can_cut(model)
    tokens = TOKENIZER(CAPTIONS, context_length=config["text_cfg"]["context_length"])
    other = tokens.clone()
    other[:, -1] = 7
    with torch.no_grad():
        assert (model.encode_text(other) - model.encode_text(tokens)).abs().max() > 1e-3


def test_a_cut_stands_in_low_precision_too():
    model = built(CLIP).bfloat16()
    tokens = TOKENIZER(CAPTIONS)
    with torch.no_grad():
        whole, short = model.encode_text(tokens), text.encode(model, text.cut(model, tokens))
    assert short.dtype == torch.bfloat16
    assert (torch.cosine_similarity(whole.float(), short.float()) > 0.9999).all()


MODEL = built(CLIP)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_at_all_may_be_cut(captions):
    tokens = TOKENIZER(captions)
    with torch.no_grad():
        short = text.encode(MODEL, text.cut(MODEL, tokens))
        assert (short - MODEL.encode_text(tokens)).abs().max() <= 1e-5


@pytest.mark.parametrize(
    "caption", ["", "!!!", "a <end_of_text> b", "<start_of_text>", "word " * 100, "\x00", "🦊 fox"], ids=ascii
)
def test_captions_at_the_edges(caption):
    tokens = TOKENIZER([caption, "short"])
    with torch.no_grad():
        short = text.encode(MODEL, text.cut(MODEL, tokens))
        assert (short - MODEL.encode_text(tokens)).abs().max() <= 1e-5


def test_words_once_taken_apart_are_forgotten_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(text, "_REMEMBERED", 50)
    made, whole = text.tokenizer({}, None, None), open_clip.SimpleTokenizer()
    captions = [f"{a}{b}word <end_of_text>" for a in "abcdefghijklm" for b in "nopqrstuvwxyz"]
    assert torch.equal(made(captions), whole(captions))
    assert len(made.words) <= 50 < len(whole.cache)
    assert made.cache == open_clip.SimpleTokenizer().cache


def test_no_captions_make_no_tokens():
    tokens = TOKENIZER([])
    assert text.cut(MODEL, tokens).shape == (0, 32)


def test_a_caption_longer_than_the_context_keeps_its_end():
    tokens = text.tokenizer({"context_length": 8}, None, None)(["word " * 100])
    assert tokens.tolist()[0][-1] == END
    assert text.cut(MODEL, tokens).shape == (1, 8)


def test_what_is_no_text_tower_cannot_be_cut():
    assert not text.can_cut(nn.Linear(2, 2))


def test_a_tokenizer_of_transformers_says_what_to_install(monkeypatch):
    monkeypatch.setattr(text, "find_spec", lambda name: None)
    with pytest.raises(LmiaError, match=r"'timm/x' needs the package transformers\.\npip install transformers"):
        text.tokenizer({"hf_tokenizer_name": "timm/x"}, None, None)


def test_a_tokenizer_of_transformers_looks_at_home_first(monkeypatch, tmp_path):
    asked = []

    def made(source, *, local_files_only=False, **options):
        asked.append((source, local_files_only, options))
        if local_files_only:
            raise OSError("not here")
        return "tokenizer"

    monkeypatch.setattr(text, "find_spec", lambda name: object())
    monkeypatch.setattr(text, "HFTokenizer", made)
    monkeypatch.setattr(text.hub, "fetch", lambda *args: asked.append(args[:2]))
    config = {"hf_tokenizer_name": "timm/x", "context_length": 9, "tokenizer_kwargs": {"clean": "lower"}}
    options = {"cache_dir": "c", "context_length": 9, "tokenizer_mode": None, "clean": "lower"}
    assert text.tokenizer(config, None, "c") == "tokenizer"
    assert asked == [("timm/x", True, options), ("timm/x", ["tokenizer_config.json"]), ("timm/x", False, options)]
    with pytest.raises(LmiaError, match=r"holds no tokenizer, and its model needs 'timm/x'.\nAdd its files."):
        text.tokenizer(config, tmp_path, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-32-quickgelu"])
def test_shipped_towers_may_be_cut(name):
    torch.manual_seed(0)
    model = open_clip.create_model(name).eval()
    assert text.can_cut(model)
    tokens = open_clip.get_tokenizer(name)(CAPTIONS)
    with torch.no_grad():
        short = text.encode(model, text.cut(model, tokens))
        assert (short - model.encode_text(tokens)).abs().max() <= 1e-5


MIXED = "".join(Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=20_000))


@pytest.mark.parametrize("part", [MIXED, "a", "word ", "\u00e9", "\U0001f469", "!", "1", "&amp;", "a1"])
def test_a_caption_of_a_million_letters_costs_what_its_beginning_does(part):
    tokenize = text.tokenizer({"context_length": 77}, None, None)
    few, many = (part * 20_000)[:20_000], part * ((1 << 20) // len(part))
    start = time.process_time()
    assert torch.equal(tokenize([many]), tokenize([few]))
    assert time.process_time() - start < 15


def test_tokens_are_open_clips_wherever_a_caption_ends():
    bare, ours = open_clip.SimpleTokenizer(context_length=16), text.tokenizer({"context_length": 16}, None, None)
    captions = ["a dog " * n for n in (1, 10, 300, 3000)] + ["un\u0301 caf\u00e9, 12 " * 500, "\u65e5\u672c\u8a9e" * 40]
    assert torch.equal(ours(captions), bare(captions))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"vocab_size": 100}, "knows 100 words"),
        ({"vocab_size": "x"}, "knows 'x' words"),
        ({"context_length": 1 << 40}, "context_length is"),
        ({"context_length": 0}, "context_length is 0"),
        ({"tokenizer_kwargs": {"clean": "no"}}, "make no tokenizer"),
        ({"tokenizer_kwargs": {"additional_special_tokens": ["(a+)+$"]}}, "make no tokenizer"),
        ({"tokenizer_kwargs": {"additional_special_tokens": 3}}, "make no tokenizer"),
    ],
)
def test_a_tokenizer_that_cannot_be_is_refused(config, said):
    with pytest.raises(LmiaError, match=said):
        text.tokenizer(config, None, None)


@pytest.mark.parametrize("clean", CLEANING)
@given(caption=st.text(st.characters(max_codepoint=127)) | st.text() | st.from_regex(r"[A-Za-z&#;<>39 \t_-]*"))
@settings(max_examples=300, deadline=None)
def test_captions_are_cleaned_as_open_clip_does_it(clean, caption):
    assert CLEANING[clean].clean_fn(caption) == open_clip.tokenizer.get_clean_fn(clean)(caption)
