"""Checkpoint files: read without ever running what they hold, and refused where they do not fit."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import open_clip
import torch
from safetensors import safe_open
from torch import Tensor, nn

from lmia import LmiaError
from lmia_openclip.pickles import check_tuples

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
_KEYS = 3  # how many keys of each kind an error names


def load(model: nn.Module, path: Path, exact: bool) -> None:
    """Put the weights of a checkpoint file into `model`.

    Args:
        model: an open_clip model.
        path: a `.safetensors` file, or a `.pt`, `.pth` or `.bin` that holds tensors and nothing that runs.
        exact: refuse what open_clip would bend in silence (a position table of another picture size or context
            length, a missing sigmoid bias). Weights that open_clip itself publishes for `model` need no such care.

    Raises:
        LmiaError: the file is missing, damaged, holds code, or belongs to another architecture.

    Example:
        >>> load(nn.Linear(1, 1), Path("no.pt"), exact=True)
        Traceback (most recent call last):
        lmia.errors.LmiaError: There is no checkpoint file 'no.pt'.
        Check the path.
    """
    shapes = _shapes(path)
    if exact:
        _check_exact(model, shapes, path)
    if "logit_bias" in shapes and getattr(model, "logit_bias", None) is None:
        raise _misfit(path, "it has the bias of a sigmoid loss (logit_bias), the architecture has none")
    try:
        with warnings.catch_warnings(action="ignore"):  # _shapes has read the file already, and had its say
            open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)
    except Exception as error:  # open_clip's conversions of other layouts trust every name and shape they find
        raise _misfit(path, _named_keys(str(error)) or type(error).__name__) from error


def digest(model: nn.Module) -> str:
    """Return a BLAKE2b digest (32 hex digits) of a model's state: names, dtypes, shapes and bytes of all tensors.

    Example:
        >>> one, other = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> digest(one) == digest(one), digest(one) == digest(other)
        (True, False)
    """
    state = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        state.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return state.hexdigest()


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes of a checkpoint's tensors, and thereby prove that it can be read."""
    if not path.is_file():
        raise LmiaError(f"There is no checkpoint file '{path}'.", "Check the path.")
    if path.suffix not in SUFFIXES:
        raise LmiaError(f"'{path}' is no checkpoint by its name.", f"Known are {', '.join(SUFFIXES)}.")
    try:
        found = _safetensors_shapes(path) if path.suffix == ".safetensors" else _torch_shapes(path)
    except UnpicklingError as error:
        raise LmiaError(
            f"'{path}' is damaged or holds more than tensors, and opening it could run what it holds.",
            "Save it again as .safetensors, or as a plain state_dict, where you trust it.",
        ) from error
    except Exception as error:  # a stranger's bytes can break a reader in any way
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise LmiaError(f"'{path}' cannot be read as a checkpoint: {reason}", "Is it whole? Fetch it again.") from error
    if not found:
        raise LmiaError(
            f"'{path}' holds no weights.", "Give a file with a state_dict, as open_clip's training writes it."
        )
    return {name.removeprefix("module."): shape for name, shape in found.items()}


def _safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)


def _torch_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    check_tuples(path)
    with warnings.catch_warnings(action="ignore"):  # of unusual pickles: refused below, or harmless
        found = torch.load(path, map_location="meta", weights_only=True)
    state = found.get("state_dict", found) if isinstance(found, Mapping) else {}
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        return {}
    return {str(name): tuple(value.shape) for name, value in state.items()}


def _check_exact(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    own = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    if "logit_bias" in own and "logit_bias" not in shapes:
        raise _misfit(path, "it has no logit_bias, the architecture's sigmoid loss needs one")
    for name, shape in shapes.items():
        wanted = own.get(name) or own.get(f"text.{name}")
        if name.endswith("positional_embedding") and wanted and wanted != shape:
            raise _misfit(path, f"{name} is {shape} there and {wanted} in the architecture")


def _misfit(path: Path, why: str) -> LmiaError:
    return LmiaError(
        f"The checkpoint '{path}' does not fit the architecture: {why}.", "Name the architecture it was trained with."
    )


def _named_keys(complaint: str) -> str:
    """Shorten torch's list of all keys that do not fit to a few of each kind."""
    missing = re.findall(r'"([^"]+)"', _between(complaint, "Missing key(s) in state_dict:"))
    unknown = re.findall(r'"([^"]+)"', _between(complaint, "Unexpected key(s) in state_dict:"))
    resized = re.findall(r"size mismatch for ([^:\s]+):", complaint)
    kinds = {"it lacks": missing, "it has too many": unknown, "of another size are": resized}
    said = [f"{kind} {_few(keys)}" for kind, keys in kinds.items() if keys]
    return "; ".join(said) or complaint.partition("\n")[0]


def _between(text: str, start: str) -> str:
    return text.partition(start)[2].partition("\n")[0]


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - _KEYS} more" if len(keys) > _KEYS else ""
    return ", ".join(keys[:_KEYS]) + more
