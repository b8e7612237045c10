"""`lmia lookup`: are your pictures listed in a data set's published index?"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lmia import overlap, specs
from lmia.commands import Parser
from lmia.errors import LmiaError
from lmia.evidence.hashes import RADIUS
from lmia.evidence.neighbours import THRESHOLD
from lmia.overlap import Pictures
from lmia.overlap.index import Part, columns_of, parts_of
from lmia.overlap.lookup import HINTS, LISTED, NEAR, Listing, addresses, look_up, nearest, of_this_model
from lmia.overlap.pictures import unicode
from lmia.report.aside import write_aside
from lmia.report.spreadsheet import as_csv
from lmia.report.visible import visible
from lmia.source import Source

ABOUT = """\
Look your pictures up in the list of a data set, before anything is inferred.

  lmia lookup --mine my-photos/ --index laion-part-0.parquet --index laion-part-1.parquet
  lmia lookup --mine my-photos/ --index clip-retrieval-folder/ --model ViT-B-32 --pretrained openai
      also compares what a model sees with the embeddings in that folder, which it must have made

An index is parquet or CSV with any of the columns url, sha256, md5, phash, key (or uid, id),
caption (or text, title); or a folder as clip-retrieval writes it: metadata/metadata_0.parquet, and
beside it img_emb/img_emb_0.npy. It is read piece by piece: its size does not matter.

The answer for each picture:
  listed            a row has the same file (sha256, md5) or the same address (url, without scheme,
                    www., usual port, fragment, closing slash). Digests are of the file as it was
                    downloaded: look up what you published, not what you saved since
  near copy listed  a row looks alike (phash: at most --radius of 64 bits differ), or lies near by
                    embedding (a cosine of at least --threshold)
  not listed        neither, among the columns that the index has
  not compared      the index lists addresses alone, as LAION's does, and the picture comes without
                    one: give --mine a table with a column url (docs/data.md)
An equal key or caption is told as a hint and counts for nothing: both agree by chance.

Every picture, with the rows that it was found in, is written to lmia-lookup/lookup.csv."""

WORDS = {
    "sha256": "same file (sha256)",
    "md5": "same file (md5)",
    "url": "same address (url)",
    "phash": "looks alike (phash)",
    "embedding": "near by embedding",
    "key": "same key",
    "caption": "same caption",
}
LIMIT = (
    "Listed is not downloaded, and downloaded is not trained on: lists outlive pictures, and trainers filter. "
    "Not listed here says nothing about other copies of the picture, or other lists."
)
_SHOWN = 20


def main(argv: Sequence[str]) -> int:
    """Run `lmia lookup` with the words behind it.

    Raises:
        LmiaError: the pictures, an index or a model cannot be read, or an index has nothing that can be compared.
    """
    args = _parser().parse_args(argv)
    parts = [part for index in args.index for part in parts_of(index)]
    _check(args, parts)
    digests = any("md5" in columns_of(part) for part in parts)
    source = specs.source(args.mine)
    mine = overlap.read(source, "mine", digests=digests)
    listing, doubts = look_up(mine, parts, args.radius), list[str]()
    if args.model is not None:
        listing, doubts = _embedded(args, source, mine, listing, parts)
    elif any(part.embeddings for part in parts):
        doubts = ["The index holds embeddings, which were not compared: that takes --model, the model that made them."]
    found = list(_findings(mine, listing, parts))
    for line in [*lines(mine, listing, len(parts)), *doubts, *_shown(found)]:
        print(visible(line))
    header = ("key", "answer", "rule", "table", "row", "url", "cosine")
    args.out.mkdir(parents=True, exist_ok=True)
    write_aside(args.out / "lookup.csv", as_csv([header, *(row for rows in found for row in rows)]))
    print(visible(f"Written: {args.out / 'lookup.csv'}, a line for every picture and finding."))
    print(LIMIT)
    return 0


def _parser() -> Parser:
    parser = Parser("lookup", ABOUT)
    parser.add_argument("--mine", required=True, metavar="SPEC", help="your pictures, as in lmia audit")
    parser.add_argument("--index", required=True, action="append", type=Path, metavar="FILE", help="repeatable")
    parser.add_argument("--radius", type=int, default=RADIUS, help=f"bits a near copy may differ in (default {RADIUS})")
    parser.add_argument("--model", metavar="SPEC", help="the model that made the index's embeddings, as in lmia audit")
    parser.add_argument("--pretrained", metavar="TAG", help="its weights, as in lmia audit")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="COSINE",
        help=f"of near copies by embedding (default {THRESHOLD}, where clip-retrieval drops an answer as a repetition)",
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where features are kept")
    parser.add_argument("--batch", type=int, default=64, help="pictures encoded at once (default 64)")
    parser.add_argument("--out", type=Path, default=Path("lmia-lookup"), metavar="DIR", help="for lookup.csv")
    return parser


def _check(args: Namespace, parts: Sequence[Part]) -> None:
    """Refuse what would fail later."""
    if not 0 <= args.radius <= 15:
        raise LmiaError(f"A radius of {args.radius} bits is out of range.", "Give --radius from 0 to 15.")
    if args.batch < 1:
        raise LmiaError(f"Batches of {args.batch} pictures hold nothing.", "Give --batch 1 or more.")
    for name in ("pretrained", "threshold"):
        if args.model is None and getattr(args, name) is not None:
            raise LmiaError(f"--{name} is given, but no model to compare pictures by.", "Add --model SPEC.")
    args.threshold = THRESHOLD if args.threshold is None else args.threshold
    if not 0 < args.threshold <= 1:
        raise LmiaError(f"A cosine of {args.threshold} is out of range.", "Give --threshold above 0, at most 1.")
    if args.model is not None and not any(part.embeddings for part in parts):
        raise LmiaError(
            "--model is given, but no index holds embeddings of pictures.",
            "Give --index a folder with img_emb/*.npy beside metadata/*.parquet, or leave --model out.",
        )
    for part in parts:
        columns_of(part)


def _embedded(
    args: Namespace, source: Source, mine: Pictures, listing: Listing, parts: Sequence[Part]
) -> tuple[Listing, list[str]]:
    """Add what is near by embedding, and say whether the embeddings can be this model's. Only who asks waits for it."""
    from lmia import record
    from lmia.extract import FeatureExtractor
    from lmia.overlap.embeddings import features
    from lmia.quiet import quiet

    with quiet():
        model = FeatureExtractor(specs.target(args.model, args.pretrained), cache=args.cache)
        found = features(model, {"mine": source}, {"mine": mine}, record.trainer(), args.batch)
    listing = nearest(listing, parts, found, args.threshold)
    own = of_this_model(listing, parts, found)
    near = int((own >= args.threshold).sum())
    if not len(own):
        return listing, ["No picture is listed as a file, so whether this model made the embeddings was not seen."]
    said = f"Of {len(own):,} pictures listed as files, {near:,} are near their own row by embedding"
    if 2 * near < len(own):
        return listing, [f"{said}: this model did not make these embeddings, so disregard what is near by them."]
    return listing, [f"{said}, as they should be if this model made the embeddings."]


