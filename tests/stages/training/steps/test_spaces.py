from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from sklearn.base import clone

from app.model.manifest import Task
from stages.training.experiment import candidates
from stages.training.steps.spaces import SPACES, space
from tests.stages.training.test_search import set_up

pytestmark = pytest.mark.filterwarnings("ignore")  # estimators that do not converge on few rows
SETS = 3


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_every_estimator_takes_the_sets_of_its_space(task: Task) -> None:
    experiment, _ = set_up(task)
    rows, targets = experiment.X_train_transformed, experiment.y_train_transformed
    refused = []
    for candidate in candidates(experiment, list(experiment._all_models)):
        kind, estimator = candidate.kind, candidate.estimator
        values: dict[str, BaseDistribution] = {}
        values |= space(experiment, kind, estimator, rows.shape[1])
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(sampler=sampler)
        for _ in range(SETS):
            chosen = study.ask(values).params
            try:
                clone(estimator).set_params(**chosen).fit(rows, targets)
            except ValueError as error:
                refused.append(f"{kind} {chosen}: {error}")
    assert refused == []


def test_each_space_is_of_an_estimator() -> None:
    experiment, _ = set_up("regression")
    assert set(SPACES) <= set(experiment._all_models)


@pytest.mark.parametrize("kind", sorted(set(SPACES) - {"lr"}))
def test_a_space_of_our_own_is_used_whole(kind: str) -> None:
    experiment, _ = set_up("regression")
    (one,) = candidates(experiment, [kind])
    of_two_features = {"kr": {"gamma": FloatDistribution(0.025, 10.0, log=True)}}
    expected = {**SPACES[kind], **of_two_features.get(kind, {})}
    assert space(experiment, kind, one.estimator, 2) == expected


def test_what_early_stopping_finds_is_not_searched_for() -> None:
    experiment, _ = set_up("regression")

    def names(**own: Any) -> set[str]:
        (one,) = candidates(experiment, [{"lightgbm": own}])
        return set(space(experiment, "lightgbm", one.estimator, 2))

    assert names() - names(n_estimators="auto") == {"n_estimators"}
    assert names(n_estimators=20) == names()
