"""The sealed key: which variant of each item was published, bound by a digest that is made known beforehand."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from lmia.errors import LmiaError

RULE = (
    "score = cosine of picture and caption; rank = number of the item's variants that score below the published one, "
    "ties against the owner; statistic = sum of ranks; p = chance of a sum at least as large if all ranks are uniform"
)
FORMAT = 1
_OTHER = "Give the key that was sealed, as it was, and the commitment that was made known with it."


@dataclass(frozen=True)
class Item:
    """An item of the key.

    Args:
        name: of its files.
        source: its key in the source it came from.
        choice: which variant was published.
        pictures: sha256 of each variant's picture.
        captions: each variant's caption.
    """

    name: str
    source: str
    choice: int
    pictures: tuple[str, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """What is sealed.

    Args:
        secret: 64 hexadecimal digits, from which every choice follows; keeps the commitment from being guessed.
        variants: n of each item.
        alpha: chance of a false alarm that was settled on beforehand.
        items: in order.
        rejected: how many records of the source could not be used, by reason.
        design: how the variants were made, for people.
        rehearsal: whether the secret was made from a seed, and so may be guessed.
        rule: how the test goes.
        format: version of this format.
    """

    secret: str
    variants: int
    alpha: float
    items: tuple[Item, ...]
    rejected: Mapping[str, int]
    design: Mapping[str, object]
    rehearsal: bool = False
    rule: str = RULE
    format: int = FORMAT

    @property
    def commitment(self) -> str:
        """SHA-256 over `canonical` of the key, 64 hexadecimal digits."""
        return sha256(canonical(asdict(self))).hexdigest()


def canonical(tree: object) -> bytes:
    r"""Write JSON in the one way that the commitment is taken of: keys sorted, no spaces, ASCII.

    Example:
        >>> canonical({"b": 1, "a": ["\u00e9"]})
        b'{"a":["\\u00e9"],"b":1}'
    """
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def choose(secret: bytes, name: str, variants: int) -> int:
    """Choose the variant of an item to publish: uniform to anyone without the secret.

    Args:
        secret: random bytes.
        name: of the item.
        variants: n.

    Returns:
        from 0 to n - 1. The 512-bit hash makes no choice likelier than another by more than n/2^512.

    Example:
        >>> {choose(b"secret", str(i), 3) for i in range(20)} == {0, 1, 2}
        True
    """
    return int.from_bytes(blake2b(f"choice {name}".encode(), key=secret).digest()) % variants


def design_seed(secret: bytes, name: str) -> bytes:
    """Return the seed of an item's variants; it tells nothing of the choice.

    Example:
        >>> len(design_seed(b"secret", "00001"))
        32
    """
    return blake2b(f"design {name}".encode(), key=secret, digest_size=32).digest()


def read_key(path: Path, commitment: str) -> Key:
    """Read a sealed key and check it against its commitment.

    Args:
        path: of key.json.
        commitment: 64 hexadecimal digits, as made known before publication.

    Raises:
        LmiaError: the file cannot be read, is not the key that the commitment is of, or its choices do not follow from
            its secret.

    Example:
        >>> read_key(Path("key.json"), "12")
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The commitment '12' is not 64 hexadecimal digits.
        Copy it from commitment.txt, as it was made known.
    """
    wanted = commitment.strip().lower()
    if len(wanted) != 64 or set(wanted) - set("0123456789abcdef"):
        raise LmiaError(
            f"The commitment '{commitment}' is not 64 hexadecimal digits.",
            "Copy it from commitment.txt, as it was made known.",
        )
    tree = _tree(path)
    found = sha256(canonical(tree)).hexdigest()
    if not hmac.compare_digest(found, wanted):
        raise LmiaError(
            f"The key {path} does not match its commitment: {found[:12]}... is not {wanted[:12]}...", _OTHER
        )
    key = _key(path, tree)
    secret = bytes.fromhex(key.secret)
    if any(one.choice != choose(secret, one.name, key.variants) for one in key.items):
        raise LmiaError(f"The choices in {path} do not follow from its secret.", "They were picked by hand: no test.")
    return key


def _tree(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        canonical(tree)
    except OSError as error:
        raise LmiaError(f"There is no key {path}.", "Give --sealed the folder that `lmia canary make` made.") from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise LmiaError(f"The key {path} is not JSON: {' '.join(str(error).split())}.", _OTHER) from error
    if not isinstance(tree, dict):
        raise LmiaError(f"The key {path} holds no object.", _OTHER)
    return tree


def _key(path: Path, tree: Mapping[str, Any]) -> Key:
    """Make the key; its commitment held, so a fault in it is its maker's."""
    try:
        items = tuple(_item(one) for one in tree["items"])
        key = Key(**{**tree, "items": items})
        _check_kinds(key)
        fits = all(len(one.pictures) == len(one.captions) == key.variants >= 2 for one in items)
        plain = all(one.name.isalnum() for one in items) and len({one.name for one in items}) == len(items)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LmiaError(f"The key {path} is not of lmia's making: {error}.", _OTHER) from error
    if key.format != FORMAT or key.rule != RULE or not (items and fits and plain):
        raise LmiaError(f"The key {path} is of another version, or has no items.", "Test it with the lmia of its time.")
    return key


def _check_kinds(key: Key) -> None:
    """Raise a ValueError or TypeError unless the numbers are numbers and the secret is one."""
    whole = type(key.variants) is int and type(key.alpha) is float and type(key.rehearsal) is bool
    counts = isinstance(key.rejected, Mapping) and all(type(n) is int for n in key.rejected.values())
    if not (whole and counts and len(bytes.fromhex(key.secret)) <= 64):
        raise ValueError("a number, or the secret, is none")


def _item(one: Mapping[str, Any]) -> Item:
    return Item(
        str(one["name"]), str(one["source"]), int(one["choice"]), tuple(one["pictures"]), tuple(one["captions"])
    )
