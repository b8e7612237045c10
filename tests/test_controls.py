"""Models that cannot remember: the same attacks, the same rows, another model."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import lmia
from lmia import record
from lmia.controls import TWIN, controls
from lmia.data import AuditData
from lmia.evidence.estimate import Estimate
from lmia.evidence.power import spoken
from lmia.extract import FeatureExtractor
from lmia.judging import DEFAULT_FPRS
from lmia.report import doubt
from lmia.report.model import Baseline, Beside, Validity
from lmia.setup import Setup
from report import examples
from worlds import Loss, Matrices, Noise, Plain, picture


class Twinned(Matrices):
    """Matrices, whose twin remembers nothing."""

    def untrained(self, seed):
        return Matrices("0:0", seed=seed)


class Impostor(Matrices):
    """Matrices, whose twin can tell the members all the same: a difference in the data."""

    def untrained(self, seed):
        return Matrices("0:300", leak=0.7, seed=seed)


ROLES = {"members": Noise(0, 300), "nonmembers": Noise(400, 700), "known_nonmembers": Noise(800, 1000)}
ROLES |= {"pool": Noise(1200, 1300)}


def audit(tmp_path, target, plugin):
    model = FeatureExtractor(target, None, tmp_path / "cache")
    trainer = record.trainer(accelerator="cpu")
    return lmia.run_audit(model, AuditData(**ROLES), plugin, out=tmp_path / "out", trainer=trainer)


FITTED: list[int] = []


class Choosy(Plain):
    """Can be fitted once: on the target, which comes first."""

    def fit(self, known):
        FITTED.append(len(known.pool))
        if len(FITTED) > 1:
            raise lmia.LmiaError("Choosy needs 50 pseudo-members, and lambda 9 leaves 0.", "Ask for another lambda.")


def test_an_attack_that_cannot_be_fitted_on_the_twin_ends_no_audit(tmp_path):
    FITTED.clear()
    report = audit(tmp_path, Twinned("0:300", leak=0.7), [Choosy()])
    assert report.attacks[0].status == "ran"
    (twin,) = report.validity.besides
    assert (twin.status, twin.auc) == ("nothing to learn", None)
    assert twin.reason.startswith("Choosy needs 50 pseudo-members, and lambda 9 leaves 0.")


def test_an_attack_that_cannot_be_fitted_on_the_target_ends_the_audit(tmp_path):
    FITTED[:] = [1]
    with pytest.raises(lmia.LmiaError, match="Choosy needs 50"):
        audit(tmp_path, Twinned("0:300", leak=0.7), [Choosy()])


def test_a_target_is_asked_for_its_facts_as_often_for_many_attacks_as_for_one(tmp_path):
    """To tell them it digests all of its weights."""

    class Asked(Matrices):
        asked = 0

        def facts(self):
            Asked.asked += 1
            return super().facts()

    counts = []
    for i, attacks in enumerate(([Plain()], [Plain(), Loss()])):
        Asked.asked = 0
        audit(tmp_path / str(i), Asked("0:300", leak=0.7), attacks)
        counts.append(Asked.asked)
    assert counts[0] == counts[1] > 0


def test_the_twin_of_a_leaking_model_shows_nothing(tmp_path):
    report = audit(tmp_path, Twinned("0:300", leak=0.7), [Plain(), Loss()])
    plain, loss = report.validity.besides
    assert (plain.model, plain.kind, plain.attack, loss.attack) == (TWIN, "twin", "plain", "loss")
    assert plain.auc.low < 0.5 < plain.auc.high
    assert plain.above.low > 0
    assert plain.above.value == pytest.approx(report.attacks[0].auc.value - plain.auc.value)
    assert "no attack was found to tell the two sides apart" in doubt.sentences(report)[3]
    assert report.validity.notes == ["The blind baselines were trained on 300 pairs, judged on 300 others."]


def test_the_twins_numbers_are_the_twins(tmp_path):
    """By hand: the cosines of the model that `untrained` returns, on the very rows that were audited."""
    report = audit(tmp_path, Twinned("0:300", leak=0.7), [Plain()])
    twin = Matrices("0:0", seed=0 + 1_000_003)

    def cosine(index):
        image = twin.encode_image(twin.preprocess(picture(index))[None].float() / 255)
        text = twin.encode_text(twin.tokenize([f"pair {index}"]))
        return float(torch.nn.functional.cosine_similarity(image, text).detach())

    rows = [*range(300), *range(400, 700)]
    expected = roc_auc_score(np.repeat([1, 0], 300), [cosine(index) for index in rows])
    assert report.validity.besides[0].auc.value == pytest.approx(expected, abs=1e-6)


def test_a_twin_that_sees_a_difference_says_that_it_lies_in_the_data(tmp_path):
    report = audit(tmp_path, Impostor("0:300", leak=0.7), [Plain()])
    assert report.validity.besides[0].auc.low > 0.5
    power, _, alike, said = doubt.sentences(report)[:4]
    assert power == spoken(300, 300)
    assert alike == "1 % of either side has a counterpart that looks alike."  # the captions number the pairs
    assert report.verdict.word == "void"
    assert "plain tells the two sides apart as well" in said
    assert "Among like pairs that does not show, or cannot." in said


def test_the_twin_sees_the_pictures_in_the_targets_own_pass(tmp_path):
    class Counted(Noise):
        """Noise that counts how often it is read."""

        reads = 0

        def read(self, shard):
            Counted.reads += 1
            yield from super().read(shard)

    roles = {role: Counted(start, start + 150) for role, start in
             (("members", 0), ("nonmembers", 200), ("known_nonmembers", 400), ("pool", 600))}  # fmt: skip
    shards = sum(len(source.shards()) for source in roles.values())
    model = FeatureExtractor(Twinned("0:150", leak=0.7), None, tmp_path / "cache")
    for expected in (shards, shards):  # nothing is read again the second time
        trainer = record.trainer(accelerator="cpu")
        report = lmia.run_audit(
            model, AuditData(**roles, workers=0), [Plain(), Loss()], out=tmp_path / "out", trainer=trainer
        )
        assert Counted.reads == expected
        assert len(report.validity.besides) == 2
    assert report.extraction["images_encoded"] == 0
    assert report.extraction["shards_cached"] == shards


def test_a_twin_that_differs_is_all_that_is_computed_anew(tmp_path):
    """The target is there; a twin by another seed is not."""
    target, trainer = Twinned("0:300", leak=0.7), record.trainer(accelerator="cpu")
    model = FeatureExtractor(target, None, tmp_path / "cache")
    first = lmia.run_audit(model, AuditData(**ROLES), [Plain()], out=tmp_path / "a", trainer=trainer)
    before = dict(target.calls)
    again = lmia.run_audit(model, AuditData(**ROLES), [Plain()], out=tmp_path / "b", trainer=trainer, seed=1)
    assert target.calls == before
    assert first.validity.besides[0].auc != again.validity.besides[0].auc


def test_no_twin_is_said(tmp_path):
    report = audit(tmp_path, Matrices("0:300", leak=0.7), [Plain()])
    assert list(report.validity.besides) == []
    assert "no untrained twin" in doubt.sentences(report)[-1]


def test_an_attack_that_learns_nothing_on_the_twin_is_listed_with_its_reason(tmp_path):
    class Picky(Plain):
        """Learns from a model that remembers only."""

        def fit(self, known):
            if known.target.details["weights"] != leaking.fingerprint():
                raise lmia.errors.NothingToLearn("The pool is empty.", "Give another.", {})

    leaking = Twinned("0:300", leak=0.7)
    report = audit(tmp_path, leaking, [Picky()])
    (beside,) = report.validity.besides
    assert report.attacks[0].status == "ran"
    assert (beside.status, beside.auc, beside.above) == ("nothing to learn", None, None)
    assert "pool is empty" in beside.reason


def test_the_target_is_no_placebo(tmp_path):
    model = FeatureExtractor(Matrices("0:300"), None, tmp_path / "cache")
    setup = Setup(model, AuditData(**ROLES), [Plain()], ["plain"], DEFAULT_FPRS, False, 0)
    with pytest.raises(lmia.LmiaError, match="is the target itself"):
        controls(setup, [Matrices("0:300")])


def test_placebos_stand_beside_the_twin(tmp_path):
    model = FeatureExtractor(Twinned("0:300"), None, tmp_path / "cache")
    setup = Setup(model, AuditData(**ROLES), [Plain()], ["plain"], DEFAULT_FPRS, False, 0)
    found = controls(setup, [Matrices("0:0", seed=5)])
    assert [control.kind for control in found] == ["twin", "placebo"]


class Halves(Plain):
    """Learns from a pool: the mean cosine."""

    requires = frozenset({"pool"})
    transductive = True

    def fit(self, known):
        self.mean = known.pool.cosine[:, 0].mean()

    def score(self, samples):
        return samples.cosine[:, 0] - self.mean


@pytest.mark.parametrize("attack", [Plain, Halves])
def test_suspects_are_compared_with_calibration_pairs(tmp_path, attack):
    roles = {"suspects": Noise(0, 300), "known_nonmembers": Noise(400, 1000)}
    model = FeatureExtractor(Twinned("0:300", leak=0.7), None, tmp_path / "cache")
    report = lmia.run_audit(model, AuditData(**roles), [attack()], out=tmp_path / "out",
                            trainer=record.trainer(accelerator="cpu"))  # fmt: skip
    (beside,) = report.validity.besides
    assert beside.auc.n == 300 + 200
    assert beside.auc.low < 0.5 < beside.auc.high
    assert beside.above.low > 0


@pytest.mark.parametrize("numbered", [True, False])
def test_what_tells_the_sides_apart_without_the_model_is_said(tmp_path, numbered):
    """The numbers in the captions give the members away; without them nothing does."""

    class Muttered(Noise):
        """Noise whose captions do not say which pair it is, or do."""

        def read(self, shard):
            for pair in super().read(shard):
                yield pair if numbered else lmia.Pair(pair.key, "a pair 7", pair.image)

    roles = {"members": Muttered(0, 300), "nonmembers": Muttered(400, 700)}
    roles |= {"known_nonmembers": Noise(800, 1000), "pool": Noise(1200, 1300)}
    model = FeatureExtractor(Twinned("0:0"), None, tmp_path / "cache")
    trainer = record.trainer(accelerator="cpu")
    report = lmia.run_audit(model, AuditData(**roles), [Plain()], out=tmp_path / "out", trainer=trainer)
    found = {baseline.kind: baseline for baseline in report.validity.baselines}
    assert list(found) == ["captions", "files", "pixels", "metadata", "all"]
    assert found["pixels"].auc.low < 0.5 < found["pixels"].auc.high
    assert found["metadata"].auc is None
    assert found["metadata"].reason
    said = doubt.sentences(report)[1]
    if numbered:
        assert found["captions"].auc.low > 0.9
        assert "the two sides can be told apart as well: by captions" in said
    else:
        assert "Without the model, nothing was found that tells" in said


def test_an_auc_below_one_half_is_a_difference_too():
    low = Estimate(0.3, 0.25, 0.35, 0.95, "DeLong", 600)
    beside = Beside(TWIN, "twin", "csa", "ran", "", low, None, low, 0.001)
    report = examples.leakage(validity=Validity(baselines=[Baseline("files", low)], besides=[beside]))
    blind, twin = doubt.sentences(report)
    assert "can be told apart as well: by properties of the files, AUC 0.300" in blind
    assert "csa tells the two sides apart as well: AUC 0.300" in twin


def test_the_farthest_of_several_is_said_to_be_picked():
    off, near = Estimate(0.612, 0.516, 0.701, 0.95, "DeLong", 144), Estimate(0.49, 0.39, 0.59, 0.95, "DeLong", 144)
    made = [Baseline("captions", near), Baseline("pixels", off), Baseline("files", near)]
    said = doubt.sentences(examples.leakage(validity=Validity(baselines=made)))[0]
    assert "nothing was found" in said
    assert said.endswith("That interval alone leaves 0.5 out; corrected for being the farthest of 3, it does not.")
    assert "leaves 0.5 out" not in doubt.sentences(examples.leakage(validity=Validity(baselines=made[:1])))[0]
