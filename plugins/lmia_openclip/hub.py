"""Files of the Hugging Face hub: from the cache at once, else from the hub, else one plain sentence within seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
)

from lmia import LmiaError

PATIENCE = 3.0
"""Seconds after which a hub that has not answered counts as out of reach."""


def fetch(repo: str, filenames: Sequence[str], what: str, remedy: str, cache_dir: str | None = None) -> Path:
    """Return the first of `filenames` that the cache holds; only if it holds none, ask the hub for them in that order.

    What is cached is taken as it is: no question goes out, so a cached model gives the same audit on- and offline.

    Args:
        repo: `ORG/NAME`.
        filenames: names of which any will do, the best first.
        what: what is wanted, in the plural, such as `The weights of X`: the subject of an error's first line.
        remedy: the second line, after `Fetch FILE of REPO where there is a network`.
        cache_dir: the hub's cache; its default if None.

    Raises:
        LmiaError: none is cached and the hub is out of reach, or has no such repository or file.

    Example:
        >>> fetch("no such", ["model.bin"], "The weights", ".")
        Traceback (most recent call last):
        lmia.errors.LmiaError: 'no such' is no name of a hub repository.
        Write hf-hub:ORG/NAME.
    """
    try:
        cached = [huggingface_hub.try_to_load_from_cache(repo, name, cache_dir=cache_dir) for name in filenames]
    except HFValidationError as error:
        raise LmiaError(f"'{repo}' is no name of a hub repository.", "Write hf-hub:ORG/NAME.") from error
    for path in cached:
        if isinstance(path, str):
            return Path(path)
    for name in filenames:
        way_out = f"Fetch {name} of {repo} where there is a network{remedy}"
        if _is_there(repo, name, what, way_out):
            return _download(repo, name, what, way_out, cache_dir)
    raise LmiaError(
        f"The hub's repository '{repo}' has no file called {' or '.join(filenames)}.",
        "Check its name; open_clip needs open_clip_config.json and weights in its own format.",
    )


def cached(repo: str, filename: str, who: str) -> Path:
    """Return a file that the cache holds; the hub is not asked, since the user did not name `repo`: `who` did.

    Raises:
        LmiaError: the cache does not hold it.

    Example:
        >>> cached("no such", "config.json", "model")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: 'model' needs config.json of 'no such', which is not in the hub's cache.
        Nothing is fetched by a folder's word. Where you trust that name: hf download 'no such' config.json
    """
    try:
        found = huggingface_hub.try_to_load_from_cache(repo, filename)
    except HFValidationError:
        found = None
    if isinstance(found, str):
        return Path(found)
    raise LmiaError(
        f"'{who}' needs {filename} of '{repo}', which is not in the hub's cache.",
        f"Nothing is fetched by a folder's word. Where you trust that name: hf download '{repo}' {filename}",
    )


def _is_there(repo: str, filename: str, what: str, remedy: str) -> bool:
    if constants.HF_HUB_OFFLINE:
        raise LmiaError(f"{what} are not in the cache, and HF_HUB_OFFLINE switches the hub off.", remedy)
    answers: list[Exception | None] = []
    # A thread, since looking up the hub's address knows no time limit.
    asking = Thread(target=_ask, args=(huggingface_hub.hf_hub_url(repo, filename), answers), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    match answers:
        case [None]:
            return True
        case [RepositoryNotFoundError()]:
            raise LmiaError(
                f"The hub has no repository '{repo}', or does not show it to you.",
                "Check the name; a gated one wants a login (`hf auth login`).",
            )
        case [EntryNotFoundError()]:
            return False
        case [HfHubHTTPError() as error]:
            raise LmiaError(f"The hub refuses '{filename}' of '{repo}': {_first_line(error)}", remedy)
    raise LmiaError(f"{what} are not in the cache and the hub cannot be reached.", remedy)


def _ask(url: str, answers: list[Exception | None]) -> None:
    try:
        huggingface_hub.get_hf_file_metadata(url, timeout=PATIENCE)
    except Exception as error:  # every transport of every version of the hub's client has its own
        answers.append(error)
    else:
        answers.append(None)


def _download(repo: str, filename: str, what: str, remedy: str, cache_dir: str | None) -> Path:
    try:
        return Path(huggingface_hub.hf_hub_download(repo, filename, cache_dir=cache_dir))
    except Exception as error:  # the line breaks, the disk is full, the hub changes its mind
        raise LmiaError(f"{what} could not be downloaded: {_first_line(error)}", remedy) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
