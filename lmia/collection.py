"""A collection against a held-out one: read, told apart, scored by what learns nothing, and judged as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from lightning.pytorch import Trainer
from numpy.typing import NDArray

from lmia import overlap, roles, specs
from lmia.attack import Attack
from lmia.data import AuditData
from lmia.errors import LmiaError, nearest
from lmia.evidence.duplicates import groups
from lmia.evidence.extent import growth, owner_needs, share_lower_bound
from lmia.evidence.inference import ALPHA, heldout_control, paired_p, per_unit, permutation_p
from lmia.extract import FeatureExtractor, extract
from lmia.gather import gather
from lmia.source import Source

Columns = Mapping[str, Mapping[str, str]]
"""By name of a column, what it holds for each key."""


@dataclass(frozen=True)
class Side:
    """One of the two collections: n pairs.

    Args:
        name: `mine` or `held-out`.
        keys: n keys.
        scores: `(n,)` float64.
        groups: `(n,)` duplicate group of each pair.
    """

    name: str
    keys: Sequence[str]
    scores: NDArray[np.float64]
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """What the test is to heed.

    Args:
        cluster_by: column of what belongs together.
        pair_by: column of what has frames on both sides.
        unit: column of the photo that a pair is of.
        permutations: how many to draw.
        seed: of the permutations.
    """

    cluster_by: str | None = None
    pair_by: str | None = None
    unit: str | None = None
    permutations: int = 10_000
    seed: int = 0

    @property
    def columns(self) -> list[str]:
        """Name the columns that are needed."""
        return sorted({name for name in (self.cluster_by, self.pair_by, self.unit) if name})


def unfitted(name: str) -> Attack:
    """Return the attack of this name, which must need nothing but a pair's own features.

    Raises:
        LmiaError: it learns, measures, or needs what the user would have to supply; or the name stands for several.

    Example:
        >>> type(unfitted("csa")).__name__
        'CSA'
    """
    found = specs.attacks([name])
    if len(found) > 1:
        raise LmiaError(f"The score '{name}' stands for {len(found)} attacks.", "Name one of their presets.")
    attack = type(found[0])
    if attack.fit is not Attack.fit or attack.measure is not Attack.measure or attack.requires:
        raise LmiaError(
            f"The score '{name}' learns from other pairs or needs a bank of them, so it is not fixed beforehand.",
            "Name one that needs nothing but the pair itself, such as --score csa.",
        )
    return found[0]


def read_columns(file: Path, wanted: Sequence[str]) -> Columns:
    """Read the columns wanted, by key, from a CSV or parquet file with a column `key`.

    Raises:
        LmiaError: the file cannot be read, a column is missing, or a key stands there twice with other values.

    Example:
        >>> read_columns(Path("nowhere.csv"), ["shoot"])
        Traceback (most recent call last):
            ...
        lmia.errors.LmiaError: The columns 'nowhere.csv' cannot be read: ...
    """
    try:
        if file.suffix.lower() == ".parquet":
            table = pq.read_table(file)
        else:
            names = pa.csv.open_csv(file).schema.names
            text = {name: pa.string() for name in names}  # so that keys of digits keep their zeros
            table = pa.csv.read_csv(file, convert_options=pa.csv.ConvertOptions(column_types=text))
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise LmiaError(f"The columns '{file}' cannot be read: {said}", "Give a whole CSV or parquet file.") from error
    found: dict[str, dict[str, str]] = {}
    for name in ("key", *wanted):
        if table.column_names.count(name) != 1:
            raise LmiaError(f"'{file}' has no one column '{name}'.", nearest(name, table.column_names))
    keys = [str(key) for key in table["key"].to_pylist()]
    for name in wanted:
        found[name] = {}
        for key, value in zip(keys, table[name].to_pylist(), strict=True):
            word = "" if value is None else str(value)
            if found[name].setdefault(key, word) != word:
                raise LmiaError(f"'{file}' holds the key '{key}' twice, with other values.", "Keep one row a key.")
    return found


def apart(mine: Source, heldout: Source, max_pixels: int) -> None:
    """Refuse collections that share pairs: same file, same url, or the same caption on a picture that looks the same.

    Read before the model runs, so that nothing is computed in vain.

    Raises:
        LmiaError: pairs are shared, or a collection has no usable pair.
    """
    one, other = overlap.read(mine, "mine", max_pixels), overlap.read(heldout, "held-out", max_pixels)
    shared = np.zeros(len(one), np.bool_)
    for rule in ("sha256", "url"):
        shared |= overlap.exact(one, other, rule) >= 0
    looks = [set(zip(side.words("phash"), side.words("caption"), strict=True)) for side in (one, other)]
    both = looks[0] & looks[1]
    shared |= np.array([look in both for look in zip(one.words("phash"), one.words("caption"), strict=True)])
    if shared.any():
        key = one.keys[int(np.argmax(shared))]
        raise LmiaError(
            f"{shared.sum():,} of {len(one):,} pairs of --mine are also in --heldout, such as '{key}'.",
            "Take them out of --heldout: what may have been trained on is not held out.",
        )


def scored(model: FeatureExtractor, data: AuditData, attack: Attack, trainer: Trainer) -> tuple[Side, Side]:
    """Score both collections, `suspects` and `known_nonmembers` of the data, in one pass of the model.

    Raises:
        LmiaError: the collections overlap, have no usable pair, or a score is not finite.
    """
    plan = roles.plan(data)
    shards = [shard for role in plan.values() for shard in role]
    extract(trainer, model, data, shards, model.arrays(attack.needs, views=False))
    part = roles.assign(data, plan, model.store, seed=0)
    rows = {"mine": part.parts["suspects"], "held-out": np.sort(np.r_[part.parts["fit"], part.parts["calibration"]])}
    ids = np.arange(len(part.rows))
    sides = []
    for name, chosen in rows.items():
        samples = gather(model, part.shards, part.rows, chosen, ids, attack.needs, False)
        scores = attack.score(samples).double().cpu().numpy()
        keys = part.rows["key"].take(pa.array(chosen)).to_pylist()
        if not np.isfinite(scores).all():
            bad = int((~np.isfinite(scores)).sum())
            raise LmiaError(f"{bad} of {len(scores)} scores of {name} are not finite.", "Try another precision.")
        sides.append(Side(name, keys, scores, part.groups[chosen]))
    return sides[0], sides[1]


def judged(sides: tuple[Side, Side], columns: Columns, asked: Asked) -> tuple[dict[str, object], list[str]]:
    """Test the whole collection, and say what it shows: numbers for a file, and plain sentences.

    Raises:
        LmiaError: a pair has no value in a column, a key is ambiguous, a unit lies in several clusters, a cluster on
            both sides, or there are too few clusters.
    """
    if asked.columns and (both := set(sides[0].keys) & set(sides[1].keys)):
        raise LmiaError(
            f"{len(both)} keys name pairs on both sides, such as '{min(both)}'.",
            "--columns goes by key: give the files of the two collections different names.",
        )
    reduced = [_units(side, columns, asked) for side in sides]
    (mine, ours), (heldout, theirs) = reduced
    try:
        found = (paired_p if asked.pair_by else permutation_p)(
            mine, heldout, ours, theirs, asked.permutations, asked.seed
        )
    except ValueError as error:
        raise LmiaError(f"This cannot be tested: {error}.", "See --cluster-by and --pair-by in --help.") from error
    needs, sentences = owner_needs(found), list(found.sentences())
    told: dict[str, object] = {"found": asdict(found), "needs": asdict(needs), "alpha": ALPHA}
    sentences[1:1] = [_counted(sides, reduced, asked)]
    sentences.append(needs.sentence())
    if not asked.pair_by:  # frames of one shoot on both sides are not independent, as these take them to be
        grown = growth(mine, heldout, ours, theirs, permutations=min(2_000, asked.permutations), seed=asked.seed)
        share = share_lower_bound(mine, heldout, ours, theirs)
        told |= {"growth": [asdict(one) for one in grown], "share": asdict(share)}
        steps = ", ".join(f"{one.p:.2g} at {one.used[0]:,}" for one in grown)
        sentences += [f"As the collection grows, p is {steps}.", share.sentence()]
    if len(np.unique(theirs)) >= 4:
        control = heldout_control(heldout, theirs, asked.permutations, asked.seed)
        told["control"] = asdict(control)
        sentences += control.sentences()
    return {**told, "sentences": sentences}, sentences


def _units(side: Side, columns: Columns, asked: Asked) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Return one score a unit, and what each belongs to: named clusters, joined where duplicates link them."""
    scores, rows = side.scores, np.arange(len(side.scores))
    if asked.unit:
        scores, rows = per_unit(side.scores, _words(side, columns, asked.unit))
    named = asked.pair_by or asked.cluster_by
    if not named:
        links = [_links(side.groups)] + ([_links(_words(side, columns, asked.unit))] if asked.unit else [])
        return scores, np.array([f"{side.name} {name}" for name in groups(len(side.keys), links)[rows]])
    words = _words(side, columns, named)
    if asked.unit:
        units = _words(side, columns, asked.unit)
        first = dict(zip(units[rows], words[rows], strict=True))
        for unit, word in zip(units, words, strict=True):
            if first[unit] != word:
                raise LmiaError(
                    f"The {asked.unit} '{unit}' lies in the {named} '{first[unit]}' and in '{word}'.",
                    "Mend --columns: what counts once belongs to one.",
                )
    if asked.pair_by:
        return scores, words[rows]
    joined = groups(len(side.keys), [_links(words), _links(side.groups)])
    head = dict(zip(joined[::-1], words[::-1], strict=True))  # a joined cluster goes by its first row's name
    return scores, np.array([head[one] for one in joined[rows]])


