"""Text towers: their tokens, and captions encoded without the padding behind the longest of them.

A causal tower reads its feature at the end-of-text token, and that token sees nothing to its right: padding costs time
and changes nothing. Where a tower looks at all its tokens (SigLIP), or appends one (CoCa), nothing is cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, whitespace_clean
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

from lmia import LmiaError
from lmia_openclip import hub
from lmia_openclip.config import LONGEST

Tokenizer = Callable[[Sequence[str]], Tensor]
Clean = Callable[[str], str]
_CONTEXT = 77
_REMEMBERED = 1 << 18  # words
# What a tokenizer may be told by a configuration from anywhere. Left out with intent: `trust_remote_code`, which runs
# code, and `reduction_mask`, which drops words at random.
_OPTIONS = {"clean", "strip_sep_token", "additional_special_tokens", "language"}


def context_length(config: Mapping[str, object]) -> int:
    """Return how many tokens a model of that `text_cfg` takes.

    Example:
        >>> context_length({"context_length": 64}), context_length({})
        (64, 77)
    """
    length = config.get("context_length", _CONTEXT)
    return length if isinstance(length, int) else _CONTEXT


def tokenizer(config: Mapping[str, object], folder: Path | None, cache_dir: str | None) -> Tokenizer:
    """Make the tokenizer that a model's `text_cfg` asks for.

    Args:
        config: the `text_cfg`.
        folder: the model's own folder, which then holds its tokenizer's files too, if it needs any.
        cache_dir: the hub's cache; its default if None.

    Raises:
        LmiaError: it needs `transformers` or files that are not there, or asks for something unsafe or random.

    Example:
        >>> tokenizer({"context_length": 8}, None, None)(["a cat"]).tolist()
        [[49406, 320, 2368, 49407, 0, 0, 0, 0]]
    """
    options = config.get("tokenizer_kwargs") or {}
    if not isinstance(options, dict) or set(options) - _OPTIONS:
        raise LmiaError(
            f"The model's tokenizer_kwargs are {options!r}.",
            f"Allowed are {', '.join(sorted(_OPTIONS))}; drop the rest.",
        )
    length, name = context_length(config), config.get("hf_tokenizer_name")
    if not 0 < length <= LONGEST:
        raise LmiaError(f"The model's context_length is {length}.", f"Give one from 1 to {LONGEST:,}.")
    if not name:
        return _clips_own(config, length, options)
    need_transformers(str(name))
    given = {"context_length": length, "tokenizer_mode": config.get("tokenizer_mode"), **options}
    return _transformers_tokenizer(str(name), folder, cache_dir, given)


def _clips_own(config: Mapping[str, object], length: int, options: Mapping[str, object]) -> Tokenizer:
    """Make CLIP's own tokenizer, for captions of any length.

    A word of forty thousand letters takes it most of a minute. So a text is cut, once it is cleaned, behind all that its
    first `length` tokens can be of: only a word that is as long as that by itself might come apart otherwise.
    """
    marks = cast("Sequence[str]", options.get("additional_special_tokens") or [])
    try:
        # They become part of a pattern.
        if not isinstance(marks, list) or not all(re.fullmatch(r"[\w<>]+", mark) for mark in marks):
            raise ValueError(f"special tokens {marks!r:.80}")
        made = _Clips(context_length=length, **options)
    except Exception as error:  # a configuration from anywhere can break open_clip in any way
        raise LmiaError(
            f"The model's tokenizer_kwargs make no tokenizer: {dict(options)!r:.200}.", "Mend or drop them."
        ) from error
    words = config.get("vocab_size", made.vocab_size)
    if not isinstance(words, int) or words < made.vocab_size:
        raise LmiaError(
            f"The model knows {words!r:.40} words, CLIP's tokenizer has {made.vocab_size:,}.",
            "Mend vocab_size, or name the model's own hf_tokenizer_name.",
        )
    quick = _QUICK.get(str(options.get("clean", "lower")), made.clean_fn)
    made.clean_fn = partial(_beginning, made.clean_fn, quick, 2 * length * max(map(len, made.encoder)))
    found: Tokenizer = made
    return found


class _Clips(open_clip.SimpleTokenizer):  # type: ignore[misc]
    """CLIP's own tokenizer, which takes a word apart once and remembers it, but not all of a day's: it has millions."""

    cache: dict[str, str]

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.cache = _Marks(self.cache)
        self.words: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str) -> list[int]:
        """Turn a text into tokens, without those of its beginning and end."""
        words = self.pat.findall(self.clean_fn(text))
        return [token for word in words for token in self.words.get(word) or self._apart(word)]

    def _apart(self, word: str) -> tuple[int, ...]:
        if len(self.words) >= _REMEMBERED:
            self.words = {}  # not cleared: another thread may be reading
        letters = "".join(self.byte_encoder[byte] for byte in word.encode())
        self.words[word] = tokens = tuple(self.encoder[part] for part in self.bpe(letters).split(" "))
        return tokens


class _Marks(dict[str, str]):
    """The special words; open_clip would keep every other here too, for good."""

    def __setitem__(self, word: str, parts: str) -> None:
        """Keep nothing more."""

    def __reduce__(self) -> tuple[type[_Marks], tuple[dict[str, str]]]:
        """Be copied whole, not word by word."""
        return _Marks, (dict(self),)


def _beginning(clean: Clean, quick: Clean, letters: int, text: str) -> str:
    """Clean a text, quickly where there is nothing to mend: in printable ASCII without character references."""
    plain = text.isascii() and text.isprintable() and "&" not in text
    return (quick if plain else clean)(text)[:letters]


def _lower(text: str) -> str:
    return cast("str", whitespace_clean(text).lower())


_QUICK: Mapping[str, Clean] = {"lower": _lower, "whitespace": whitespace_clean}
"""What open_clip's ways to clean do besides mending, which takes them most of a caption's time."""


def need_transformers(name: str) -> None:
    """Raise an LmiaError if `transformers`, which the text part `name` needs, is not installed.

    Example:
        >>> need_transformers.__name__
        'need_transformers'
    """
    if find_spec("transformers") is None:
        raise LmiaError(f"The model's text part '{name}' needs the package transformers.", "pip install transformers")


def described_here(config: Mapping[str, object], folder: Path | None) -> Mapping[str, object]:
    """Return a `text_cfg` that a folder's model is built of without a word to a hub: the user has named none.

    Args:
        config: the `text_cfg`, which may name a text tower of transformers.
        folder: the model's own folder; None where the user named a hub's model or an architecture.

    Raises:
        LmiaError: transformers' description of that tower is not in the hub's cache.

    Example:
        >>> described_here({"width": 8}, Path("model"))
        {'width': 8}
    """
    if folder is None or not (name := config.get("hf_model_name")):
        return config
    return {**config, "hf_model_name": str(hub.cached(str(name), "config.json", str(folder)).parent)}


def _transformers_tokenizer(
    name: str, folder: Path | None, cache_dir: str | None, options: Mapping[str, object]
) -> Tokenizer:
    source = str(folder) if folder else name
    try:
        made: Tokenizer = HFTokenizer(source, cache_dir=cache_dir, local_files_only=True, **options)
    except (OSError, ValueError) as error:
        if folder:
            raise LmiaError(
                f"'{folder}' holds no tokenizer, and its model needs '{name}'.", "Add its files."
            ) from error
        what, remedy = f"The tokenizer's files of {name}", ", by one run there, and bring the hub's cache along."
        hub.fetch(name, ["tokenizer_config.json"], what, remedy, cache_dir)
        made = HFTokenizer(source, cache_dir=cache_dir, **options)
    return made


def can_cut(model: nn.Module) -> bool:
    """Whether padding behind the end-of-text token cannot reach the text features of `model`.

    Example:
        >>> can_cut(nn.Linear(1, 1))
        False
    """
    tower = _tower(model)
    return (
        isinstance(tower, (open_clip.CLIP, TextTransformer))
        and tower.attn_mask is not None
        and getattr(tower, "cls_emb", None) is None
        and _pooling(tower)[0] in ("argmax", "eos")
    )


def cut(model: nn.Module, tokens: Tensor) -> Tensor:
    """Cut `(b, l)` tokens behind the last one that any feature is read at; only for a model that `can_cut`."""
    return tokens[:, : int(_read_at(_tower(model), tokens).max()) + 1] if len(tokens) else tokens


def encode(model: nn.Module, tokens: Tensor) -> Tensor:
    """Encode `(b, l)` tokens, l up to the context length, into `(b, d)`; only for a model that `can_cut`.

    The tower's own layers in their own order, with the first l positions and the first l rows and columns of the mask.
    """
    tower, length = _tower(model), tokens.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    hidden = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)  # (b, l, w)
    hidden = tower.ln_final(tower.transformer(hidden, attn_mask=tower.attn_mask[:length, :length]))
    pooled: Tensor = hidden[torch.arange(len(tokens), device=tokens.device), _read_at(tower, tokens)]  # (b, w)
    projection = tower.text_projection
    if projection is None:
        return pooled
    features: Tensor = projection(pooled) if isinstance(projection, nn.Module) else pooled @ projection
    return features


def _tower(model: nn.Module) -> TextTransformer:
    """`open_clip.CLIP` is its own text tower; the other classes have one called `text`."""
    return getattr(model, "text", model)


def _pooling(tower: TextTransformer) -> tuple[str, int]:
    if isinstance(tower, open_clip.CLIP):
        return tower.text_pool_type, tower.text_eos_id
    return tower.pool_type, tower.eos_id


def _read_at(tower: TextTransformer, tokens: Tensor) -> Tensor:
    """Return the `(b,)` positions that features are read at: the highest token, or the first end-of-text token."""
    pooling, end = _pooling(tower)
    return tokens.argmax(dim=-1) if pooling == "argmax" else (tokens == end).int().argmax(dim=-1)
