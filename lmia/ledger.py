"""The ledger: how often the same data were audited before, as far as one cache knows.

    <cache>/audits/<data>.jsonl      one line a finished scoring; lines are added, never changed

Whoever runs ten audits and shows the best has not made one audit. What is not here was not counted: another cache, a
ledger that was deleted, data that were copied or cut in another way.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lmia.settings import digest

FOLDER = "audits"


@dataclass(frozen=True)
class Scoring:
    """A finished scoring: one line of the ledger.

    Args:
        time: when, ISO 8601 in UTC.
        target: the target's fingerprint.
        attacks: their names, as in the report.
        settings: digest of everything else that was chosen.
        verdict: the verdict's word; empty where there is none.
    """

    time: str
    target: str
    attacks: Sequence[str]
    settings: str
    verdict: str = ""


@dataclass(frozen=True)
class Past:
    """What a ledger tells of earlier audits.

    Args:
        scorings: those whose lines could be read, oldest first.
        unread: how many lines could not, such as one that a power cut tore.
        problem: what went wrong with the file, in a plain sentence; empty where nothing did.
    """

    scorings: Sequence[Scoring] = ()
    unread: int = 0
    problem: str = ""

    @property
    def count(self) -> int:
        """How many audits there were; a line that cannot be read was one, too."""
        return len(self.scorings) + self.unread


def of(keys: Iterable[str]) -> str:
    """Return the digest that names the ledger of some data: the same however shards are ordered or repeated.

    Args:
        keys: of the audited shards.

    Example:
        >>> of(["a", "b"]) == of(["b", "a", "b"]) != of(["a"])
        True
    """
    return digest(sorted(set(keys)))


def earlier(root: Path, data: str) -> Past:
    """Read what was audited before.

    Args:
        root: the cache folder.
        data: digest of the audited data, as `of` gives it.

    Example:
        >>> earlier(Path("nowhere"), of(["a"]))
        Past(scorings=(), unread=0, problem='')
    """
    path = _place(root, data)
    try:
        return _read(path.read_bytes())
    except FileNotFoundError:
        return Past()
    except OSError as error:
        return Past(problem=f"Earlier audits of these data are not known: {path} cannot be read ({error.strerror}).")


def append(root: Path, data: str, scoring: Scoring) -> Past:
    """Add a finished scoring, and return what went before it; of two processes at once, one is before the other.

    A cache that cannot be written costs no audit: the sentence in `Past.problem` says so.

    Args:
        root: the cache folder; made if missing.
        data: digest of the audited data, as `of` gives it.
        scoring: what is to be added.

    Example:
        >>> import tempfile
        >>> root, mine = Path(tempfile.mkdtemp()), Scoring("2026-01-01T00:00:00+00:00", "a model", ["csa"], "1")
        >>> append(root, of(["a"]), mine).count, append(root, of(["a"]), mine).count, earlier(root, of(["b"])).count
        (0, 1, 0)
    """
    path = _place(root, data)
    line = json.dumps({**asdict(scoring), "attacks": list(scoring.attacks)}).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            with suppress(OSError):  # some network file systems have no locks; lines still go to the end
                fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            before = file.read()
            _add(file, line if before.endswith(b"\n") or not before else b"\n" + line)
    except OSError as error:
        past = earlier(root, data)
        problem = f"This audit is not counted for later ones: {path} cannot be written ({error.strerror})."
        return replace(past, problem=" ".join(filter(None, [past.problem, problem])))
    return _read(before)


def now() -> str:
    """Return the time as the ledger writes it, ISO 8601 in UTC, to the second.

    Example:
        >>> now()[-6:]
        '+00:00'
    """
    return datetime.now(UTC).isoformat(timespec="seconds")


def _place(root: Path, data: str) -> Path:
    return Path(root) / FOLDER / f"{data}.jsonl"


def _add(file: IO[bytes], line: bytes) -> None:
    file.write(line)
    file.flush()


def _read(text: bytes) -> Past:
    found = [_scoring(line) for line in text.split(b"\n") if line]
    return Past(tuple(one for one in found if one), sum(one is None for one in found))


def _scoring(line: bytes) -> Scoring | None:
    try:
        tree = json.loads(line)
        attacks = tree["attacks"]
        words = [tree["time"], tree["target"], tree["settings"], tree["verdict"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(attacks, list) or not all(isinstance(word, str) for word in [*words, *attacks]):
        return None
    time, target, settings, verdict = words
    return Scoring(time, target, tuple(attacks), settings, verdict)
