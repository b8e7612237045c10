"""The seal: the stock of an audit bound by one digest, made and published before anything is scored.

It shows that settings, data, weights and rule stood before that day. It does not show that nobody had scored before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path

from lmia import ledger, roles
from lmia.altered import differences
from lmia.canary.key import canonical
from lmia.data import Shard
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.ledger import Scoring
from lmia.provenance import Provenance, told
from lmia.report.aside import write_aside
from lmia.settings import digest
from lmia.stock import Parts, Tree, portable

__all__ = ["Parts", "Seal", "audited", "check", "check_free", "entered", "read_seal", "write_seal"]

FORMAT = 1
ABOUT = (
    "Made by `lmia seal` before scoring. `digest` is the SHA-256 of `digests`, and each of those of its part of "
    "`contents`, written as JSON with sorted keys, without spaces, in ASCII. Change anything, and they are others."
)
_NO_SEAL = "Give --seal the file that `lmia seal` wrote, unchanged."
_ANOTHER = "Audit what was sealed; or seal anew with `lmia seal`, and say that there are two seals."


@dataclass(frozen=True)
class Seal:
    """A seal.

    Args:
        parts: what is sealed.
        created: when, ISO 8601 in UTC, by the clock of whoever made it; no part of the digest.
    """

    parts: Parts
    created: str

    @property
    def digest(self) -> str:
        """What is made known: the SHA-256 over those of all parts, 64 hexadecimal digits."""
        return sha256(canonical(self.parts.digests)).hexdigest()


def write_seal(path: Path, seal: Seal) -> Path:
    """Write a seal where there is no file yet, aside first and then renamed.

    Raises:
        LmiaError: there is a file of that name, or it cannot be written.

    Example:
        >>> import tempfile
        >>> seal = Seal(Parts({"seed": 0}, {}, {}, {}, {}), "2026-01-01T00:00:00+00:00")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_seal(write_seal(Path(folder, "seal.json"), seal)) == seal
        True
    """
    check_free(path)
    tree = {"about": ABOUT, "format": FORMAT, "digest": seal.digest, "created": seal.created}
    tree |= {"digests": seal.parts.digests, "contents": asdict(seal.parts)}
    return write_aside(path, (json.dumps(tree, indent=2, allow_nan=False) + "\n").encode())


def check_free(path: Path) -> None:
    """Refuse to replace a file: a seal that is written over is one that nobody can check any more.

    Raises:
        LmiaError: there is a file of that name.

    Example:
        >>> check_free(Path("/"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: '/' is there already, and a seal replaces no file.
        Name another with --out FILE.
    """
    if path.exists():
        raise LmiaError(f"'{path}' is there already, and a seal replaces no file.", "Name another with --out FILE.")


def read_seal(path: Path) -> Seal:
    """Read a seal, and check that its contents are those that its digests were taken of.

    Raises:
        LmiaError: it cannot be read, is no seal, is of another format, or was changed.

    Example:
        >>> read_seal(Path("nowhere.json"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The seal 'nowhere.json' cannot be read: No such file or directory.
        Give --seal the file that `lmia seal` wrote, unchanged.
    """
    try:
        tree = json.loads(path.read_text("utf-8"))
        canonical(tree)  # refuses what JSON does not have, such as NaN
    except OSError as error:
        raise LmiaError(f"The seal '{path}' cannot be read: {error.strerror}.", _NO_SEAL) from error
    except (ValueError, RecursionError) as error:
        raise LmiaError(f"The seal '{path}' is not JSON: {' '.join(str(error).split())}.", _NO_SEAL) from error
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        version = tree.get("format") if isinstance(tree, dict) else None
        raise LmiaError(f"'{path}' is no seal of format {FORMAT}; its format is {version!r:.40}.", _NO_SEAL)
    seal = _seal(path, tree)
    expected = {"digests": seal.parts.digests, "digest": seal.digest}
    if tree["digests"] != expected["digests"] or tree.get("digest") != expected["digest"]:
        wrong = [name for name, one in seal.parts.digests.items() if tree["digests"].get(name) != one]
        raise LmiaError(
            f"The seal '{path}' was changed after it was made: its {', '.join(wrong) or 'digest'}.", _NO_SEAL
        )
    return seal


def check(path: Path | str, now: Parts) -> Seal:
    """Check that an audit is the one that was sealed, before its model is run.

    Args:
        path: of the seal.
        now: what the audit is about to do, as `lmia.stock.parts` gives it.

    Returns:
        the seal, whose digest and time the report is to give.

    Raises:
        LmiaError: the seal cannot be read or was changed; or the audit is another one, and each part that differs is
            named.
    """
    seal = read_seal(Path(path))
    if said := differences(seal.parts, now):
        raise LmiaError(f"This audit is not the one sealed in '{path}': {'; '.join(said)}.", _ANOTHER)
    return seal


def audited(plan: Mapping[str, Sequence[Shard]]) -> str:
    """Return the digest that names the ledger of a plan: of its audited shards, whichever side they are on.

    Args:
        plan: the shards of every role, as `lmia.roles.plan` lists them.
    """
    return ledger.of(shard.key for role in roles.AUDITED for shard in plan.get(role, ()))


def entered(
    config: Tree,
    model: FeatureExtractor,
    plan: Mapping[str, Sequence[Shard]],
    names: Sequence[str],
    seal: Seal | None = None,
    verdict: str = "",
) -> Provenance:
    """Enter a finished scoring in the ledger of the model's cache, and say what went before it.

    Args:
        config: as `lmia.record.config` makes it.
        model: that was audited.
        plan: the shards of every role.
        names: of the attacks.
        seal: that the audit was checked against, if it was.
        verdict: its word, if there is one.
    """
    keys = {role: [shard.key for shard in shards] for role, shards in plan.items()}
    cache, target = model.store.folder.parent, model.store.folder.name
    mine = Scoring(ledger.now(), target, tuple(names), digest(portable(config), keys, _columns(config)), verdict)
    past = ledger.append(cache, audited(plan), mine)
    return told(past, mine, seal.digest, seal.created) if seal else told(past, mine)


def _columns(config: Tree) -> str:
    """Digest the files of columns and of truth once more; the audit has read them, so that they are hardly ever gone."""
    data = config.get("data")
    roles = data.values() if isinstance(data, Mapping) else ()
    args = [inner for one in roles if isinstance(one, Mapping) and isinstance(inner := one.get("init_args"), Mapping)]
    names = [data.get("columns") if isinstance(data, Mapping) else None, *(inner.get("manifest") for inner in args)]
    with suppress(OSError):
        files = dict.fromkeys(str(name) for name in names if name)
        return " ".join(sha256(Path(name).read_bytes()).hexdigest() for name in files)
    return "gone"


def _seal(path: Path, tree: Mapping[str, object]) -> Seal:
    contents, digests, created = tree.get("contents"), tree.get("digests"), tree.get("created")
    names = [part.name for part in fields(Parts)]
    whole = isinstance(contents, dict) and sorted(contents) == sorted(names)
    if not (whole and isinstance(digests, dict) and isinstance(created, str)):
        raise LmiaError(f"The seal '{path}' lacks a part; it has {', '.join(names)}.", _NO_SEAL)
    assert isinstance(contents, dict)  # as `whole` says
    if odd := [name for name in names if not isinstance(contents[name], dict)]:
        raise LmiaError(f"The seal '{path}' holds no keys in its {odd[0]}.", _NO_SEAL)
    return Seal(Parts(**contents), created)
