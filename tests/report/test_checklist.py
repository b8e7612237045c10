"""Every point is read off the report: it falls when its field is taken away, and nothing is done in an empty report."""

import json
from dataclasses import FrozenInstanceError, asdict, replace

import pytest

from lmia.evidence.repeated import Positive, Positives
from lmia.evidence.sliced import Slice, Slices
from lmia.provenance import Provenance
from lmia.report.checklist import Point, checklist
from lmia.report.model import TPR, Adjusted, AuditReport, Baseline, Beside, Check, Threshold, Validity
from lmia.report.points import RATES
from report import examples
from report.examples import HOSTILE, attack, estimate

TARGET = {
    "name": "ViT-B-32",
    "architecture": "ViT-B-32",
    "activation": "QuickGELU",
    "precision": "fp32",
    "preprocessing": "bicubic, to 224 x 224 px",
    "weights digest": "ab" * 32,
    "open_clip": "3.3.0",
    "pairs": 4000,
    "epochs": 24,
}
STATES = {"done", "partly", "not done", "does not apply"}


def sliced(*columns):
    auc = estimate(0.7, 0.05)
    some = [
        Slice(column, name, 50, 50, auc, auc, estimate(0.1, 0.05), 0.01, 0.03) for column in columns for name in "ab"
    ]
    return Slices((*some, Slice("format", "PNG", 3, 4, reason="too small")), len(some), 0.95, 1999)


def full(**changes):
    """A report in which everything is there that can be."""
    auc = estimate(0.6, 0.02, "DeLong, logit scale, clustered by duplicate group")
    tprs = tuple(
        TPR(fpr, None if fpr == 0.001 else estimate(0.5, 0.1), None, "too few" * (fpr == 0.001)) for fpr in RATES
    )
    attacks = tuple(replace(attack(name, 0.6), auc=auc, tprs=tprs) for name in ("csa", "wsa"))
    example = examples.leakage()
    validity = Validity(
        power="With 400 + 400 pairs an AUC of 0.574 is found.",
        baselines=tuple(
            Baseline(kind, estimate(0.51, 0.04)) for kind in ("captions", "files", "pixels", "metadata", "all")
        ),
        besides=(
            Beside("untrained twin", "twin", "csa", "ran", "", estimate(0.5, 0.02)),
            Beside("an older model", "placebo", "csa", "ran", "", estimate(0.56, 0.02)),
        ),
        overlap=0.94,
        strata_of="captions",
        adjusted=tuple(Adjusted(name, name == "wsa", auc, auc, 0.002) for name in ("csa", "wsa")),
        checks=(Check("shuffled labels", "csa", estimate(0.5, 0.02)), Check("halves", "csa", estimate(0.51, 0.02))),
        sliced="csa",
        slices=sliced("words in the caption", "copies", "script", "host"),
    )
    made = replace(
        example,
        target=TARGET,
        attacks=attacks,
        validity=validity,
        verdict=replace(example.verdict, regime="randomised"),
        config={"data": {"allow_overlap": False}},
        provenance=Provenance(run=1),
    )
    return replace(made, **changes)


def point(report, number):
    found = checklist(report)[number - 1]
    assert found.number == number
    return found


def doubt(**changes):
    return full(validity=replace(full().validity, **changes))


def empty(question="leakage"):
    return AuditReport(question, False, "", "", {}, {}, (), (), Validity(), (), (), {}, {}, {}, 0, 0.95, 0.0, "")


@pytest.mark.parametrize(
    "report",
    [
        full(),
        empty(),
        empty("use"),
        examples.leakage(),
        examples.suspects(),
        examples.none_ran(),
        examples.hostile(),
        examples.leakage(attacks=()),
    ],
    ids=["full", "empty", "empty use", "leakage", "suspects", "none ran", "hostile", "no attack"],
)
def test_any_report_has_17_points_in_whole_sentences(report):
    found = checklist(report)
    assert [one.number for one in found] == list(range(1, 18))
    assert len({one.title for one in found}) == 17
    for one in found:
        assert one.state in STATES
        assert one.title.endswith("?")
        assert one.sentence.endswith(".")
        assert "{}" not in one.sentence
    json.dumps([asdict(one) for one in found], allow_nan=False)


def test_of_a_full_report_only_what_no_audit_does_is_missing():
    states = {one.number: one.state for one in checklist(full())}
    assert {number: state for number, state in states.items() if state != "done"} == {4: "partly", 11: "partly"}


