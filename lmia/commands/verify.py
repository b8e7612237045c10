"""`lmia verify RUN`: does a finished audit's report follow from its scores, and these from the model?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from lmia import specs
from lmia.commands import Parser
from lmia.errors import LmiaError
from lmia.picture import MAX_PIXELS, open_pair
from lmia.recompute import Difference, Verification, verify
from lmia.records import records
from lmia.registry import Kind
from lmia.report.run import Floats, Rows, Run, read_run
from lmia.report.visible import visible
from lmia.source import Pair, Rejected, Source
from lmia.target import Target

ABOUT = """\
Recompute every number of a report from its scores.parquet, and name what differs.

  lmia verify lmia-audit
  lmia verify lmia-audit --rescore 100      also run 100 of its pairs through the model again

--rescore opens the files and addresses that the report names, and makes only what installed plugins bring: no other class,
no shell command, no folder to write to. `--trust-config` lifts that, for reports of your own.

Exit code 0: the report follows from its scores. 2: it does not; what differs is printed."""

SHOWN = 10
"""So many rows are named a difference."""

_NEAR = {"fp32": 2e-3, "bf16": 3e-2, "fp16": 5e-3}
"""How far apart two cosines of one pair may lie, by precision: machines differ, as in what decodes and resizes their pictures."""


def main(argv: Sequence[str]) -> int:
    """Run `lmia verify` with the words behind it.

    Raises:
        LmiaError: the run does not hold, or cannot be read.
    """
    parser = Parser("verify", ABOUT)
    parser.add_argument("run", type=Path, help="folder of a finished audit")
    parser.add_argument("--rescore", type=int, default=0, metavar="N", help="pairs to run through the model again")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of these pairs (default 0)")
    parser.add_argument(
        "--trust-config",
        action="store_true",
        help="make whatever --rescore finds named in the report, as it is written, shell commands included: only for reports "
        "of your own",
    )
    args = parser.parse_args(argv)
    if min(args.rescore, args.seed) < 0:
        raise LmiaError("--rescore and --seed take no negative number.", "Give 0 or more.")
    run = read_run(args.run)
    found = verify(run)
    differences = list(found.differences)
    _print(run, found)
    if args.rescore:
        drawn = draw(run, args.rescore, args.seed)
        differences += rescored(run, drawn, args.trust_config)
        print(f"{len(drawn):,} pairs were run through the model again.")
    for line in _lines(differences):
        print(visible(line))
    if differences:
        raise LmiaError(
            f"'{args.run}' does not hold: {len(differences)} differences, the first in {visible(differences[0].where)}.",
            "Take the folder as the audit wrote it, or audit again: `lmia audit --config config.yaml`.",
        )
    print("Verified: the report follows from its scores.")
    return 0


def _print(run: Run, found: Verification) -> None:
    rows = sum(map(len, run.attacks.values()))
    print(f"{visible(str(run.folder))}: {rows:,} rows, {len(run.attacks)} attacks, sha256 {run.sha256}")
    print(f"{found.recomputed:,} numbers of report.json computed again.")
    for line in found.left_out:
        print(visible(f"Not recomputed: {line}."))


def _lines(differences: Sequence[Difference]) -> Iterator[str]:
    for one in differences:
        yield f"DIFFERS {one.where}: {one.problem}"
        more = len(one.rows) - SHOWN
        yield from (f"    {row}" for row in one.rows[:SHOWN])
        if more > 0:
            yield f"    and {more:,} more"


def draw(run: Run, n: int, seed: int = 0) -> Rows:
    """Draw n of the pairs whose cosines a run holds; all of them if there are no more.

    Raises:
        LmiaError: the run holds no cosines.
    """
    rows = next((rows for rows in run.attacks.values() if np.isfinite(rows.cosine).all()), None)
    if rows is None:
        raise LmiaError(
            f"'{run.folder}' holds no cosines: no attack ran, or the audit is from before they were kept.",
            "Leave --rescore out, or audit again.",
        )
    rows = rows.only(np.isnan(rows.fold) | (rows.role != "calibration") | (rows.fold == 0))
    return rows.only(np.sort(np.random.default_rng(seed).permutation(len(rows))[:n]))


def rescored(run: Run, drawn: Rows, trusted: bool = False) -> list[Difference]:
    """Run pairs through a run's model again, and compare their cosines with those written.

    Args:
        run: whose config names the model and the data.
        drawn: m of its rows, each pair once.
        trusted: whether to make what the report names, whatever it is.

    Returns:
        the pairs that are gone or have another cosine, and whether the model is another.

    Raises:
        LmiaError: the config names a model or data that cannot be made, or that take trust to make.
    """
    target = cast("Target", _made(run, "model", "target", trusted)).eval()
    found = []
    if target.fingerprint() != run.report.target.get("fingerprint"):
        found.append(Difference("target", "the model that the config names is not the one that was audited"))
    distance = _distances(run, drawn, target, trusted)
    near = _NEAR[target.precision]
    if (gone := np.isinf(distance)).any():
        found.append(Difference("data", "no longer holds these pairs, or they no longer open", drawn.names(gone)))
    if (other := ~gone & (distance > near)).any():
        problem = f"the model gives these pairs cosines that differ from those written by more than {near:g}"
        found.append(Difference("cosine", problem, drawn.names(other)))
    return found


def _distances(run: Run, drawn: Rows, target: Target, trusted: bool) -> Floats:
    """Measure how far each drawn pair's cosine lies from what the model gives, `(m,)`; infinite where no such pair is found.

    Keys may be used twice in the data; the audit numbered the later ones (`a#2`), and the nearest of them counts.
    """
    data = run.report.config.get("data")
    given = data.get("max_pixels") if isinstance(data, Mapping) else None
    most = given if isinstance(given, int) and (trusted or given < MAX_PIXELS) else MAX_PIXELS
    distance = np.full(len(drawn), np.inf)
    wanted: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, (role, key) in enumerate(zip(drawn.role, drawn.key, strict=True)):
        for name in {key, key.rpartition("#")[0] or key}:
            wanted[_source(run, role)][name].append(i)
    for role, rows in wanted.items():
        source = cast("Source", _made(run, "data", role, trusted))
        for record in _records(source, f"data.{role}"):
            name = record.key.encode("utf-8", "backslashreplace").decode("utf-8")
            cosine = _cosine(target, record, most) if isinstance(record, Pair) and name in rows else None
            for i in rows[name] if cosine is not None else []:
                distance[i] = min(distance[i], abs(cosine - drawn.cosine[i]))
    return distance


def _records(source: Source, where: str) -> Iterator[Pair | Rejected]:
    with _as_reported(where):
        yield from (record for shard in source.shards() for record in records(source, shard))


def _cosine(target: Target, pair: Pair, max_pixels: int) -> float | None:
    opened = open_pair(pair, max_pixels)
    if isinstance(opened, Rejected):
        return None
    with torch.no_grad():
        image = target.encode_image(target.preprocess(opened[0])[None].float() / 255)
        text = target.encode_text(target.tokenize([pair.caption]))
    return float(cosine_similarity(image.double(), text.double()))


def _source(run: Run, role: str) -> str:
    """Name the role of the data that a row was read from: calibration is cut from known non-members, or from others."""
    if role != "calibration":
        return role
    data = run.report.config.get("data")
    return "known_nonmembers" if isinstance(data, Mapping) and data.get("known_nonmembers") else "nonmembers"


def _made(run: Run, section: str, key: str, trusted: bool) -> object:
    """Make the model or a role's data as the report's config names it; unless that is trusted, only of what is installed."""
    part = run.report.config.get(section)
    config = part.get(key) if isinstance(part, Mapping) else None
    kind: Kind = "target" if section == "model" else "source"
    if not isinstance(config, Mapping) or "class_path" not in config:
        raise LmiaError(
            f"The report's config names no {section}.{key} that can be made again: {config!r:.60}.",
            "Leave --rescore out; the numbers are verified without it.",
        )
    if not trusted and (wish := specs.oversteps(kind, config)):
        raise LmiaError(
            f"The report's config asks for {wish}, as its {section}.{key}.",
            "Leave --rescore out; if the report is your own, --trust-config makes it as it is written.",
        )
    with _as_reported(f"{section}.{key}"):
        return specs.build(kind, config)


@contextmanager
def _as_reported(where: str) -> Iterator[None]:
    """Say in a sentence that what a report names does not work: its options may be of any type."""
    try:
        yield
    except LmiaError:
        raise
    except Exception as error:
        raise LmiaError(
            f"The report's {where} does not work: {type(error).__name__}: {error!s:.200}.",
            "Leave --rescore out; the numbers are verified without it.",
        ) from error
