"""`lmia dataset`: was this collection trained on? One p-value, by one score that was named beforehand."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import lmia
from lmia import record, specs
from lmia.attack import Attack
from lmia.collection.asked import Asked
from lmia.collection.columns import read_columns
from lmia.collection.judgement import judged, unfitted
from lmia.collection.learning import learners
from lmia.collection.missing import missing
from lmia.collection.pairs import apart, seen
from lmia.commands import Parser
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.keys import unique_keys
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
  lmia dataset ... --placebo ViT-B-32,openai                      beside a model that cannot have seen the pairs
  lmia dataset ... --learn --plugin csa --plugin anchor           several scores, combined by learning
  lmia dataset --mine my-photos/                                  what is missing without --heldout

--columns is a CSV or parquet file with a column `key`, as lmia names the pairs, and the columns you name: pairs
themselves carry none. The score is fixed beforehand (--score, default csa: the cosine); nothing is learnt unless
--learn is given, and then its p-value stands beside the other. docs/dataset.md explains every printed line."""


def main(argv: Sequence[str]) -> int:
    """Run `lmia dataset` with the words behind it.

    Raises:
        LmiaError: the collections cannot be read or overlap, the score learns, or a column is missing.
    """
    args = _parser().parse_args(argv)
    if args.heldout is None:
        said = missing(args.mine, args.model, args.pretrained, args.known_nonmembers, args.score)
        print(visible(said, lines=True))
        return 0
    asked = _asked(args)
    columns = read_columns(args.columns, asked.columns) if args.columns else {}
    attack = unfitted(args.score, specs.attacks([args.score]))
    combined = learners(args.plugin) if args.learn else []
    mine, heldout = specs.source(args.mine), specs.source(args.heldout)
    model = FeatureExtractor(specs.target(args.model, args.pretrained), None, args.cache)
    _answers(model, [attack, *combined])
    placebos = _placebos(args, model, attack)
    apart(mine, heldout, MAX_PIXELS)
    trainer = record.trainer()
    with quiet():
        pairs = seen(model, mine, heldout, [attack, *combined], trainer)
        there = {
            name: seen(one, mine, heldout, [attack], trainer).scored(attack, asked.score)
            for name, one in placebos.items()
        }
        learning = (pairs, combined) if combined else None
        found, sentences = judged(pairs.scored(attack, asked.score), columns, asked, there, learning)
    given = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    models = {"target": record.target(model), "placebo_models": [record.target(one) for one in placebos.values()]}
    file = _write(args.out, {"lmia": lmia.__version__, "asked": given, **models, **found})
    for line in sentences:
        print(visible(line))
    print(f"All numbers: {visible(str(file))}")
    return 0


def _parser() -> Parser:
    parser = Parser("dataset", ABOUT)
    parser.add_argument("--mine", required=True, metavar="SPEC", help="your collection, as in lmia audit")
    parser.add_argument("--heldout", metavar="SPEC", help="one like it that the model cannot have seen")
    parser.add_argument(
        "--known-nonmembers", metavar="SPEC", help="without --heldout: pairs known not to have been used"
    )
    parser.add_argument("--model", metavar="SPEC", help="the target, as in lmia audit")
    parser.add_argument("--pretrained", metavar="TAG", help="its weights, where the target takes them")
    parser.add_argument("--score", default="csa", help="an attack that learns nothing (default csa)")
    parser.add_argument(
        "--learn", action="store_true", help="also combine the attacks that --plugin names, by learning"
    )
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="NAME", help="of --learn; repeat it for several"
    )
    parser.add_argument(
        "--placebo", action="append", default=[], metavar="SPEC", help="a model that cannot have seen the pairs"
    )
    parser.add_argument("--randomised", action="store_true", help="you drew by lot which pairs are held out")
    parser.add_argument(
        "--member-effect", type=float, metavar="VALUE", help="by how much use raises the score, where you measured it"
    )
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
    asked = Asked(
        args.cluster_by,
        args.pair_by,
        args.unit,
        args.permutations,
        args.seed,
        args.score,
        args.randomised,
        args.member_effect,
    )
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
    _check_more(args)
    return asked


def _check_more(args: Namespace) -> None:
    """Check what stands beside the test of the one score."""
    if args.plugin and not args.learn:
        raise LmiaError(
            f"--plugin {args.plugin[0]} is given without --learn.",
            "One score is tested, named by --score; add --learn to combine others beside it.",
        )
    if args.known_nonmembers is not None:
        raise LmiaError(
            "--heldout and --known-nonmembers are both given.",
            "Leave --known-nonmembers out: it is for collections with nothing held out.",
        )
    effect = args.member_effect
    if effect is not None and not (math.isfinite(effect) and effect > 0):
        raise LmiaError(
            f"--member-effect {effect:g} is no gain.",
            "Give the mean score of pairs known to have been used less that of pairs known not to, above 0.",
        )


def _answers(model: FeatureExtractor, attacks: Sequence[Attack]) -> None:
    for attack, name in zip(attacks, specs.attack_names(attacks[:1]) + specs.attack_names(attacks[1:]), strict=True):
        if lacking := attack.needs - model.target.answers:
            raise LmiaError(
                f"'{name}' needs {', '.join(sorted(lacking))}, which {model.target.facts().name} does not answer.",
                "Take --score csa.",
            )


def _placebos(args: Namespace, model: FeatureExtractor, attack: Attack) -> dict[str, FeatureExtractor]:
    """Make the placebos, by name; nothing is computed yet."""
    found = [FeatureExtractor(specs.target(spec), None, args.cache) for spec in args.placebo]
    for one in found:
        if one.target.fingerprint() == model.target.fingerprint():
            raise LmiaError(
                f"The placebo {one.target.facts().name} is the target itself.",
                "Give --placebo a model that cannot have seen the pairs, such as one released before them.",
            )
        _answers(one, [attack])
    return dict(zip(unique_keys([one.target.facts().name for one in found]), found, strict=True))


def _write(folder: Path, told: Mapping[str, object]) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LmiaError(f"The folder {folder} cannot be written: {error.strerror}.", "Choose another --out.") from error
    return write_aside(folder / "dataset.json", (json.dumps(told, indent=1) + "\n").encode())
