"""What an audit says of itself: its configuration, its target, its environment; enough to replay it and to doubt it."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from inspect import getdoc
from pathlib import Path
from typing import Literal

import torch
import yaml
from lightning.pytorch import Trainer

from lmia.aside import sweep
from lmia.attack import Attack
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.evidence.judged import Regime
from lmia.extract import FeatureExtractor
from lmia.progress import PairProgress
from lmia.quiet import quiet
from lmia.report import AttackResult
from lmia.report.aside import write_aside
from lmia.returned import findings as plain_findings
from lmia.settings import plain
from lmia.target import Target

_PACKAGES = (
    "lmia",
    "torch",
    "torchvision",
    "lightning",
    "open_clip_torch",
    "torchmetrics",
    "kornia",
    "numpy",
    "scipy",
    "pillow",
)
CONFIG = "config.yaml"

TRAINER_DEFAULTS: Mapping[str, object] = {"logger": False, "enable_checkpointing": False, "inference_mode": False} | {
    "enable_model_summary": False,
    "barebones": False,
}
"""What every extraction wants of Lightning's Trainer: no logger, no checkpoints, gradients where an attack needs them."""


def trainer(**settings: object) -> Trainer:
    """Return a Trainer for extraction: the defaults above, a progress bar in pairs, and `settings` on top.

    Example:
        >>> trainer(accelerator="cpu").world_size
        1
    """
    chosen = {**TRAINER_DEFAULTS, "callbacks": [PairProgress()], **settings}
    with quiet():
        return Trainer(**chosen)  # type: ignore[arg-type]


def config(
    model: FeatureExtractor,
    data: AuditData,
    attacks: Sequence[Attack],
    placebo: Sequence[Target],
    out: Path | str,
    fpr: Sequence[float] | None,
    detect: float,
    regime: Regime,
    seal: Path | str | None,
    seed: int,
    confidence: float,
    show_pairs: bool,
    demo: bool,
    trainer_config: Mapping[str, object] | None,
) -> dict[str, object]:
    """Return the configuration that `lmia audit --config` replays."""
    return {
        "trainer": plain(trainer_config or {}),
        "model": {
            "target": plain(model.bare[0]),
            "views": plain(model.augmentation),
            "cache": str(model.cache) if model.cache else None,
            "defence": plain(model.defences),
        },
        "data": {**{role: plain(source) for role, source in data.given().items()}, **data.options()},
        "plugin": [plain(attack) for attack in attacks],
        "placebo": [plain(one) for one in placebo],
        "out": str(out),
        "fpr": list(fpr) if fpr is not None else None,
        "detect": detect,
        "regime": regime,
        "seal": str(seal) if seal is not None else None,
        "seed": seed,
        "confidence": confidence,
        "show_pairs": show_pairs,
        "demo": demo,
    }


def prepare(out: Path) -> Path:
    """Make the report's folder and see that it can be written, before anything is computed; what lies there stays.

    Raises:
        LmiaError: the folder cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LmiaError(
            f"The folder {out} cannot be written: {error.strerror}.", "Choose another with --out DIR."
        ) from error
    sweep(out)
    write_aside(out / ".writable", b"").unlink(missing_ok=True)
    return out


def write_config(config: Mapping[str, object], out: Path) -> Path:
    """Write the configuration that replays an audit into its folder.

    Raises:
        LmiaError: the file cannot be written.
    """
    text = "# Replay this audit: lmia audit --config config.yaml\n" + yaml.safe_dump(dict(config), sort_keys=False)
    return write_aside(out / CONFIG, text.encode())


def target(model: FeatureExtractor) -> dict[str, object]:
    """Say what is known of the target: its facts, its fingerprint, its answers."""
    facts = asdict(model.target.facts())
    details = facts.pop("details")
    return {
        **facts,
        **details,
        "precision": model.target.precision,
        "fingerprint": model.target.fingerprint(),
        "answers": sorted(model.target.answers),
    }


def views(model: FeatureExtractor, used: bool) -> dict[str, object]:
    """Say which augmentation set was there, and which views were used."""
    return {
        "set": type(model.augmentation).__name__.lower(),
        "settings": plain(model.augmentation.settings),
        "used": list(model.view_names(used)),
    }


def environment() -> dict[str, str]:
    """Return the versions that a number may depend on.

    Example:
        >>> sorted(environment())[:2]
        ['kornia', 'lightning']
    """
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not found"
    found["threads"] = str(torch.get_num_threads())
    return found


def attack(attack: Attack, name: str) -> AttackResult:
    """Return the beginning of an attack's result: what it is and what it needs."""
    return AttackResult(
        name=name,
        title=(getdoc(type(attack)) or "").partition("\n")[0],
        status="did not run",
        settings={key: plain(value) for key, value in attack.settings.items()},
        access=sorted(attack.needs),
        requires=sorted(attack.requires),
    )


def ended(
    result: AttackResult,
    status: Literal["ran", "nothing to learn"],
    reason: str,
    findings: Mapping[str, object],
    started: float,
) -> AttackResult:
    """Return an attack's result with how it ended.

    Raises:
        LmiaError: a report cannot hold its findings.
    """
    seconds = round(time.perf_counter() - started, 3)
    found = plain_findings(findings, result.name)
    return replace(result, status=status, reason=reason, findings=found, seconds=seconds)
