"""`lmia data check`: the same pictures within a role and across roles, before anything is audited."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from lmia import overlap, specs
from lmia.commands import Parser
from lmia.errors import LmiaError, nearest
from lmia.evidence.hashes import RADIUS
from lmia.evidence.links import Links
from lmia.evidence.neighbours import THRESHOLD
from lmia.overlap import Pictures
from lmia.overlap.check import check
from lmia.overlap.clean import copies_table, write_clean
from lmia.overlap.words import kept, lines, plain
from lmia.report.aside import write_aside
from lmia.report.visible import visible
from lmia.source import Source

ABOUT = """\
Find the same pictures within a role and across roles, before an audit.

  lmia data check --members in.csv --nonmembers out.csv
      counts what is there twice, and lists every copy in lmia-check/copies.csv; no model is needed
  lmia data check --members 'in/*.tar' --nonmembers 'out/*.tar' --write-clean clean
      also writes what is left, as clean/members.parquet and so on, which lmia audit reads
  lmia data check --members in.csv --nonmembers out.csv --embeddings ViT-B-32 --pretrained openai
      also compares what a model sees: finds crops and edits that change the looks

Why: an audit asks whether a model treats two sets of pairs differently. A picture that lies in
both, or many times in one, makes its numbers wrong. lmia audit stops where members and nonmembers
share pairs; this command names them, finds more kinds of copies, and takes them out.

Two pictures are the same if, the strongest rule first,
  sha256     they are the same file, byte for byte
  url        they have the same address (without scheme, www., usual port, fragment, closing slash)
  looks      their perceptual hashes (phash) differ in at most --radius of 64 bits: saved again,
             resized, retouched
  embedding  with --embeddings: the cosine of their image features is at least --threshold
Copies of copies count. An equal key or caption is a hint and no more: both agree by chance.

What --write-clean takes out: a picture in several roles, from all of them; of those that one role
repeats, all but the first. clean/removed.csv names every row that went, the rule, and the row that
it is a copy of. Nothing vanishes: records = kept + removed + rejected + not drawn by a sample.

What can go wrong: blank pages, icons and drawings on white look alike without being copies, and a
model may see the same in two photographs of one thing. Read copies.csv before you believe a large
number; then lower --radius (0: equal hashes alone), or raise --threshold. With --write-clean, take
the embeddings of another model than the one you audit, or it chooses what it is tried on."""

ROLES = ("members", "nonmembers", "known_nonmembers", "pool", "suspects", "mine", "heldout")


def main(argv: Sequence[str]) -> int:
    """Run `lmia data` with the words behind it.

    Raises:
        LmiaError: a word is not known, a source cannot be read, a model is missing, or a folder cannot be written.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(ABOUT)
        return 0
    if argv[0] != "check":
        raise LmiaError(f"`lmia data` knows no '{argv[0]}'.", nearest(argv[0], ["check"]))
    args = _parser().parse_args(argv[1:])
    given = _given(args)
    sources = {role: specs.source(spec) for role, spec in given.items()}
    roles = {role: overlap.read(source, role) for role, source in sources.items()}
    links, target = (None, None) if args.embeddings is None else _embedded(args, sources, roles)
    found = check(roles, args.radius, links)
    for line in lines(roles, found, args.write_clean is not None):
        print(visible(line))
    asked = {"radius": args.radius, "threshold": args.threshold if target else None, "target": target}
    args.out.mkdir(parents=True, exist_ok=True)
    write_aside(args.out / "copies.csv", copies_table(roles, found))
    write_aside(args.out / "check.json", (json.dumps(plain(roles, found) | asked, indent=2) + "\n").encode())
    print(
        visible(
            f"Written: {args.out / 'check.json'}, and every copy with what it is a copy of: {args.out / 'copies.csv'}"
        )
    )
    if args.write_clean is not None:
        for line in kept(write_clean(sources, roles, found, args.write_clean), args.write_clean):
            print(visible(line))
    return 0


def _parser() -> Parser:
    parser = Parser("data check", ABOUT)
    for role in ROLES:
        parser.add_argument(f"--{role.replace('_', '-')}", metavar="SPEC", help="pairs, as in lmia audit")
    parser.add_argument("--radius", type=int, default=RADIUS, help=f"bits near copies may differ in (default {RADIUS})")
    parser.add_argument("--embeddings", metavar="SPEC", help="a model to compare pictures by, as --model in lmia audit")
    parser.add_argument("--pretrained", metavar="TAG", help="its weights, as in lmia audit")
    parser.add_argument(
        "--threshold", type=float, metavar="COSINE", help=f"of near copies by embedding (default {THRESHOLD})"
    )
    parser.add_argument(
        "--approximate",
        action="store_true",
        help="search embeddings by an index, which may miss a few: for many pictures",
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where features are kept, for the audit to come as well"
    )
    parser.add_argument("--batch", type=int, default=64, help="pictures encoded at once (default 64)")
    parser.add_argument("--write-clean", type=Path, metavar="DIR", help="a new folder, for what is left")
    parser.add_argument(
        "--out", type=Path, default=Path("lmia-check"), metavar="DIR", help="for check.json and copies.csv"
    )
    return parser


def _given(args: Namespace) -> dict[str, str]:
    """Return the roles given, after a look at everything that would fail later."""
    given = {role: getattr(args, role) for role in ROLES if getattr(args, role) is not None}
    if not given:
        raise LmiaError("No data is given.", "Give --members SPEC and --nonmembers SPEC, or any role of an audit.")
    if not 0 <= args.radius <= 15:
        raise LmiaError(f"A radius of {args.radius} bits is out of range.", "Give --radius from 0 to 15.")
    if args.batch < 1:
        raise LmiaError(f"Batches of {args.batch} pictures hold nothing.", "Give --batch 1 or more.")
    for name in ("pretrained", "threshold", "approximate"):
        if args.embeddings is None and getattr(args, name) not in (None, False):
            raise LmiaError(f"--{name} is given, but no model to compare pictures by.", "Add --embeddings SPEC.")
    args.threshold = THRESHOLD if args.threshold is None else args.threshold
    if not 0 < args.threshold <= 1:
        raise LmiaError(f"A cosine of {args.threshold} is out of range.", "Give --threshold above 0, at most 1.")
    if (to := args.write_clean) is not None and to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise LmiaError(f"The folder {args.write_clean} is not empty.", "Give --write-clean a new folder.")
    return given


def _embedded(
    args: Namespace, sources: Mapping[str, Source], roles: Mapping[str, Pictures]
) -> tuple[Links, dict[str, object]]:
    """Link what is near by embedding, and say of which model. Lightning takes seconds, so only who needs it waits."""
    from lmia import record
    from lmia.extract import FeatureExtractor
    from lmia.overlap import embeddings
    from lmia.quiet import quiet

    with quiet():
        model = FeatureExtractor(specs.target(args.embeddings, args.pretrained), cache=args.cache)
        found = embeddings.features(model, sources, roles, record.trainer(), args.batch)
    return embeddings.near(found, roles, args.threshold, args.approximate), record.target(model)
