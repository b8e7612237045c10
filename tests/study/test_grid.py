"""The cells of a study: the product, what overrides what, and what may not be."""

import pytest

from lmia.errors import LmiaError
from study.studies import BASE, cells

FACTORS = {
    "repeats": {2: {"fit.data.repeats": 2}, 4: {"fit.data.repeats": 4}},
    "attack form": {"csa": {}, "anchor": {"audit.plugin": ["anchor"]}},
    "epoch": {1: {"kept": 1}, 2: {}},
}


def test_the_product_in_order_seeds_last():
    found = cells(vary=FACTORS)
    names = [
        f"repeats {r}, attack form {a}, epoch {e}, seed {s}"
        for r in (2, 4)
        for a in ("csa", "anchor")
        for e in (1, 2)
        for s in (1, 2)
    ]
    assert [cell.name for cell in found] == names
    assert len({cell.key for cell in found}) == len({cell.folder for cell in found}) == 16


def test_cells_share_a_training_where_its_config_is_the_same():
    found = cells(vary=FACTORS)
    assert len({cell.training.key for cell in found}) == 4  # two numbers of repeats, two seeds
    alike = {(cell.levels["repeats"], cell.seed): cell.training.key for cell in found}
    assert all(alike[cell.levels["repeats"], cell.seed] == cell.training.key for cell in found)


def test_a_level_overrides_the_base_and_nothing_else():
    two, four = (next(cell for cell in cells() if cell.levels["repeats"] == level and cell.seed == 2) for level in "24")
    assert (two.training.config["data"]["repeats"], four.training.config["data"]["repeats"]) == (2, 4)
    assert two.training.config["data"]["batch"] == four.training.config["data"]["batch"] == 50
    assert BASE["fit"]["data"] == {"source": "emoji:0:200", "batch": 50, "repeated": 10}  # the base is left alone
    assert two.audit == four.audit


def test_a_seed_draws_weights_lots_and_cuts():
    one = cells()[1]
    assert one.training.config["seed"] == one.audit["seed"] == one.seed == 2
    assert one.training.config["model"]["target"]["init_args"]["seed"] == 2


def test_the_sides_are_those_of_the_trainings_manifest_unless_named():
    both = cells()[0].audit
    assert [both["data"][role]["init_args"]["side"] for role in ("members", "nonmembers")] == ["in", "out"]
    assert both["regime"] == "one-run"
    other = cells(audit={"plugin": ["csa"], "data": {"nonmembers": "shapes:0:100"}})[0].audit
    assert other["data"]["nonmembers"]["class_path"].endswith("Shapes")
    assert other["data"]["members"]["init_args"]["side"] == "in"
    assert "regime" not in other  # that one was not drawn by lot


def test_the_digest_is_of_what_counts():
    first = cells()[0]
    renamed = cells(vary={"again": {"two": {"fit.data.repeats": 2}}}, figure={"x": "again", "y": "auc"})[0]
    assert renamed.key == first.key
    assert renamed.folder != first.folder
    assert cells(audit={"plugin": ["csa"], "fpr": [0.1]})[0].key != first.key
    assert cells(audit={"plugin": ["csa"], "fpr": [0.1]})[0].training.key == first.training.key


@pytest.mark.parametrize(
    ("vary", "problem", "remedy"),
    [
        ({"a": {"x": {"fit.data.repeats": 8}, "y": {}}}, "'a x, seed 1' and 'a y, seed 1' are the same", None),
        (
            {"a": {"x": {"fit.data.batch": 9}}, "b": {"y": {"fit.data.batch": 9}}},
            "'a' and 'b' both set 'fit.data.batch'",
            "one",
        ),
        ({"a": {"x": {"fits.data.batch": 9}}}, "'fits.data.batch', which is no part", "Did you mean 'fit'"),
        ({"a": {"x": {"fit": 9}}}, "sets 'fit', which is no part", None),
        ({"a": {"x": {"kept.x": 9}}}, "no part of a study", None),
        ({"a": {"x": {"fit.dat.batch": 9}}}, "fit has no key 'dat'", "Did you mean 'data'"),
        ({"a": {"x": {"fit.data.bach": 9}}}, "In the cell 'a x': .*no option 'bach'", "batch"),
        ({"a": {"x": {"audit.plugin": ["cas"]}}}, "In the cell 'a x': No attack is called 'cas'", "csa"),
        ({"a": {"x": {"audit.plugs": []}}}, "audit has no key 'plugs'", "Did you mean 'plugin'"),
        ({"a": {"x": {"fit.seed": 3}}}, "'seed', which a study sets itself", "Leave it out"),
        ({"a": {"x": {"kept": 3}}}, "after epoch 3, which its training does not keep", "save_epochs"),
        ({"a": {"x": {"audit.model.target": "demo"}}}, "audit names a model", "audits what it trains"),
    ],
)
def test_what_no_cell_can_be_is_two_lines(vary, problem, remedy):
    base = {**BASE["fit"], "data": {"source": "emoji:0:200", "repeated": 10, "repeats": 8}}
    with pytest.raises(LmiaError, match=problem) as error:
        cells(vary=vary, fit=base, figure={"x": "a", "y": "auc"})
    assert remedy is None or remedy in error.value.remedy


@pytest.mark.parametrize(
    ("spec", "seeds"),
    [("emoji:20000:21000?n=100&seed=2", [1, 2]), ("emoji:20000:21000?n=100", [0])],  # a sample's own seed is 0
)
def test_a_reference_draw_may_not_share_a_seed_with_the_study(spec, seeds):
    audit = {"plugin": ["csa"], "data": {"known_nonmembers": spec}}
    with pytest.raises(LmiaError, match=r"also that of audit\.data\.known_nonmembers"):
        cells(audit=audit, seeds=seeds)
    assert cells(audit=audit, seeds=[7])


def test_a_measure_at_a_rate_that_is_not_reported_is_no_empty_column():
    with pytest.raises(
        LmiaError, match=r"'tpr@0.2' is at a rate that 'repeats 2, seed 1' does not report: 0.01, 0.001"
    ):
        cells(measure=["auc", "tpr@0.2"])
    assert cells(measure=["auc", "tpr@0.01", "tpr@0.2 repeated"])
    assert cells(measure=["auc", "tpr@0.2"], audit={"plugin": ["csa"], "fpr": [0.2]})


def test_nor_may_a_reference_model():
    placebo = {"class_path": "OpenCLIP", "init_args": {"model": "ViT-B-32", "pretrained": "random", "seed": 1}}
    with pytest.raises(LmiaError, match=r"also that of audit\.placebo"):
        cells(audit={"plugin": ["csa"], "placebo": [placebo]})
