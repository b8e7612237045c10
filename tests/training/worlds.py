"""Small trainings for tests: seconds on one core."""

from lightning.pytorch import Trainer

from lmia.specs import build, defence_config, source, target_config
from lmia.training import FitData, Learner, Plan, run_fit
from lmia.training.run import TRAINER_DEFAULTS


def target(seed=0, **options):
    config = target_config("demo,random")
    return build("target", {**config, "init_args": {**config["init_args"], "seed": seed, **options}})


def defence(name, **options):
    return build("defence", {**defence_config(name), "init_args": options})


def trainer(**options):
    return Trainer(**{**TRAINER_DEFAULTS, "enable_progress_bar": False, "accelerator": "cpu", **options})


def fit(out, spec="emoji:0:120", *, seed=0, plan=None, defences=(), trainer_options=None, **data):
    """Train the demo's architecture on a few scenes."""
    data = FitData(source(spec), **{"batch": 16, **data})
    learner = Learner(target(seed), plan or Plan(epochs=2, watched=50), list(defences))
    return run_fit(learner, data, out, seed, trainer(**(trainer_options or {})), trainer_options)
