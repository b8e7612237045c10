"""An audit's doubts, from end to end: two sides dealt by lot, a leak of known size, and every number once more by hand."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import roc_auc_score

import lmia
from lmia import record
from lmia.data import AuditData
from lmia.evidence import auroc, auroc_difference, dealt
from lmia.extract import FeatureExtractor
from lmia.registry import registry
from lmia.report.archive import read_report
from lmia.settings import digest
from lmia.validity import FEW, Doubt
from worlds import Matrices, Noise, Plain

SEED, DEALT = 3, 480
HANDS = np.random.default_rng(5).permutation(DEALT) % 4
"""Which of four hands a pair was dealt to; the target has seen the first."""


class Lot(Noise):
    """Pairs of some of the four hands.

    Args:
        hands: which.
        copies: whether every third pair is there twice.
        n: so many pairs at most.
    """

    def __init__(self, hands: str, copies: bool = False, n: int = DEALT) -> None:
        super().__init__(0, DEALT)
        self.mine = [i for i in range(DEALT) if str(HANDS[i]) in hands][:n]
        self.name, self.copies = f"{hands} {n}", copies

    def read(self, shard):
        for pair in super().read(shard):
            index = int(pair.key.partition("/")[2])
            if index in self.mine:
                yield pair
                if self.copies and index % 3 == 0:
                    yield lmia.Pair(f"{pair.key}-copy", pair.caption, pair.image)

    def fingerprint(self, shard):
        return digest(super().fingerprint(shard), self.name, self.copies)


class Seen(Matrices):
    """Remembers the pairs of the first hand; its twin remembers nothing.

    Args:
        leak: how much.
        seed: as there.
    """

    def __init__(self, leak: float, seed: int = 0) -> None:
        super().__init__(f"0:{DEALT}", leak, seed)

    def _text(self, index):
        return super()._text(index) if HANDS[index] == 0 else Matrices._text(Matrices(seed=self.seed), index)

    def untrained(self, seed):
        return Matrices(seed=seed)


class Tilted(Plain):
    """The cosine, and more or less of what has nothing to do with the pair.

    Args:
        lam: how much.
    """

    def __init__(self, lam: float = 0.5) -> None:
        self.lam = lam

    def score(self, samples):
        return super().score(samples) + self.lam * torch.tensor(
            [(int(c.split()[1]) * 0.618) % 1 for c in samples.captions]
        )


class Stretched(Plain):
    """The cosine in the same order, in other numbers.

    Args:
        by: how far.
    """

    def __init__(self, by: float = 2.0) -> None:
        self.by = by

    def score(self, samples):
        return (self.by * super().score(samples).double()).exp()


LEAKAGE = {"members": Lot("0"), "nonmembers": Lot("1"), "known_nonmembers": Lot("2"), "pool": Lot("3")}
USE = {"suspects": Lot("0"), "known_nonmembers": Lot("123")}
COPIES = LEAKAGE | {"members": Lot("0", True), "nonmembers": Lot("1", True)}


@pytest.fixture(scope="module", autouse=True)
def _no_pages():
    """Pages for people cost more than all the rest, and nobody reads them here."""
    manager = registry().manager
    pages = manager.unregister(name="lmia:report")
    yield
    manager.register(pages, "lmia:report")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


def audit(cache, out, plugin=None, roles=LEAKAGE, leak=0.7, **options):
    model, trainer = FeatureExtractor(Seen(leak), None, cache), record.trainer(accelerator="cpu")
    return lmia.run_audit(
        model, AuditData(**roles), plugin or [Plain()], out=out, seed=SEED, trainer=trainer, **options
    )


@pytest.fixture(scope="module", params=[LEAKAGE, COPIES, USE], ids=["leakage", "copies", "use"])
def doubted(request, cache, tmp_path_factory):
    """A finished audit, the doubt it had, and its sides as plain arrays: scores, labels, groups (None without copies)."""
    out, caught, of = tmp_path_factory.mktemp("audit"), [], Doubt.of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Doubt, "of", staticmethod(lambda *words: caught.append(of(*words)) or caught[0]))
        report = audit(cache, out, roles=request.param)
    return report, caught[0], *sides(out, report.question)


def sides(out, question):
    rows = [row for row in pq.read_table(out / "scores.parquet").to_pylist() if row["model"] == "target"]
    names = ("members", "nonmembers") if question == "leakage" else ("suspects", "calibration")
    first, second = (sorted((row["key"], row["score"]) for row in rows if row["role"] == name) for name in names)
    keys = [key.removesuffix("-copy") for key, _ in (*first, *second)]
    groups = None if len(set(keys)) == len(keys) else torch.from_numpy(np.unique(keys, return_inverse=True)[1])
    scores = torch.tensor([score for _, score in (*first, *second)], dtype=torch.float64)
    return scores, torch.arange(len(scores)) < len(first), groups


def check_of(report, kind):
    (found,) = (check for check in report.validity.checks if check.kind == kind)
    return found


def test_labels_dealt_anew_hold_the_plain_auc(doubted):
    report, _, scores, labels, groups = doubted
    new = dealt(labels, groups, SEED)
    check = check_of(report, "shuffled labels")
    assert (check.attack, check.auc, check.reason) == ("plain", auroc(scores, new, groups), "")
    assert check.auc.value == pytest.approx(roc_auc_score(new, scores), abs=1e-9)
    assert check.auc.low < 0.5 < check.auc.high
    assert report.validity.adjusted[0].raw == auroc(scores, labels, groups)
    assert report.validity.adjusted[0].raw.low > 0.6


def test_two_halves_of_the_second_side_hold_the_plain_auc(doubted):
    report, _, scores, labels, groups = doubted
    mine = torch.arange(int((~labels).sum())) if groups is None else groups[~labels]
    names = mine.unique()
    half = torch.zeros(len(names), dtype=torch.bool)
    half[np.random.default_rng(SEED).permutation(len(names))] = torch.arange(len(names)) % 2 == 1
    dealt = half[torch.searchsorted(names, mine)]
    check = check_of(report, "halves")
    expected = auroc(scores[~labels], dealt, None if groups is None else mine)
    assert (check.attack, check.auc, check.reason) == ("plain", expected, "")
    assert check.auc.value == pytest.approx(roc_auc_score(dealt, scores[~labels]), abs=1e-9)
    assert check.auc.n == int((~labels).sum())


@pytest.mark.parametrize(
    ("first", "second", "enough"), [(FEW, 2 * FEW, True), (FEW - 1, 2 * FEW, False), (FEW, 2 * FEW - 1, False)]
)
def test_with_fewer_than_twenty_a_side_there_is_a_reason_instead(cache, tmp_path, first, second, enough):
    roles = LEAKAGE | {"members": Lot("0", n=first), "nonmembers": Lot("1", n=second)}
    checks = audit(cache, tmp_path, roles=roles).validity.checks
    assert [check.kind for check in checks] == ["shuffled labels", "halves"]
    assert {check.auc is not None for check in checks} == {enough}
    assert {check.reason for check in checks} == {"" if enough else "fewer than 20 pairs a side"}


def test_beside_the_best_blind_baseline_on_the_half_it_never_saw(doubted):
    report, doubt, scores, labels, groups = doubted
    b, said = torch.from_numpy(doubt.blind.b), {one.kind: one.auc for one in report.validity.baselines if one.auc}
    assert len(said) == 4  # no pair has an address
    best = max(said, key=lambda kind: said[kind].value)
    (blind,) = (torch.from_numpy(one.scores) for one in doubt.blind.baselines if one.kind == best)
    found, truth, mine = report.validity.adjusted[0].versus_blind, labels[b], None if groups is None else groups[b]
    assert found == auroc_difference(scores[b], blind, truth, mine)
    assert found.value == pytest.approx(roc_auc_score(truth, scores[b]) - said[best].value, abs=1e-9)
    assert found.value != pytest.approx(roc_auc_score(labels, scores) - said[best].value, abs=1e-9)  # all pairs
    assert len({one.value for one in said.values()}) > 1
    assert found.n == len(b) == len(labels) - len(doubt.blind.a)
    assert not set(b.tolist()) & set(doubt.blind.a.tolist())
    assert groups is None or not set(groups[b].tolist()) & set(groups[doubt.blind.a].tolist())


def test_the_comparison_with_the_blind_is_paired(doubted):
    """Two scores of other pairs of the same side have the same AUCs, and another interval."""
    report, doubt, scores, labels, groups = doubted
    b = torch.from_numpy(doubt.blind.b)
    one = max((one for one in doubt.blind.baselines if one.auroc), key=lambda one: one.auroc.value)
    blind, truth = torch.from_numpy(one.scores).clone(), labels[b]
    for side in (truth, ~truth):
        blind[side] = blind[side].flip(0)
    other = auroc_difference(scores[b], blind, truth, None if groups is None else groups[b])
    found = report.validity.adjusted[0].versus_blind
    assert found.value == pytest.approx(other.value, abs=1e-12)
    assert abs(found.low - other.low) > 1e-3


def p_of(report):
    return {one.attack: one.p for one in report.validity.adjusted}


def test_a_p_value_pays_for_the_attacks_beside_it(cache, tmp_path):
    """Some settings of one attack, all tried on the same pairs: the best of them is high by luck more often than one."""
    alone = p_of(audit(cache, tmp_path, leak=0.1))["plain"]
    few = p_of(audit(cache, tmp_path, [Plain(), Tilted(0.5)], leak=0.1))
    many = p_of(audit(cache, tmp_path, [*(Tilted(lam) for lam in (0.5, 0.02, 0.1, 2.0)), Plain()], leak=0.1))
    assert list(many) == ["tilted", "tilted#2", "tilted#3", "tilted#4", "plain"]
    assert 1 / 2001 < alone < few["plain"] < many["plain"] < 1
    assert few["tilted"] <= many["tilted"]


def test_copies_of_one_attack_cost_nothing(cache, tmp_path):
    alone = p_of(audit(cache, tmp_path, leak=0.1))["plain"]
    copies = p_of(audit(cache, tmp_path, [Plain(), *map(Stretched, (0.5, 2.0, 3.0))], leak=0.1))
    assert copies == dict.fromkeys(["plain", "stretched", "stretched#2", "stretched#3"], alone)


@pytest.mark.parametrize(("leak", "word"), [(0.0, "evidence"), (0.7, "void")])
def test_a_placebo_that_fires_ends_the_audit_in_void(cache, tmp_path, leak, word):
    report = audit(cache, tmp_path, placebo=[Seen(leak, seed=9)])
    verdict = report.verdict
    assert (verdict.word, verdict.question) == (word, "leakage")
    said = "matrices cannot remember these pairs, yet plain tells the two sets apart there too"
    assert any(reason.startswith(said) for reason in verdict.reasons) == (word == "void")
    assert (verdict.sentence == "The two sets cannot be compared") == (word == "void")
    assert read_report(tmp_path / "report.json").verdict.word == word


@pytest.mark.parametrize(
    ("leak", "word", "sentence"),
    [(0.7, "evidence", "Supports use, but is no proof"), (0.0, "underpowered", "Too few pairs to tell")],
)
def test_an_audit_of_suspects_ends_with_a_verdict_on_use(cache, tmp_path, leak, word, sentence):
    report = audit(cache, tmp_path, roles=USE, leak=leak)
    verdict = report.verdict
    assert (report.question, verdict.question, verdict.word, verdict.sentence) == ("use", "use", word, sentence)
    assert verdict.regime == "post hoc"
    assert read_report(tmp_path / "report.json").verdict.question == "use"
