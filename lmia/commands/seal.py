"""`lmia seal`: fix what an audit will do before anything is scored, and give one digest of it to be published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, cast

from lmia import judging, ledger, record, roles, specs
from lmia.attack import Attack
from lmia.audit import run_audit
from lmia.data import AuditData
from lmia.defence import Defence
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.flags import ROLES, Tree
from lmia.ledger import Past
from lmia.quiet import quiet
from lmia.registry import Kind
from lmia.report.cells import count
from lmia.report.visible import visible
from lmia.request import request
from lmia.seal import Seal, audited, check_free, write_seal
from lmia.setup import Setup
from lmia.stock import Parts, parts
from lmia.target import Target
from lmia.views import Views

OUT = "lmia-seal.json"
ABOUT = f"""\
Fix what an audit will do and to what, before anything is scored, and print one digest of it to be published.

  lmia seal wsa.yaml                            writes {OUT} and prints the digest
  lmia seal wsa.yaml --seed 1 --out mine.json   flags of lmia audit go on top; --out names the seal's own file
  lmia seal --plugin csa --model ViT-B-32 --pretrained laion400m_e32 --members 'in/*.tar' --nonmembers 'out/*.tar'

Then `lmia audit` with the same config and flags and --seal FILE stops before the model is run if anything differs, and
its report names the digest. Every record of the data is read, the weights are read, nothing is scored."""

WHAT = {
    "config": "the settings: attacks, options, seed, levels",
    "data": "the data, record by record",
    "weights": "the model's weights, and the placebos'",
    "rule": "the rule by which the result is called what it is called",
    "version": "the version of the program",
}
"""The parts of a seal, in words for someone who never heard of them."""


def main(argv: Sequence[str]) -> int:
    """Run `lmia seal` with the words behind it.

    Raises:
        LmiaError: the config or a flag is wrong, the audit could not run, a source cannot be read, the file is there.
    """
    if not argv or {"-h", "--help"} & set(argv):
        print(ABOUT)
        return 0
    out, words = _split(argv)
    check_free(out)
    tree = request(words)
    with quiet():
        stock, past = taken(tree)
    seal = Seal(stock, ledger.now())
    write_seal(out, seal)
    for line in lines(seal, out, past):
        print(visible(line))
    return 0


def taken(tree: Tree) -> tuple[Parts, Past]:
    """Make what a config names, check that it can be audited, and take stock; with the earlier audits of these data.

    Args:
        tree: as `lmia.request.request` returns it.

    Raises:
        LmiaError: something cannot be made, read, or audited.
    """
    target = cast("Target", specs.build("target", tree["model"]["target"]))
    views = _made("views", tree["model"].get("views"))
    cache = tree["model"].get("cache")
    defence = [cast("Defence", specs.build("defence", one)) for one in tree["model"].get("defence") or []]
    model = FeatureExtractor(target, cast("Views | None", views), Path(cache) if cache else None, defence)
    data = _data(tree["data"])
    attacks = [cast("Attack", specs.build("attack", one)) for one in tree["plugin"]]
    placebo = [cast("Target", specs.build("target", one)) for one in tree["placebo"]]
    chosen = {name: tree.get(name, default) for name, default in _defaults().items()}
    fpr, seed = chosen["fpr"], chosen["seed"]
    names = specs.attack_names(attacks)
    Setup(model, data, attacks, names, tuple(fpr or judging.DEFAULT_FPRS), fpr is not None, seed).check()
    config = record.config(model, data, attacks, placebo, trainer_config=None, **chosen)
    past = ledger.earlier(model.store.folder.parent, audited(roles.plan(data)))
    return parts(config, model, data, attacks, placebo), past


def lines(seal: Seal, out: Path, past: Past) -> list[str]:
    """Say what was sealed, what it is good for, and what it does not show.

    Args:
        seal: as written.
        out: where.
        past: earlier audits of the same data.
    """
    digests = seal.parts.digests
    said = [f"Sealed: {out}, {seal.created}, by this machine's clock."]
    said += [f"  {digests[part][:16]}...  {what}" for part, what in WHAT.items()]
    said += [f"  {role}: {_size(one)}" for role, one in seal.parts.data.items()]
    said += [
        f"Digest: {seal.digest}",
        "These 64 characters stand for all of the above. Change one setting, one picture, one caption, one weight or "
        "one line of the rule, and they are others; nobody can find other settings or data to fit them.",
        "1. Publish the digest now, where nobody can dispute the date: with a notary, a time stamp, in print.",
        f"2. Keep {out} as it is, and the data and the model with it. The file holds no picture and no caption.",
        f"3. Run the same audit with --seal {out}. It stops if anything differs; its report names the digest.",
        "What it shows: all this was settled on the day of publication. What it does not: that nobody had scored these "
        "data before that day.",
    ]
    if past.count:
        tried = "; ".join(sorted({", ".join(one.attacks) for one in past.scorings})) or "not known"
        said.append(
            f"Audits of these data that this cache knows of, from before this seal: {past.count} (attacks: {tried}). "
            "The report will say so."
        )
    return [*said, *([past.problem] if past.problem else [])]


def _split(argv: Sequence[str]) -> tuple[Path, list[str]]:
    """Tell the seal's own file from the words for `lmia.request`: a first word that is no flag is a config."""
    out, words, rest = OUT, [], iter(argv)
    for word in rest:
        if word == "--out" or word.startswith("--out="):
            out = word.removeprefix("--out").removeprefix("=") or next(rest, "")
            if not out or out.startswith("--"):
                raise LmiaError("--out has no value.", "Write --out FILE.")
        else:
            words.append(word)
    config = ["--config"] if words and not words[0].startswith("-") else []
    return Path(out), [*config, *words]


def _data(tree: Mapping[str, Any]) -> AuditData:
    given: dict[str, Any] = {role: _made("source", tree.get(role)) for role in ROLES}
    return AuditData(**{**tree, **given})


def _made(kind: Kind, config: Mapping[str, object] | None) -> object:
    return None if config is None else specs.build(kind, config)


def _defaults() -> dict[str, Any]:
    """What an audit takes where nothing is said, by the names that a recorded config has for it."""
    taken, made = signature(record.config).parameters, ("model", "data", "placebo", "trainer_config")
    audit = signature(run_audit).parameters
    return {name: audit[name].default for name in audit if name in taken and name not in made}


def _size(one: object) -> str:
    records = one.get("records") if isinstance(one, Mapping) else None
    return f"{count(records)} records" if isinstance(records, int) else "a file"
