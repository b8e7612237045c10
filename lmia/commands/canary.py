"""`lmia canary make` and `lmia canary test`: proof of use for one owner, by a random choice that was sealed beforehand."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import get_args

import lmia
from lmia import record, specs
from lmia.canary.design import Change, Design
from lmia.canary.key import Key, read_key
from lmia.canary.making import COMMITMENT, KEY, PICTURES, PUBLISH, SEALED, check_out, make, plan, survived
from lmia.canary.trial import Trial, Variants, judged, scored
from lmia.canary.words import LIMITS, answer, power_lines
from lmia.commands import Parser
from lmia.errors import LmiaError, nearest
from lmia.extract import FeatureExtractor
from lmia.quiet import quiet
from lmia.report.aside import write_aside
from lmia.report.visible import visible

ABOUT = """\
Prove that a model was trained on your pictures, by a random choice that was sealed before they were published.

  lmia canary make --source my-photos/ --out canaries
      writes canaries/publish (publish these), canaries/sealed (keep it to yourself, and safe) and the commitment
      (make it known before you publish)
  lmia canary test --sealed canaries/sealed --commitment HEX --model ViT-B-32 --pretrained laion400m_e32
      ranks what was published among its unpublished variants; the p-value is exact

`lmia canary make --help` and `lmia canary test --help` explain every option; docs/canary.md the reasoning."""

_MAKE = """\
Write random variants of every picture, one of them to be published, and seal which.

  lmia canary make --source my-photos/ --out canaries
  lmia canary make --source 'shards/{000..009}.tar?n=200' --out canaries --variants 16"""

_TEST = """\
Test whether a model was trained on what was published.

  lmia canary test --sealed canaries/sealed --commitment HEX --model ViT-B-32 --pretrained laion400m_e32"""


def main(argv: Sequence[str]) -> int:
    """Run `lmia canary` with the words behind it.

    Raises:
        LmiaError: a word is not known, or what `make` and `test` say.
    """
    words = {"make": _make, "test": _test}
    if not argv or argv[0] in ("-h", "--help"):
        print(ABOUT)
        return 0
    if argv[0] not in words:
        raise LmiaError(f"`lmia canary` knows no '{argv[0]}'.", nearest(argv[0], words))
    return words[argv[0]](argv[1:])


def _make(argv: Sequence[str]) -> int:
    parser = Parser("canary make", _MAKE)
    parser.add_argument("--source", required=True, metavar="SPEC", help="pictures with captions, as in lmia audit")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--variants", type=int, default=8, help="of each item (default 8)")
    parser.add_argument(
        "--change", default="both", metavar="PART", help=f"what differs: {', '.join(get_args(Change))} (default both)"
    )
    parser.add_argument("--strength", type=float, default=0.08, help="of the wash over a picture (default 0.08)")
    parser.add_argument("--side", type=int, default=2048, help="longest side that is published, pixels (default 2048)")
    parser.add_argument("--alpha", type=float, default=0.01, help="chance of a false alarm (default 0.01)")
    parser.add_argument(
        "--seed", type=int, help="make the same again, for rehearsals only: whoever guesses it knows the choices"
    )
    args = parser.parse_args(argv)
    design = Design(args.variants, args.change, args.strength, args.side)
    _check_alpha(args.alpha)
    check_out(args.out)
    chosen = plan(specs.source(args.source))
    for line in power_lines(len(chosen.keys), args.variants, args.alpha):
        print(line)
    secret = secrets.token_bytes(32) if args.seed is None else sha256(f"rehearsal {args.seed}".encode()).digest()
    made = make(chosen, args.out, design, secret, args.alpha, args.seed is not None)
    rejected = ", ".join(f"{count} {reason}" for reason, count in chosen.rejected.items())
    print(f"Items: {len(made.key.items)}; rejected: {visible(rejected) or 'none'}; not drawn: {chosen.left_out}.")
    for line in survived(made):
        print(visible(line))
    if args.seed is not None:
        print("Warning: made from a seed, a rehearsal. What is to prove anything is made without --seed.")
    print(f"Commitment: {made.key.commitment}")
    place = {name: visible(str(args.out / name)) for name in (COMMITMENT, PUBLISH, SEALED)}
    print(f"1. Make the commitment known, with a date nobody can dispute (it is in {place[COMMITMENT]}).")
    print(f"2. Publish what is in {place[PUBLISH]}, and nothing else of these pictures.")
    print(f"3. Keep {place[SEALED]} to yourself; without it there is no test, and who sees it can spoil one.")
    return 0


def _test(argv: Sequence[str]) -> int:
    parser = Parser("canary test", _TEST)
    parser.add_argument("--sealed", required=True, type=Path, metavar="DIR", help="the sealed folder")
    parser.add_argument("--commitment", required=True, metavar="HEX", help="as made known before publication")
    parser.add_argument("--model", required=True, metavar="SPEC", help="the model, as in lmia audit")
    parser.add_argument("--pretrained", metavar="TAG", help="its weights, as in lmia audit")
    parser.add_argument("--out", type=Path, default=Path("lmia-canary"), metavar="DIR", help="for canary.json")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where features are kept")
    parser.add_argument("--batch", type=int, default=64, help="pairs encoded at once (default 64)")
    args = parser.parse_args(argv)
    if args.batch < 1:
        raise LmiaError(f"Batches of {args.batch} pairs hold nothing.", "Give --batch 1 or more.")
    key = read_key(args.sealed / KEY, args.commitment)
    variants = Variants(key, args.sealed / PICTURES)
    variants.check()
    _check_alpha(key.alpha)
    for line in power_lines(len(key.items), key.variants, key.alpha):
        print(line)
    with quiet():
        model = FeatureExtractor(specs.target(args.model, args.pretrained), cache=args.cache)
        trial = judged(scored(model, variants, record.trainer(), args.batch), key)
    lines = answer(trial, key)
    data = _result(trial, key, model, lines)
    args.out.mkdir(parents=True, exist_ok=True)
    write_aside(args.out / "canary.json", (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())
    for line in [*lines, *LIMITS]:
        print(visible(line))
    print(f"Written: {visible(str(args.out / 'canary.json'))}")
    return 0


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 0.5:
        raise LmiaError(f"The chance of a false alarm {alpha} is out of range.", "Give --alpha such as 0.01.")


def _result(trial: Trial, key: Key, model: FeatureExtractor, lines: Sequence[str]) -> dict[str, object]:
    share = trial.share
    return {
        "format": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "lmia": lmia.__version__,
        "target": record.target(model),
        "commitment": key.commitment,
        "rule": key.rule,
        "items": len(key.items),
        "variants": key.variants,
        "rehearsal": key.rehearsal,
        "rejected": dict(key.rejected),
        "alpha": key.alpha,
        "p": trial.p,
        "found": trial.found,
        "rank_sum": int(trial.ranks.sum()),
        "rank_sum_by_luck": len(key.items) * (key.variants - 1) / 2,
        "outscores": {
            "value": share.value,
            "low": share.low,
            "high": share.high,
            "confidence": share.confidence,
            "method": share.method,
            "n": share.n,
        },
        "items_tied": trial.tied,
        "answer": list(lines),
        "limits": list(LIMITS),
        "power": power_lines(len(key.items), key.variants, key.alpha),
        "rows": [
            {"item": item.name, "source": item.source, "published": item.choice, "rank": int(rank), "scores": row}
            for item, rank, row in zip(key.items, trial.ranks, trial.scores.tolist(), strict=True)
        ],
    }