@pytest.mark.parametrize("question", ["leakage", "use"])
def test_of_an_empty_report_nothing_is_done(question):
    states = {one.number: one.state for one in checklist(empty(question))}
    assert "done" not in states.values()
    expected = {11: "partly"} | (dict.fromkeys((7, 8, 15), "does not apply") if question == "use" else {})
    assert {number: state for number, state in states.items() if state != "not done"} == expected


def without(mapping, *names):
    return {name: value for name, value in mapping.items() if name not in names}


def silent(one):
    return replace(one, access=())


def twin_only():
    return full().validity.besides[:1]


def quiet(regime="one-run", seen=None):
    """A report that found nothing, with a positive control or none."""
    known = None if seen is None else Positives(60, 340, 8.0, (Positive("csa", estimate(0.961, 0.02)),), seen)
    report = doubt(positives=known)
    return replace(report, verdict=replace(report.verdict, word="none", regime=regime))


FALLS = [
    (1, full(target=without(TARGET, "activation")), "partly", "Not stated: activation."),
    (1, full(target={"name": "x"}), "not done", "weights digest"),
    (1, full(target={"name": "x", "details": without(TARGET, "name")}), "done", "of x."),
    (2, full(attacks=tuple(map(silent, full().attacks))), "not done", "What csa and wsa ask of the model"),
    (2, full(), "done", "asked for cosine; the attacker has 267 known non-members and 2,900 pairs"),
    (3, full(verdict=replace(full().verdict, regime="post hoc")), "partly", "found afterwards"),
    (3, full(verdict=None), "partly", "how the sides came about is not stated"),
    (3, full(verdict=None, config={"regime": "one-run"}), "done", "by lot before training, as the user states"),
    (3, full(roles=()), "not done", "not stated"),
    (4, full(), "partly", "count once"),
    (4, full(config={"data": {"allow_overlap": True}}), "partly", "were let through"),
    (4, full(config={"data": {"allow_overlap": False, "cluster_by": "shoot"}}), "partly", "pairs of one 'shoot' count as one"),
    (4, full(config={}, attacks=(), validity=Validity()), "not done", "embedding"),
    (4, examples.leakage(), "partly", "no copies were found"),
    (5, doubt(baselines=full().validity.baselines[:2]), "partly", "Not by pixels, addresses and all of these."),
    (5, doubt(baselines=(Baseline("metadata", None, "no url in any row"),)), "partly", "addresses (no url in any row)"),
    (5, doubt(besides=twin_only()), "partly", "Not by another model that cannot have seen the pairs."),
    (5, doubt(baselines=(), besides=twin_only()), "not done", "Not by captions"),
    (6, full(verdict=None), "not done", "no verdict"),
    (6, doubt(overlap=None), "partly", "was not measured"),
    (6, full(), "done", "verdict 'evidence', comparing like with like: 94 % of either side"),
    (6, doubt(adjusted=(Adjusted("csa", False, estimate(0.6, 0.02)),)), "partly", "No like pairs were found for csa."),
    (7, full(roles=full().roles[1:]), "not done", "number of members"),
    (7, full(attacks=tuple(replace(one, tprs=()) for one in full().attacks)), "partly", "without a true positive rate"),
    (8, full(attacks=tuple(replace(one, tprs=one.tprs[1:]) for one in full().attacks)), "partly", "rate at 10 %"),
    (8, full(attacks=(full().attacks[0], replace(full().attacks[1], curve=None))), "partly", "Not given: ROC curve"),
    (8, full(attacks=(examples.leakage().attacks[3],)), "not done", "AUC"),
    (9, full(attacks=tuple(replace(one, thresholds=()) for one in full().attacks)), "not done", "No threshold"),
    (9, full(attacks=(replace(full().attacks[0], thresholds=(Threshold(0.01, 0.7, 133),)), full().attacks[1])), "partly", "not known for csa."),
    (9, examples.suspects(), "partly", "not known for csa and wsa, since who is a member is not known"),
    (10, full(provenance=Provenance()), "partly", "how often these data were audited before"),
    (10, doubt(adjusted=full().validity.adjusted[:1]), "partly", "p-values of wsa"),
    (10, full(provenance=Provenance(run=3)), "done", "this is number 3"),
    (11, full(), "partly", "seed 0, but the audit was run with this seed alone: how far wsa would move"),
    (12, doubt(checks=full().validity.checks[:1]), "partly", "Not on two halves of the non-members."),
    (12, doubt(besides=()), "partly", "Not on models that cannot remember."),
    (12, doubt(checks=(Check("halves", "csa", None, "too few"),), besides=()), "not done", "Not on labels dealt anew"),
    (12, full(), "done", "of 4 intervals 1 lie off 0.5"),
    (13, full(verdict=replace(full().verdict, regime="post hoc")), "not done", "not shown"),
    (13, full(verdict=replace(full().verdict, word="none")), "not done", "not shown"),
    (13, full(verdict=replace(full().verdict, question="use")), "not done", "not shown"),
    (13, full(verdict=None), "not done", "not shown"),
    (13, full(), "done", "an attack finds it (the strongest is csa, AUC 0.600"),
    (14, doubt(adjusted=()), "partly", "Not stated: a p-value"),
    (14, full(verdict=replace(full().verdict, detectable=None)), "done", "that no AUC would be seen"),
    (13, quiet(), "not done", "not tried on a model that is known"),
    (13, quiet("one-run", seen=True), "done", "60 members that were shown several times (median 8): the strongest, csa, finds them, AUC 0.961"),
    (13, quiet("one-run", seen=False), "done", "the strongest, csa, does not find them, AUC 0.961"),
    (13, quiet("post hoc", seen=True), "partly", "differ from the non-members in anything else is not known."),
    (14, full(verdict=None), "done", "which AUC would be seen"),
    (14, doubt(), "done", "p = 0.002 of all pairs together (csa, the best of 2, corrected for that)"),
    (15, doubt(slices=sliced("copies")), "partly", "Not by length of the caption"),
    (15, doubt(slices=sliced("host")), "partly", "compared by host, by the scores of csa. Not by length"),
    (15, doubt(slices=None), "not done", "Not by length of the caption, script"),
    (15, doubt(slices=Slices((Slice("copies", "1", 9, 9, reason="x"), Slice("copies", "2", 9, 9, reason="x")), 0, 0.95, 1)), "not done", "copies (no slice of it could be compared)"),
    (15, doubt(slices=Slices((*sliced("copies", "script").slices, Slice("words in the caption", "3", 9, 9, reason="x")), 2, 0.95, 1)), "done", "All pairs are alike in length of the caption."),
    (15, full(question="use", validity=replace(full().validity, slices=None)), "does not apply", "No AUC"),
    (16, full(limits=()), "partly", "Not said: what an audit of this kind cannot show."),
    (16, full(verdict=None), "partly", "beside this verdict"),
    (17, full(target=without(TARGET, "epochs")), "partly", "Not known: the number of epochs"),
    (17, full(target=TARGET | {"pairs": "many"}), "partly", "the number of training pairs"),
    (17, full(target=TARGET | {"pairs": 0, "epochs": -1}), "not done", "Not known"),
    (17, full(target=TARGET | {"seed": 3}), "does not apply", "random"),
    (17, full(), "done", "on 4,000 pairs for 24 epochs; what a pair leaves behind is expected to go with epochs over pairs, here 0.006."),
]  # fmt: skip


