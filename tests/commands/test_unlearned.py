"""`lmia unlearned`, as typed: retrained without the forget set, untouched, pushed past it, and too few to tell.

Then with models in the place of finished audits: what is made, what is refused before a model runs, what was to be kept.
"""

import pytest

import players
from lmia import evidence
from lmia.commands import series
from lmia.commands.unlearned import ABOUT, LIMITS, SEVERAL, main
from lmia.errors import LmiaError
from lmia_csa import CSA
from test_audit import audit
from twice import TWICE, plain
from worlds import Matrices, Noise

N = 800


def roles(n=N):
    return {"members": Noise(0, n), "nonmembers": Noise(2000, 2000 + n), "known_nonmembers": Noise(4000, 4100),
            "pool": Noise(5000, 5030)}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The forget set is the pairs 0 to 800: in the training data, not in it, or pushed away by as much."""
    folder = tmp_path_factory.mktemp("runs")
    for out, target in {
        "before": Matrices(f"0:{N}", leak=0.7),
        "retrained": Matrices("0:0"),
        "pushed": Matrices(f"0:{N}", leak=-0.7),
        "other": Matrices("0:0", seed=1),
    }.items():
        audit(folder, [CSA()], roles=roles(), target=target, out=out)
    audit(folder, [CSA()], roles=roles(), target=Matrices("0:20", leak=3.0), out="twenty", fpr=[0.02])
    audit(folder, [CSA()], roles=roles(60), target=Matrices(f"0:{N}", leak=0.7), out="few-before")
    audit(folder, [CSA()], roles=roles(60), target=Matrices("0:0"), out="few-after")
    audit(folder, [CSA()], roles=TWICE, target=Matrices("0:200", leak=0.7), out="twice-before")
    audit(folder, [CSA()], roles=TWICE, target=Matrices("0:0"), out="twice-after")
    return folder


def answer(capsys, runs, before, after, *more):
    assert main(["--before", str(runs / before), "--after", str(runs / after), *more]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ("before", "retrained", "indistinguishable: to the attack 'csa'"),
        ("before", "before", "still detectable: to the attack 'csa'"),
        ("before", "pushed", "over-forgotten: to the attack 'csa'"),
        ("few-before", "few-after", "cannot tell: to the attack 'csa'"),
        ("other", "retrained", "cannot tell: to the attack 'csa'"),
    ],
)
def test_each_truth_gets_its_answer(capsys, runs, before, after, outcome):
    shown = answer(capsys, runs, before, after)
    assert shown.startswith(outcome)
    assert LIMITS in shown
    assert "TPR@1 %" in shown or "few" in before
    assert ("are of the same model" in shown) == (before == after)


def test_an_attack_that_saw_nothing_before_is_said_to_show_nothing(capsys, runs):
    assert "its silence shows nothing" in answer(capsys, runs, "other", "retrained")


def test_a_few_pairs_that_an_auc_hides_are_told(capsys, runs):
    """Twenty of 800 are remembered well: the AUC is within the margin, the TPR at a low FPR is not chance."""
    shown = answer(capsys, runs, "before", "twenty")
    assert shown.startswith("indistinguishable")
    assert "Yet at an FPR of 2 % the attack finds" in shown
    assert "more than chance: some of its pairs may still be remembered" in shown
    assert "Yet at" not in answer(capsys, runs, "before", "retrained")


def test_a_clean_model_can_be_the_standard(capsys, runs):
    shown = answer(capsys, runs, "before", "retrained", "--clean", str(runs / "other"))
    assert shown.startswith(("indistinguishable", "cannot tell"))
    assert "AUC - clean" in shown
    assert "(90 % interval)" in shown
    assert answer(capsys, runs, "before", "retrained", "--clean", str(runs / "retrained")).startswith("indisting")
    assert answer(capsys, runs, "before", "before", "--clean", str(runs / "other")).startswith("still detectable")


def test_a_margin_too_narrow_for_the_data_cannot_tell(capsys, runs):
    assert answer(capsys, runs, "before", "retrained", "--margin", "0.001").startswith("cannot tell")


def test_duplicates_count_as_one_in_what_the_answer_rests_on(capsys, runs):
    before, labels, groups = plain(runs / "twice-before")
    after = plain(runs / "twice-after")[0]
    together, alone = (evidence.forgetting(before, after, labels, groups=some) for some in (groups, None))
    shown = answer(capsys, runs, "twice-before", "twice-after")
    assert shown.startswith(f"{together.outcome}: ")
    for ours, other in ((together.before, alone.before), (together.after, alone.after)):
        assert f"[{ours.low:+.3f}, {ours.high:+.3f}]" in shown
        assert ours.high - ours.low > 1.3 * (other.high - other.low)
    assert "independent" not in shown


@pytest.mark.parametrize("margin", ["0", "-0.1", "0.5", "nan", "inf"])
def test_a_margin_that_is_none_is_refused(runs, margin):
    with pytest.raises(LmiaError, match="is no margin"):
        main(["--before", str(runs / "before"), "--after", str(runs / "before"), f"--margin={margin}"])


def test_runs_of_other_rows_are_refused(runs):
    with pytest.raises(LmiaError, match="different rows"):
        main(["--before", str(runs / "before"), "--after", str(runs / "few-after")])


def test_an_attack_that_did_not_run_is_refused(runs):
    with pytest.raises(LmiaError, match="no attack 'wsa'"):
        main(["--before", str(runs / "before"), "--after", str(runs / "before"), "--attack", "wsa"])


@pytest.mark.parametrize("given", [[], ["--before", "x"], ["--before", "x", "--after", "y", "--margin", "wide"]])
def test_wrong_words_are_told(given):
    with pytest.raises(LmiaError, match="lmia unlearned"):
        main(given)


@pytest.fixture
def world(monkeypatch, tmp_path):
    players.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def models(capsys, *more, before="toy:0:200", after="toy:0:0", forget="noise:0:100", heldout="noise:400:500"):
    assert main(["--before", before, "--after", after, "--forget", forget, "--heldout", heldout, *more]) == 0
    return " ".join(capsys.readouterr().out.split())


def refused(*more, **given):
    words = {"before": "toy:0:200", "after": "toy:0:0", "forget": "noise:0:100", "heldout": "noise:400:500"} | given
    with pytest.raises(LmiaError) as told:
        main([word for name, value in words.items() for word in (f"--{name}", value)] + list(more))
    assert str(told.value).count("\n") == 1
    return str(told.value)


def test_models_are_audited_here_as_by_hand(capsys, world):
    """The same scores, to the byte, and so the same answer as from audits that were made one by one."""
    shown = models(capsys, "--clean", "toy:0:1")
    by_hand = {"members": Noise(0, 100), "nonmembers": Noise(400, 500)}
    for name, members in {"before": "0:200", "after": "0:0", "clean": "0:1"}.items():
        audit(world, [CSA()], roles=by_hand, target=players.Toy(members), out=name)
        made, mine = (world / place / name / "scores.parquet" for place in ("lmia-unlearned", "."))
        assert made.read_bytes() == mine.read_bytes(), name
    assert {path.name for path in (world / "lmia-unlearned").iterdir()} == {"before", "after", "clean"}
    finished = answer(capsys, world, "before", "after", "--clean", str(world / "clean"))
    assert "AUC - clean" in finished
    assert shown == f"{finished} Reports: lmia-unlearned/before, lmia-unlearned/after, lmia-unlearned/clean"


@pytest.mark.parametrize(
    ("after", "word", "broken"), [("toy:100:200", "kept", False), ("toy:0:0", "lost, at least in part", True)]
)
def test_it_is_said_whether_pairs_to_be_kept_were_lost_as_well(capsys, world, after, word, broken):
    shown = models(capsys, "--retain", "noise:100:200", "--out", "here", after=after)
    assert f"The pairs to be kept: {word}, as far as the attack 'csa' shows." in shown
    assert ("has not unlearned but broken" in shown) == broken
    made = {path.name for path in (world / "here").iterdir()}
    assert made == {"before", "after", "before-retain", "after-retain"}
    before, labels, _ = plain(world / "here" / "before-retain")
    found = evidence.auroc_difference(plain(world / "here" / "after-retain")[0], before, labels, confidence=0.9)
    assert f"a difference of {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}] (90 % intervals)" in shown
    assert f"Their AUC was {evidence.auroc(before, labels, confidence=0.9)} before" in shown
    assert labels.sum() == 80  # a pool of a fifth is cut off


def test_an_attack_that_never_saw_what_was_to_be_kept_is_said_to_show_nothing(capsys, world):
    shown = models(capsys, "--retain", "noise:200:300", before="toy:0:100")
    assert "The pairs to be kept: cannot tell" in shown
    assert "did not clearly see these pairs before" in shown


def test_several_attacks_give_an_answer_each(capsys, world):
    shown = models(capsys, "--attack", "both", "--attack", "csa")
    for name in ("both:one", "both:two", "csa"):
        assert f": to the attack '{name}', " in shown
    assert shown.count("AUC - 0.5") == 3
    assert SEVERAL in shown
    places = [str(world / "lmia-unlearned" / name) for name in ("before", "after")]
    main(["--before", places[0], "--after", places[1], "--attack", "both:two"])
    again = " ".join(capsys.readouterr().out.split())
    assert again.partition("An answer is")[0] in shown
    assert SEVERAL not in again


def test_an_attack_that_compares_views_gets_those_of_an_audit(capsys, world):
    from lmia.report.archive import read_report
    from lmia.request import request

    models(capsys, "--attack", "compares", forget="noise:0:40", heldout="noise:400:440")
    report = read_report(world / "lmia-unlearned" / "before" / "report.json")
    words = ["--plugin", "compares", "--model", "toy:0:1", "--members", "noise:0:1", "--nonmembers", "noise:2:3"]
    assert report.config["model"]["views"]["class_path"] == request(words)["model"]["views"]["class_path"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"heldout": "noise:90:190"}, "10 of 100 pairs of --forget are also in --heldout, such as 'noise/90'."),
        ({"retain": "noise:99:199"}, "1 of 100 pairs of --forget are also in --retain, such as 'noise/99'."),
        ({"retain": "noise:450:550"}, "50 of 100 pairs of --retain are also in --heldout, such as 'noise/450'."),
        ({"attack": "nobody"}, "No attack is called 'nobody'."),
        ({"attack": "semisupervised"}, "learns from known members, which are not given here"),
        ({"clean": "nowhere"}, "No target can read 'nowhere'."),
        ({"retain": "nowhere.xyz"}, "No source can read 'nowhere.xyz'."),
        ({"margin": "0.7"}, "--margin 0.7 is no margin"),
        ({"out": "file"}, "The folder file/before cannot be written"),
        ({"retain": "noise:5:5"}, "No pair of retain"),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_runs(world, monkeypatch, given, said):
    monkeypatch.setattr(series, "run_audit", None)
    (world / "file").write_text("")
    assert said in refused(**given)
    assert list(world.iterdir()) == [world / "file"]


def test_the_same_attack_twice_is_refused(world, monkeypatch):
    monkeypatch.setattr(series, "run_audit", None)
    assert "is asked for twice" in refused("--attack", "csa", "--attack", "csa")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--forget", "a"], "--forget is given without --heldout"),
        (["--heldout", "a"], "--heldout is given without --forget"),
        (["--retain", "a"], "--retain is given without --forget"),
        (["--out", "a"], "--out is given without --forget"),
        (["--cache", "a"], "--cache is given without --forget"),
        (["--forget", "a", "--retain", "b"], "--forget is given without --heldout"),
        (["--heldout", "a", "--retain", "b"], "--heldout is given without --forget"),
    ],
)
def test_options_of_audits_that_are_yet_to_be_made_go_together(runs, more, said):
    with pytest.raises(LmiaError, match=said) as told:
        main(["--before", str(runs / "before"), "--after", str(runs / "before"), *more])
    assert str(told.value).count("\n") == 1


def test_a_model_without_pairs_is_told_what_is_missing(runs):
    with pytest.raises(LmiaError, match="There is no finished audit 'ViT-B-32,openai'") as told:
        main(["--before", "ViT-B-32,openai", "--after", str(runs / "before")])
    assert "add the pairs: --forget SPEC and --heldout SPEC" in told.value.remedy


def test_features_are_kept_where_it_is_asked(capsys, world):
    models(capsys, "--cache", "kept", forget="noise:0:40", heldout="noise:400:440")
    assert (world / "kept").is_dir()


def test_help_says_both_ways(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert ABOUT in shown
    assert "--before local-dir:original --after local-dir:unlearned \\\n       --forget forget.csv" in ABOUT
    assert "lmia unlearned --before before --after after\n" in ABOUT
