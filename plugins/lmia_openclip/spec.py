"""What a user types to name an open_clip model, and what to answer when there is no such name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

import open_clip

from lmia import LmiaError

FOLDER, HUB = "local-dir:", "hf-hub:"
_ALIAS = "open_clip:"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,63}")
_LIST_ALL = 'python -c "import open_clip; print(*open_clip.list_models())"'


def claim(spec: str) -> dict[str, object] | None:
    """Return the arguments of `OpenCLIP` that `spec` stands for, or None if it names no model of open_clip.

    A word that is nearly an architecture's name is claimed too, so that its error can name the one that was meant.

    Example:
        >>> claim("open_clip:ViT-B-32/laion400m_e32")
        {'model': 'ViT-B-32', 'pretrained': 'laion400m_e32'}
        >>> claim("pairs.csv") is None
        True
    """
    if spec.startswith((FOLDER, HUB)):
        return {"model": spec}
    bare = spec.removeprefix(_ALIAS)
    if bare != spec and bare.startswith((FOLDER, HUB)):
        return {"model": bare}
    if is_architecture(bare):
        return {"model": bare}
    name, comma, tag = bare.partition(",")
    if not comma and bare != spec:  # open_clip:ARCH/TAG
        name, comma, tag = bare.rpartition("/")
    if comma and tag and (is_architecture(name) or _meant(name)):
        return {"model": name, "pretrained": tag}
    return {"model": bare} if _meant(bare) else None


def is_architecture(name: str) -> bool:
    """Whether open_clip knows an architecture of that name; `ViT-B/32` is `ViT-B-32`.

    Example:
        >>> is_architecture("ViT-B/32"), is_architecture("VitB32")
        (True, False)
    """
    return name.replace("/", "-") in open_clip.list_models()


def _meant(name: str) -> bool:
    """Whether a person who typed `name` was after an architecture; a path or a file is something else."""
    return bool(_NAME.fullmatch(name) and close(name, open_clip.list_models()) and not Path(name).exists())


def close(name: str, known: list[str]) -> list[str]:
    """Return at most five of the `known` names that resemble `name`, the best first, whatever their case.

    Example:
        >>> close("vit-b32", ["RN50", "ViT-B-32", "ViT-B-16"])
        ['ViT-B-32', 'ViT-B-16']
    """
    by_lower = {word.lower(): word for word in known}
    return [by_lower[word] for word in get_close_matches(name.lower(), by_lower, n=5, cutoff=0.6)]


def unknown_architecture(name: str) -> LmiaError:
    """Say that open_clip has no such architecture, and which few of those it has are close.

    Example:
        >>> unknown_architecture("VitB32").remedy.startswith("Did you mean 'ViT-B-32'?")
        True
    """
    few = close(name, open_clip.list_models())
    hint = f"Did you mean '{few[0]}'? Close to it: {', '.join(few)}. " if few else ""
    return LmiaError(f"open_clip has no architecture called '{name}'.", f"{hint}`{_LIST_ALL}` lists all.")


def unknown_tag(architecture: str, tag: str) -> LmiaError:
    """Say that an architecture has no weights of that tag: its tags, and who else has that one.

    Example:
        >>> print(unknown_tag("RN50", "yfcc15").remedy)
        Did you mean 'yfcc15m'? Tags of RN50: cc12m, openai, yfcc15m. A checkpoint file or `random` will do too.
    """
    tags = sorted(open_clip.list_pretrained_tags_by_model(architecture))
    few = close(tag, tags)
    hint = f"Did you mean '{few[0]}'? " if few else ""
    others = open_clip.list_pretrained_models_by_tag(tag)
    elsewhere = f"That tag belongs to {', '.join(others)}. " if others else ""
    return LmiaError(
        f"'{tag}' is neither a tag of {architecture} nor a file.",
        f"{hint}{elsewhere}Tags of {architecture}: {', '.join(tags) or 'none'}. "
        "A checkpoint file or `random` will do too.",
    )