def _words(side: Side, columns: Columns, name: str) -> NDArray[np.str_]:
    lacking = [key for key in side.keys if not columns[name].get(key)]
    if lacking:
        raise LmiaError(
            f"{len(lacking):,} of {len(side.keys):,} pairs of {side.name} have no '{name}', such as '{lacking[0]}'.",
            "Give every key a value in --columns.",
        )
    return np.array([columns[name][key] for key in side.keys])


def _links(names: NDArray[np.str_] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Link every row to the first row of its name."""
    _, first, place = np.unique(names, return_index=True, return_inverse=True)
    return first[place].astype(np.int64), np.arange(len(names), dtype=np.int64)


def _counted(
    sides: tuple[Side, Side], reduced: Sequence[tuple[NDArray[np.float64], NDArray[np.str_]]], asked: Asked
) -> str:
    parts = []
    for side, (scores, labels) in zip(sides, reduced, strict=True):
        units = f" as {len(scores):,} of '{asked.unit}'" if asked.unit else ""
        parts.append(f"{len(side.scores):,} pairs of {side.name}{units} in {len(np.unique(labels)):,} groups")
    by = asked.pair_by or asked.cluster_by
    return f"Compared: {' with '.join(parts)} ({f'by {by!r}' if by else 'copies of one picture together'})."
