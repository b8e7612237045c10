"""From a source to a folder to publish and a folder to keep sealed."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import mean, median

from PIL import Image, ImageOps

from lmia.canary.design import Design, Variant, variants_of
from lmia.canary.key import Item, Key, canonical, choose, design_seed
from lmia.canary.survival import Survival, near_copies, survival
from lmia.errors import LmiaError
from lmia.picture import Facts, open_pair
from lmia.records import records
from lmia.source import Pair, Rejected, Source, drawn

PUBLISH, SEALED, PICTURES, KEY, COMMITMENT = "publish", "sealed", "variants", "key.json", "commitment.txt"


@dataclass(frozen=True)
class Plan:
    """Which records of a source become items.

    Args:
        source: where they are read.
        keys: of the usable records, in order.
        rejected: how many were not usable, by reason.
        left_out: how many usable ones a sample did not draw.
    """

    source: Source
    keys: tuple[str, ...]
    rejected: dict[str, int]
    left_out: int = 0


@dataclass(frozen=True)
class Made:
    """What was written.

    Args:
        key: the sealed key.
        survivals: of each item.
        copies: published pictures that a de-duplicator would take for a copy of another published one.
    """

    key: Key
    survivals: list[Survival]
    copies: int


@dataclass
class _Folders:
    root: Path
    items: list[Item] = field(default_factory=list)
    survivals: list[Survival] = field(default_factory=list)
    published: list[str] = field(default_factory=list)


def plan(source: Source) -> Plan:
    """Read a source once, to know how many items there will be.

    Args:
        source: pairs to make variants of.

    Raises:
        LmiaError: no record is usable, or two of them have the same key.
    """
    rejected: Counter[str] = Counter()
    keys: list[str] = []
    for record, opened in _opened(source):
        if isinstance(opened, Rejected):
            rejected[opened.reason] += 1
        else:
            keys.append(record.key)
    if not keys:
        why = ", ".join(f"{count} {reason}" for reason, count in rejected.items()) or "it is empty"
        raise LmiaError(f"The source holds no usable pair: {why}.", "Give --source pictures with captions.")
    if len(set(keys)) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise LmiaError(f"The source names two pairs '{twice}'.", "Give each pair a key of its own.")
    taken = drawn(source, keys)
    return Plan(source, tuple(keys[i] for i in taken), dict(rejected), len(keys) - len(taken))


def make(plan: Plan, out: Path, design: Design, secret: bytes, alpha: float = 0.01, rehearsal: bool = False) -> Made:
    """Write `publish/`, `sealed/` and `commitment.txt` into a new folder, whole or not at all.

    Args:
        plan: which records.
        out: a folder that does not exist yet, or is empty.
        design: how variants are made.
        secret: 32 random bytes, from which all that is random follows.
        alpha: chance of a false alarm to settle on.
        rehearsal: whether the secret is no secret; the key says so.

    Raises:
        LmiaError: the folder holds something, or cannot be written; or the source has changed since the plan.
    """
    check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
        made = _write(plan, Path(aside, "whole"), design, secret, alpha, rehearsal)
        if out.exists():
            out.rmdir()
        Path(aside, "whole").rename(out)
    return made


def check_out(out: Path) -> None:
    """Refuse a folder that holds something: a key that is overwritten is lost.

    Example:
        >>> check_out(Path("/"))
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The folder / is not empty, and may hold a sealed key.
        Give --out a new folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LmiaError(f"The folder {out} is not empty, and may hold a sealed key.", "Give --out a new folder.")


def survived(made: Made) -> list[str]:
    """Say in plain lines what would become of the variants on the way into a training set."""
    found = made.survivals
    apart, total = sum(one.apart for one in found), sum(one.variants for one in found)
    lines = []
    if made.key.design["change"] != "caption":
        lines.append(
            f"After halving and JPEG of quality 50, {apart} of {total} pictures are still told apart from the other "
            f"variants of their item ({apart / total:.1%})."
        )
        lines.append(
            f"A variant differs from its original by {mean(one.moved for one in found):.1f} of 255 grey levels on "
            f"average, and by {median(one.bits for one in found):g} of 64 bits of its perceptual hash (median of the "
            "items' largest)."
        )
        if apart < 0.95 * total:
            lines.append("Warning: too many variants look alike after that; give a larger --strength.")
    lines.append(
        f"{made.copies} of {len(found)} published pictures look like another one to a de-duplicator"
        + ("; it may keep one of them." if made.copies else ".")
    )
    lines.append(
        "To a de-duplicator a variant may look like its original: publish the variants instead of the originals, "
        "not beside them."
    )
    return lines


def _write(plan: Plan, root: Path, design: Design, secret: bytes, alpha: float, rehearsal: bool) -> Made:
    (root / PUBLISH).mkdir(parents=True)
    (root / SEALED).mkdir(mode=0o700)
    (root / SEALED / PICTURES).mkdir()
    folders, wanted = _Folders(root), set(plan.keys)
    for record, opened in _opened(plan.source):
        if record.key in wanted and not isinstance(opened, Rejected):
            assert isinstance(record, Pair)  # what was opened is a pair
            _add(folders, record, opened, design, secret)
    if [item.source for item in folders.items] != list(plan.keys):
        raise LmiaError("The source changed while it was read.", "Run again when nobody writes to it.")
    key = Key(secret.hex(), design.variants, alpha, tuple(folders.items), plan.rejected, asdict(design), rehearsal)
    sealed = root / SEALED / KEY
    sealed.touch(mode=0o600)
    sealed.write_bytes(canonical(asdict(key)))
    (root / COMMITMENT).write_text(key.commitment + "\n")
    return Made(key, folders.survivals, near_copies(folders.published))


def _add(folders: _Folders, pair: Pair, opened: tuple[Image.Image, Facts], design: Design, secret: bytes) -> None:
    name = f"{len(folders.items) + 1:05d}"
    image = ImageOps.exif_transpose(opened[0])
    made = variants_of(image, pair.caption, design, design_seed(secret, name))
    looks = [_looks(one) for one in made]
    choice = choose(secret, name, design.variants)
    pictures = folders.root / SEALED / PICTURES
    for i, one in enumerate(made):
        (pictures / f"{name}-{i}.jpg").write_bytes(one.image)
    publish = folders.root / PUBLISH
    shutil.copyfile(pictures / f"{name}-{choice}.jpg", publish / f"{name}.jpg")
    (publish / f"{name}.txt").write_text(made[choice].caption + "\n", encoding="utf-8")
    hashes = tuple(sha256(one.image).hexdigest() for one in made)
    folders.items.append(Item(name, pair.key, choice, hashes, tuple(one.caption for one in made)))
    folders.survivals.append(survival(image, (opened[1].phash, looks), [one.image for one in made]))
    folders.published.append(looks[choice])


def _looks(variant: Variant) -> str:
    opened = open_pair(Pair("variant", variant.caption, variant.image))
    assert not isinstance(opened, Rejected)  # it was written a moment ago
    return opened[1].phash


def _opened(source: Source) -> Iterator[tuple[Pair | Rejected, tuple[Image.Image, Facts] | Rejected]]:
    for shard in source.shards():
        for record in records(source, shard):
            yield record, record if isinstance(record, Rejected) else open_pair(record)