def lines(mine: Pictures, listing: Listing, tables: int) -> list[str]:
    """Say in lines what was compared and found."""
    bad = ", ".join(f"{n:,} {reason}" for reason, n in mine.rejected.items())
    rejected = f"{sum(mine.rejected.values()):,} rejected" + (f" ({bad})" if bad else "")
    left_out = f" + {mine.left_out:,} not drawn" if mine.left_out else ""
    counts = Counter(listing.answers())
    said = [
        f"Mine: {mine.records:,} records = {len(mine):,} pairs + {rejected}{left_out}.",
        f"Index: {listing.size:,} rows in {tables:,} table{'' if tables == 1 else 's'}.",
        f"Listed: {counts['listed']:,}. Near copy listed: {counts['near copy listed']:,}. "
        f"Not listed: {counts['not listed']:,}.",
    ]
    if counts["not compared"]:
        said.append(
            f"Not compared: {counts['not compared']:,}. Nothing that these pictures have is in the index, so nothing follows "
            "about them. Where it lists addresses, give --mine a table with a column url."
        )
    return said + [f"  {WORDS[rule]}: {_hits(rule, listing)}" for rule in (*LISTED, *NEAR, *HINTS)]


def _hits(rule: str, listing: Listing) -> str:
    if rule not in listing.compared:
        return f"not compared ({'no --model' if rule == 'embedding' else 'no such column'})"
    had = int(listing.had[rule].sum())
    if not had:
        return "not compared (your pictures have none)"
    hits = f"{int((listing.rows[rule] >= 0).sum()):,}"
    hits += f" of {had:,} pictures that have one" if had < len(listing.had[rule]) else ""
    return hits + (", a hint that counts for nothing" if rule in HINTS else "")


def _findings(mine: Pictures, listing: Listing, parts: Sequence[Part]) -> Iterator[list[tuple[str, ...]]]:
    """Yield for every picture its findings, strongest first: key, answer, rule, table, row, url and cosine."""
    rules = (*LISTED, *NEAR, *HINTS)
    hits = np.unique(np.concatenate([rows[rows >= 0] for rows in listing.rows.values()]))
    urls = addresses(listing, parts, hits.tolist())
    for i, (key, answer) in enumerate(zip(mine.keys, listing.answers(), strict=True)):
        said: list[tuple[str, ...]] = []
        for rule in rules:
            if (row := int(listing.rows[rule][i])) >= 0:
                piece, local = listing.place(row)
                cosine = f"{listing.cosines[i]:.4f}" if rule == "embedding" and listing.cosines is not None else ""
                table = unicode(str(parts[piece].table))
                said.append((key, answer, rule, table, str(local), urls.get(row, ""), cosine))
        yield said or [(key, answer, "", "", "", "", "")]


def _shown(found: Sequence[Sequence[tuple[str, ...]]]) -> list[str]:
    """Say of the first pictures that were found by what, one line each."""
    said = []
    some = [rows for rows in found if not rows[0][1].startswith("not ")]
    for rows in some[:_SHOWN]:
        key, answer, _, file, local, url, _ = rows[0]
        rules = ", ".join(row[2] + (f" {row[6]}" if row[6] else "") for row in rows)
        said.append(f"{answer}: {key} ({rules}): row {local} of {file}{f', {url}' if url else ''}")
    return said + ([f"... and {len(some) - _SHOWN:,} more."] if len(some) > _SHOWN else [])
