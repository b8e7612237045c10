"""`lmia dataset`: was this collection trained on? One p-value, by one score that was named beforehand."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import lmia
from lmia import record, specs
from lmia.collection import Asked, apart, judged, read_columns, scored, unfitted
from lmia.commands import Parser
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.picture import MAX_PIXELS
from lmia.quiet import quiet
from lmia.report.aside import write_aside
from lmia.report.visible import visible

ABOUT = """\
Test whether a model was trained on a collection, against one like it that it cannot have seen.

  lmia dataset --mine my-photos/ --heldout unpublished/ --model ViT-B-32 --pretrained laion400m_e32
  lmia dataset ... --columns shoots.csv --cluster-by shoot        photos of one shoot count as one
  lmia dataset ... --columns shoots.csv --pair-by shoot           published against unpublished frames of each shoot
  lmia dataset ... --columns shoots.csv --unit photo              several captions or sizes of a photo count once

--columns is a CSV or parquet file with a column `key`, as lmia names the pairs, and the columns you name: pairs
themselves carry none. The score is fixed beforehand (--score, default csa: the cosine); nothing is learnt."""

MISSING = """\
Without pairs that the model cannot have seen, no test can tell whether yours were used: a high score may be your style.
What is missing: pictures of yours that were never published, of the same time, cameras, subjects and captions.
  - Frames of the same shoots that you kept: lmia dataset --mine SPEC --heldout SPEC --pair-by COLUMN, the best there is.
  - Other pairs known not to have been used: lmia audit --suspects SPEC --known-nonmembers SPEC gives each of your pairs
    a p-value against them, which is only as good as they are like yours.
  - For what you publish from now on: lmia canary make, which draws lots and so can prove use.
  - Is there a public list of the data? lmia lookup says whether your pictures are on it."""


def main(argv: Sequence[str]) -> int:
    """Run `lmia dataset` with the words behind it.

    Raises:
        LmiaError: the collections cannot be read or overlap, the score learns, or a column is missing.
    """
    args = _parser().parse_args(argv)
    if args.heldout is None:
        print(MISSING)
        return 0
    asked = _asked(args)
    columns = read_columns(args.columns, asked.columns) if args.columns else {}
    attack = unfitted(args.score)
    mine, heldout = specs.source(args.mine), specs.source(args.heldout)
    model = FeatureExtractor(specs.target(args.model, args.pretrained), None, args.cache)
    if lacking := attack.needs - model.target.answers:
        raise LmiaError(
            f"'{args.score}' needs {', '.join(sorted(lacking))}, which the target does not answer.", "Take --score csa."
        )
    apart(mine, heldout, MAX_PIXELS)
    trainer = record.trainer()
    with quiet():
        sides = scored(model, AuditData(suspects=mine, known_nonmembers=heldout), attack, trainer)
    found, sentences = judged(sides, columns, asked)
    given = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    told = {"lmia": lmia.__version__, "asked": given, "target": record.target(model), **found}
    file = _write(args.out, told)
    for line in sentences:
        print(visible(line))
    print(f"All numbers: {visible(str(file))}")
    return 0


def _parser() -> Parser:
    parser = Parser("dataset", ABOUT)
    parser.add_argument("--mine", required=True, metavar="SPEC", help="your collection, as in lmia audit")
    parser.add_argument("--heldout", metavar="SPEC", help="one like it that the model cannot have seen")
    parser.add_argument("--model", metavar="SPEC", help="the target, as in lmia audit")
    parser.add_argument("--pretrained", metavar="TAG", help="its weights, where the target takes them")
    parser.add_argument("--score", default="csa", help="an attack that learns nothing (default csa)")
    parser.add_argument("--columns", type=Path, metavar="FILE", help="CSV or parquet with `key` and more columns")
    parser.add_argument("--cluster-by", metavar="COLUMN", help="what belongs together: shoot, photographer, host")
    parser.add_argument("--pair-by", metavar="COLUMN", help="what has frames on both sides")
    parser.add_argument("--unit", metavar="COLUMN", help="which photo a pair is of; its scores are averaged")
    parser.add_argument("--permutations", type=int, default=10_000, metavar="B", help="default 10000")
    parser.add_argument("--seed", type=int, default=0, help="of the permutations alone (default 0)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where features are kept")
    parser.add_argument("--out", type=Path, default=Path("lmia-dataset"), metavar="DIR", help="of dataset.json")
    return parser


def _asked(args: Namespace) -> Asked:
    asked = Asked(args.cluster_by, args.pair_by, args.unit, args.permutations, args.seed)
    if args.model is None:
        raise LmiaError("No model is given.", "Give --model SPEC, as in lmia audit.")
    if args.permutations < 99:
        raise LmiaError(f"--permutations {args.permutations} are too few.", "Give 99 or more; 10000 is the default.")
    if args.seed < 0:
        raise LmiaError(f"--seed {args.seed} is no seed.", "Give a whole number from 0.")
    if args.pair_by and args.cluster_by:
        raise LmiaError("--pair-by and --cluster-by are both given.", "A pair is a cluster: give one of them.")
    if asked.columns and args.columns is None:
        raise LmiaError(
            f"Pairs carry no column '{asked.columns[0]}' of their own.",
            "Give --columns FILE, a CSV or parquet file with `key` and that column.",
        )
    if args.columns is not None and not asked.columns:
        raise LmiaError("--columns is given, but none of them named.", "Add --cluster-by, --pair-by or --unit COLUMN.")
    return asked


def _write(folder: Path, told: Mapping[str, object]) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LmiaError(f"The folder {folder} cannot be written: {error.strerror}.", "Choose another --out.") from error
    return write_aside(folder / "dataset.json", (json.dumps(told, indent=1) + "\n").encode())
