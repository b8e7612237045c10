import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lmia.evidence.auc import auroc
from lmia.evidence.positive import positives


def world(many=60, few=120, out=180, shift=2.0, seed=0, ties=False):
    """Scores, labels and repeats of members shown several times (shifted), once, and of non-members."""
    rng = np.random.default_rng(seed)
    scores = np.r_[rng.normal(shift, 1, many), rng.normal(0, 1, few), rng.normal(0, 1, out)]
    if ties:
        scores = np.round(scores)
    repeats = np.r_[rng.integers(2, 10, many), np.ones(few, int), np.zeros(out, int)]
    labels = np.arange(len(scores)) < many + few
    order = rng.permutation(len(scores))
    return torch.from_numpy(scores[order]), torch.from_numpy(labels[order]), torch.from_numpy(repeats[order])


def sklearns(scores, labels, mine):
    keep = mine | ~labels.numpy()
    return roc_auc_score(labels.numpy()[keep], scores.numpy()[keep])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_both_areas_are_sklearns_on_the_same_rows(seed, ties):
    scores, labels, repeats = world(seed=seed, shift=0.7, ties=ties)
    found = positives({"csa": scores, "other": -scores}, labels, repeats, None)
    many = (repeats > 1).numpy()
    for one, sign in zip(found.attacks, (1, -1), strict=True):
        assert one.repeated.value == pytest.approx(sklearns(sign * scores, labels, many), abs=1e-12)
        assert one.rest.value == pytest.approx(sklearns(sign * scores, labels, labels.numpy() & ~many), abs=1e-12)
        assert one.repeated.low < one.repeated.value < one.repeated.high
    assert [one.attack for one in found.attacks] == ["csa", "other"]
    assert (found.members, found.rest) == (int(many.sum()), int((labels.numpy() & ~many).sum()))
    assert found.times == np.median(repeats.numpy()[many])
    assert found.best() is found.attacks[0]


def test_intervals_are_those_of_the_rows_alone_and_of_whole_groups():
    scores, labels, repeats = world()
    groups = torch.arange(len(scores)) // 2
    keep = (repeats > 1) | ~labels
    found = positives({"csa": scores}, labels, repeats, groups)
    assert found.attacks[0].repeated == auroc(scores[keep], labels[keep], groups[keep])
    assert positives({"csa": scores}, labels, repeats, None, 0.9).attacks[0].repeated.confidence == 0.9


def test_what_a_non_member_is_said_to_have_been_shown_is_not_looked_at():
    scores, labels, repeats = world()
    assert positives({"csa": scores}, labels, torch.where(labels, repeats, 99), None) == positives(
        {"csa": scores}, labels, repeats, None
    )


def test_a_strong_control_is_seen_and_none_is_not():
    assert positives({"csa": world(shift=2)[0]}, *world(shift=2)[1:], None).seen
    assert not positives({"csa": world(shift=0)[0]}, *world(shift=0)[1:], None).seen
    assert not positives({"csa": world(shift=-2)[0]}, *world(shift=-2)[1:], None).seen


def test_the_best_of_many_attacks_must_lie_further_up():
    """One interval that lies just above 0.5 is no sight once a hundred attacks were tried."""
    for seed in range(40):
        scores, labels, repeats = world(shift=0.35, seed=seed)
        alone = positives({"csa": scores}, labels, repeats, None)
        among = positives({"csa": scores} | {f"{i}": -scores for i in range(99)}, labels, repeats, None)
        assert alone.seen == (alone.attacks[0].repeated.low > 0.5)
        assert not (among.seen and not alone.seen)
        if alone.seen and not among.seen:
            return
    pytest.fail("the correction changed nothing in forty worlds")


def test_no_repeated_member():
    scores, labels, _ = world()
    found = positives({"csa": scores}, labels, labels.int(), None)
    assert (found.members, found.rest, found.times, found.seen, found.best()) == (0, 180, None, False, None)
    assert found.attacks[0].repeated is None
    assert found.attacks[0].rest.value == pytest.approx(roc_auc_score(labels, scores))


def test_one_repeated_member_is_judged_and_proves_nothing():
    scores, labels, _ = world(shift=0)
    top = int(torch.where(labels, scores, -torch.inf).argmax())
    repeats = labels.int()
    repeats[top] = 8
    found = positives({"csa": scores}, labels, repeats, None)
    assert (found.members, found.rest, found.times) == (1, 179, 8.0)
    assert found.attacks[0].repeated.value == pytest.approx(sklearns(scores, labels, (repeats > 1).numpy()))
    assert not found.seen


def test_all_members_repeated():
    scores, labels, _ = world()
    found = positives({"csa": scores}, labels, labels.int() * 3, None)
    assert (found.members, found.rest, found.attacks[0].rest) == (180, 0, None)
    assert found.attacks[0].repeated == auroc(scores, labels)


def test_one_side_alone():
    scores = torch.arange(4.0)
    found = positives({"csa": scores}, torch.ones(4).bool(), torch.full((4,), 2), None)
    assert (found.members, found.attacks[0].repeated, found.attacks[0].rest, found.seen) == (4, None, None, False)
    none = positives({"csa": scores}, torch.zeros(4).bool(), torch.zeros(4).int(), None)
    assert (none.members, none.rest, none.attacks[0].repeated) == (0, 0, None)


def test_a_score_that_is_no_number_is_an_error():
    scores, labels, repeats = world()
    scores[0] = float("nan")
    with pytest.raises(ValueError, match=r"NaN|finite"):
        positives({"csa": scores}, labels, repeats, None)
