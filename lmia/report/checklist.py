"""What a report that can be trusted should carry, point by point, and how much of it this one does carry.

Nothing is taken for done because the software can do it: each point is read off the report's own fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lmia.report import points
from lmia.report.cells import count
from lmia.report.model import AuditReport
from lmia.report.sentences import target_name
from lmia.report.weighing import Said, State, listed, parted, weighed


@dataclass(frozen=True)
class Point:
    """One point of the checklist.

    Args:
        number: from 1.
        title: what it asks, in plain words.
        state: `done`, `partly`, `not done` or `does not apply`.
        sentence: what was done and what was not.
    """

    number: int
    title: str
    state: State
    sentence: str


def checklist(report: AuditReport) -> tuple[Point, ...]:
    """Hold a report against the 17 points that an audit should carry to be trusted.

    They gather what the field learned from audits that went wrong: blind baselines (Das, Zhang and Tramèr, arXiv
    2406.16201), low false positive rates (Carlini and others, S&P 2022), and what an audit found afterwards cannot prove
    (Zhang, Das, Kamath and Tramèr, arXiv 2409.19798).

    Args:
        report: any report.

    Returns:
        all points in order. Names from the data stand in the sentences as they are: who shows them makes them harmless.

    Example:
        >>> from lmia.report.model import Validity
        >>> empty = AuditReport("use", False, "", "", {}, {}, (), (), Validity(), (), (), {}, {}, {}, 0, 0.95, 0.0, "")
        >>> found = checklist(empty)
        >>> len(found), found[4].title, found[4].state
        (17, 'Can the two sides be told apart without the model?', 'not done')
    """
    return tuple(Point(i, title, *read(report)) for i, (title, read) in enumerate(_POINTS, 1))


def _target(report: AuditReport) -> Said:
    known = _details(report)
    have, lack = parted(
        {
            "weights digest": known.get("weights digest"),
            **{name: known.get(name) for name in ("architecture", "activation", "precision", "preprocessing")},
            "version of open_clip": known.get("open_clip"),
        }
    )
    if not known.get("name"):
        lack.insert(0, "name")
    return weighed(have, lack, f"Stated: {{}}, of {target_name(report)}.", "Not stated: {}.")


def _threat(report: AuditReport) -> Said:
    asked = sorted({name.replace("_", " ") for attack in report.attacks for name in attack.access})
    lack = [attack.name for attack in report.attacks if not attack.access]
    fit, pool = (sum(role.scored.get(part, 0) for role in report.roles) for part in ("fit", "pool"))
    knows = f"{count(fit)} known non-members and {count(pool)} pairs without labels to learn from"
    return weighed(
        asked,
        lack,
        f"The model was asked for {{}}; the attacker has {knows}.",
        "What {} ask of the model is not stated.",
    )


def _origin(report: AuditReport) -> Said:
    regime = report.verdict.regime if report.verdict else report.config.get("regime")
    sources = [role.role.replace("_", " ") for role in report.roles if role.source and role.role != "unlisted"]
    if not sources:
        return "not done", "Where the pairs come from is not stated."
    named = f"The source of {listed(sources)} is named"
    if regime in points.BY_LOT:
        return "done", f"{named}; who is on which side was drawn by lot before training, as the user states."
    how = "the sides were found afterwards" if regime else "how the sides came about is not stated"
    return "partly", f"{named}; {how}, and whether both were gathered in the same way and time is not known."


def _copies(report: AuditReport) -> Said:
    data = report.config.get("data")
    allowed = data.get("allow_overlap") if isinstance(data, Mapping) else None
    methods = [one.raw.method for one in report.validity.adjusted] + [
        one.auc.method for one in report.attacks if one.auc
    ]
    found = report.validity.copied
    have, lack = [], ["copies that only an embedding shows, crops and strong edits, were not looked for"]
    if found is None:
        lack.insert(0, "pictures that look alike under other captions were not counted")
    else:
        seconded = (
            "" if found.seconded is None else f", of which the model's features find {count(found.seconded)} near"
        )
        have.append(f"{count(found.look_alikes)} look-alikes under other captions were counted{seconded}")
    if allowed is False:
        have.append("pairs in two roles were refused (same file, address, or caption on the same picture)")
    elif allowed:
        lack.insert(0, "pairs that the pool shares with other roles were let through")
    if cluster := data.get("cluster_by") if isinstance(data, Mapping) else None:
        have.append(f"pairs of one '{cluster}' count as one in the intervals")
    elif any("by duplicate group" in method for method in methods):
        have.append("copies within the audited pairs count once in the intervals")
    elif methods:
        have.append("no copies were found within the audited pairs")
    return weighed(have, lack, "Of copies: {}.", "But {}.")


def _tried(report: AuditReport) -> Said:
    p = [one.attack for one in report.validity.adjusted if one.p is not None]
    missing = [one.name for one in points.ran(report) if one.name not in p]
    have = [f"p-values corrected for the best of {len(p)}"] if p else []
    lack = [f"p-values of {listed(missing)}"] if missing else []
    if run := report.provenance.run:
        have.append(f"how often these data were audited, as far as this cache knows (this is number {run})")
    else:
        lack.append("how often these data were audited before")
    if not report.attacks:
        return "not done", "No attack was asked for."
    listing = f"every attack that was asked for, whatever became of it ({len(report.attacks)})"
    return weighed([listing, *have], lack, "Given: {}.", "Not given: {}.")


def _seeds(report: AuditReport) -> Said:
    learned = [one.attack for one in report.validity.adjusted if one.trained]
    said = f"Everything random follows from seed {report.seed}, but the audit was run with this seed alone"
    return "partly", f"{said}: how far {listed(learned) or 'the result'} would move with another is not known."


def _humble(report: AuditReport) -> Said:
    cautions = report.verdict.cautions if report.verdict else ()
    have, lack = parted(
        {"what an audit of this kind cannot show": report.limits, "what must be read beside this verdict": cautions}
    )
    return weighed(have, lack, "Said in plain words: {}.", "Not said: {}.")


def _scale(report: AuditReport) -> Said:
    known = _details(report)
    if "seed" in known:  # of the weights, which a checkpoint would have brought
        return "does not apply", "The model's weights are random: it was trained on nothing."
    pairs, epochs = (_amount(known.get(name)) for name in ("pairs", "epochs"))
    if pairs and epochs:
        told = f"It was trained on {count(int(pairs))} pairs for {epochs:g} epochs"
        return (
            "done",
            f"{told}; what a pair leaves behind is expected to go with epochs over pairs, here {epochs / pairs:.2g}.",
        )
    have, lack = parted({"the number of training pairs": pairs, "the number of epochs": epochs})
    return weighed(have, lack, "Stated: {}.", "Not known: {}; so neither is what to expect.")


def _details(report: AuditReport) -> Mapping[str, object]:
    """Return what is known of the target, also where its details stand apart."""
    details = report.target.get("details")
    return {**report.target, **(details if isinstance(details, Mapping) else {})}


def _amount(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


_POINTS: tuple[tuple[str, Callable[[AuditReport], Said]], ...] = (
    ("Which model, exactly?", _target),
    ("What does the attacker see and know?", _threat),
    ("How did the two sides come about?", _origin),
    ("Were copies looked for?", _copies),
    ("Can the two sides be told apart without the model?", points.blind),
    ("Does a fixed rule decide, which sees that difference?", points.rule),
    ("How many pairs, and what is a named pair worth?", points.worth),
    ("Is there more than an average?", points.metrics),
    ("Were thresholds set on other pairs than they are tried on?", points.thresholds),
    ("Is everything listed that was tried?", _tried),
    ("Would another seed say the same?", _seeds),
    ("Do the attacks stay silent where there is nothing to find?", points.negative),
    ("Would the attacks have found something?", points.positive),
    ("What do all pairs show together, and what could they have shown?", points.together),
    ("Which pairs are exposed most?", points.slices),
    ("Is it said what this does not prove?", _humble),
    ("What was to be expected of a training of this size?", _scale),
)