@pytest.mark.parametrize(("number", "report", "state", "said"), FALLS)
def test_a_point_is_what_the_field_says(number, report, state, said):
    found = point(report, number)
    assert (found.state, said in found.sentence) == (state, True), found.sentence


def test_what_a_named_pair_is_worth():
    """By Bayes: at a TPR of 0.5 and an FPR of 1 %, of 100,000 pairs 500 of 1,000 members and 990 others are named."""
    said = point(full(), 7).sentence
    worth, low, high = (100 * 1000 * tpr / (1000 * tpr + 990) for tpr in (0.5, 0.4, 0.6))
    assert f"if 1 % of all were members, {worth:.1f} % [{low:.1f}, {high:.1f}] would be" in said
    assert "if 0.1 % of all were members, 4.8 % [" in said
    assert said.startswith("400 members and 400 non-members (50 % members). Of the pairs that csa names at 1 %")


def test_suspects_have_no_truth_to_compute_with():
    states = [point(examples.suspects(), number) for number in (7, 8)]
    assert {one.state for one in states} == {"does not apply"}
    assert all("who is a member is not known" in one.sentence for one in states)


def test_text_from_the_data_stands_there_as_it_is():
    """Whoever shows the points makes such text harmless, as everything else of a report."""
    assert point(full(target=TARGET | {"name": HOSTILE}), 1).sentence.endswith(f"of {HOSTILE}.")
    assert HOSTILE in point(examples.hostile(), 2).sentence


def test_a_point_is_frozen():
    with pytest.raises(FrozenInstanceError):
        point(full(), 1).state = "done"
    assert list(asdict(Point(1, "a", "done", "b"))) == ["number", "title", "state", "sentence"]


def test_reading_a_report_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, lmia.report.checklist; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
