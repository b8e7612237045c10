"""A small study for tests, as its file would say it, and its cells."""

from copy import deepcopy

from lmia.commands.fit import request as fit_request
from lmia.request import request as audit_request
from lmia.study import grid
from lmia.study.plan import made

BASE = {
    "title": "How often?",
    "question": "How often must a pair be shown?",
    "seeds": [1, 2],
    "fit": {
        "model": {"target": "demo,random", "plan": {"epochs": 2, "save_epochs": [1], "watched": 40}},
        "data": {"source": "emoji:0:200", "batch": 50, "repeated": 10},
        "trainer": {"accelerator": "cpu"},
    },
    "audit": {"plugin": ["csa"]},
    "vary": {"repeats": {2: {"fit.data.repeats": 2}, 4: {"fit.data.repeats": 4}}},
    "measure": ["auc", "gap", "verdict"],
    "figure": {"x": "repeats", "y": "auc"},
}


def study(**changes):
    return made("mine", {**deepcopy(BASE), **changes})


def cells(**changes):
    return grid(study(**changes), fit_request, audit_request)
