import copy
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.model.manifest import Feature, Task
from stages.params import Train
from stages.schema import Schema, model_frame
from stages.tracking import Tracking
from stages.train import log_threshold
from stages.training import validation
from stages.training.experiment import start
from stages.training.logger import PyCaretLogger
from stages.training.repairs import anonymous
from stages.training.search import Result, search
from stages.training.steps.study import Journal
from stages.training.threads import cluster, one_thread
from tests.conftest import params_with

pytestmark = [
    # PyCaret and the libraries that it pins, on Python 3.11
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]


def train_params(task: Task, **changes: Any) -> Train:
    cheap = {"models": ["dt", "ridge"], "folds": 2, "n_jobs": 1, "blend": 0}
    if task == "classification":
        cheap |= {"models": ["dt", "lr"], "sort": "Accuracy"}
    changes = {f"train.{key.replace('__', '.')}": value for key, value in (cheap | changes).items()}
    return params_with({"base.task": task, **changes}).train


def fitted(task: Task, unit: float = 1.0, **changes: Any) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """The candidate's pipeline, the leaderboard, and rows to ask about."""
    result, rows = searched(task, unit, **changes)
    return result.pipeline, result.leaderboard, rows


def searched(
    task: Task, unit: float = 1.0, journal: Journal | None = None, **changes: Any
) -> tuple[Result, pd.DataFrame]:
    """What a search in a small table comes to, and rows to ask about."""
    params = train_params(task, **changes)
    with one_thread():
        experiment, rows = set_up(task, unit, **changes)
        with cluster(params.parallel):
            return search(experiment, params, journal), rows


def set_up(task: Task, unit: float = 1.0, **changes: Any) -> tuple[Any, pd.DataFrame]:
    """PyCaret's experiment with a small table, and rows to ask about."""
    generator = np.random.default_rng(0)
    rows = pd.DataFrame({"a": generator.normal(size=120), "b": generator.normal(size=120)})
    rows["y"] = (3 * rows["a"] + rows["b"] ** 2) * unit
    classes: tuple[str, ...] = ()
    if task == "classification":
        classes = ("high", "low")
        rows["y"] = np.where(rows["y"] > 1, "high", "low")
    schema = Schema(
        task=task,
        target="y",
        classes=classes,
        features=(Feature(name="a", kind="number"), Feature(name="b", kind="number")),
        strategy="random",
        data_md5="0.dir",
    )
    params = train_params(task, **changes)
    experiment = start(rows[:100], rows[100:], schema, params, seed=1, logger=None)
    return experiment, model_frame(rows[100:], schema)


@pytest.mark.parametrize(
    ("task", "changes", "steps"),
    [
        ("regression", {"blend": 2}, ["blend"]),
        ("regression", {"blend": "greedy"}, ["blend"]),
        ("regression", {"stack": 2}, ["stack"]),
        ("regression", {"ensemble": "bagging"}, ["bagging"]),
        ("regression", {"tune__iterations": 2, "tune__library": "random"}, ["tune"]),
        ("regression", {"tune__iterations": 2, "tune__library": "optuna"}, ["tune"]),
        ("classification", {"blend": "greedy", "sort": "AUC"}, ["blend"]),
        ("classification", {"calibrate": "sigmoid"}, ["calibrate"]),
        ("classification", {"blend": 2, "threshold": True}, ["blend", "threshold"]),
        pytest.param(
            "classification",
            {"ensemble": "bagging", "stack": 2, "threshold": True},
            ["bagging", "stack", "threshold"],
            marks=pytest.mark.long,
        ),
    ],
)
def test_each_choice_is_a_step_and_the_best_of_all_is_the_candidate(
    task: Task, changes: dict[str, Any], steps: list[str]
) -> None:
    result, rows = searched(task, **changes)
    board = result.leaderboard
    assert sorted(board["step"]) == sorted(["compare", "compare", *steps])
    assert len(result.pipeline.predict(rows)) == len(rows)
    best = board.iloc[0]
    assert best["candidate"].startswith("yes: best")
    made_by = {"blend": "Voting", "stack": "Stacking", "bagging": "Bagging", "compare": ""}
    name = type(result.pipeline.steps[-1][1]).__name__
    assert name.startswith(made_by.get(best["step"], ""))
    for metric, value in result.trial.scores.loc["Mean"].to_dict().items():
        assert best[str(metric)] == value


def test_a_step_that_makes_it_worse_does_not_make_the_candidate() -> None:
    pipeline, board, _ = fitted("regression", models=["ridge", "dt", "dummy"], blend=3)
    assert board["step"].tolist()[0] == "compare"
    assert type(pipeline.steps[-1][1]).__name__ == "DecisionTreeRegressor"
    reason = board["candidate"][board["step"] == "blend"].item()
    assert re.match(r"no: \d+ % worse", reason)


def test_the_answers_of_a_blend_are_those_of_voting(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in ("regression", "classification"):
        quick, _ = searched(task, blend=2)
        with monkeypatch.context() as patched:
            patched.setattr("stages.training.validation.is_mean", lambda estimator: False)
            fits, _ = searched(task, blend=2)
        pd.testing.assert_frame_equal(quick.leaderboard, fits.leaderboard, check_exact=True)


def test_a_threshold_changes_nothing_but_the_labels() -> None:
    plain, board, rows = fitted("classification", models=["rf"])
    pipeline, searched, _ = fitted("classification", models=["rf"], threshold=True)
    np.testing.assert_array_equal(pipeline.predict_proba(rows), plain.predict_proba(rows))
    assert searched.set_index("step")["AUC"]["threshold"] == board["AUC"][0]
    assert searched["Accuracy"].idxmax() == searched["step"].tolist().index("threshold")


def test_the_search_for_a_threshold_is_a_nested_run(
    mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    result, _ = searched("classification", models=["lr"], threshold=True)
    assert result.threshold is not None
    tracking = Tracking("threshold")
    parent = tracking.start("train", {})
    log_threshold(PyCaretLogger(tracking, parent), result.threshold)
    (run,) = tracking.client.search_runs(
        [tracking.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'"
    )
    assert run.data.tags["step"] == "optimize_threshold"
    assert run.info.status == "FINISHED"
    chosen = result.threshold.estimator.probability_threshold
    assert float(run.data.params["probability_threshold"]) == chosen
    row = result.leaderboard.set_index("step").loc["threshold"]
    assert run.data.metrics["folds/Accuracy"] == row["Accuracy"]


def test_an_estimator_takes_hyperparameters_of_ones_own() -> None:
    pipeline, board, _ = fitted("regression", models=[{"dt": {"max_depth": 2}}])
    assert board["estimator"].tolist() == ["dt"]
    assert pipeline.steps[-1][1].get_depth() == 2


@pytest.mark.parametrize(
    "model", [{"ridge": {"alpha": 1e6}}, {"lightgbm": {"n_estimators": 1, "verbose": -1}}]
)
def test_the_row_of_a_search_tells_of_the_estimator_that_it_found(
    model: dict[str, dict[str, Any]],
) -> None:
    pipeline, board, _ = fitted("regression", models=[model], tune__iterations=5)
    assert board["step"].tolist() == ["tune", "compare"]
    assert board["RMSE"][0] < 0.9 * board["RMSE"][1]
    chosen = pipeline.steps[-1][1].get_params()
    assert chosen["alpha" if "ridge" in model else "n_estimators"] not in {1e6, 1}


@pytest.mark.parametrize("library", ["random", "optuna"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_catboost_can_be_searched(task: Task, library: str) -> None:
    model = {"catboost": {"n_estimators": 1}}
    options: dict[str, Any] = {"tune__iterations": 5, "tune__library": library}
    pipeline, board, rows = fitted(task, models=[model], **options)
    assert board["step"].tolist() == ["tune", "compare"]
    assert pipeline.steps[-1][1].get_params()["n_estimators"] > 1
    assert len(pipeline.predict(rows)) == len(rows)


def test_a_hyperparameter_that_the_search_knows_by_another_name_is_refused() -> None:
    model = {"catboost": {"iterations": 1}}
    message = "train.tune: only one of .*iterations.* The search says .*n_estimators.* use these"
    with pytest.raises(ValueError, match=message):
        fitted("regression", models=[model], tune__iterations=1, tune__library="random")


def test_the_leaderboard_is_best_first() -> None:
    _, board, _ = fitted("regression")
    assert board["RMSE"].is_monotonic_increasing
    _, board, _ = fitted("classification")
    assert board["Accuracy"].is_monotonic_decreasing


def test_the_smallest_targets_have_a_best_estimator_too() -> None:
    pipeline, board, _ = fitted("regression", unit=1e-9, models=["dummy", "ridge"])
    assert board["estimator"].tolist() == ["ridge", "dummy"]
    assert 0 < board["RMSE"][0] < board["RMSE"][1] < 1e-8
    assert type(pipeline.steps[-1][1]).__name__ == "Ridge"


# PyCaret's, where a fold or an estimator has no AUC
no_auc = pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")


def by_groups(journal: Journal | None = None, **changes: Any) -> tuple[Any, pd.DataFrame]:
    """The experiment and the leaderboard of three labels, one of which some groups lack."""
    generator = np.random.default_rng(0)
    rows = pd.DataFrame({"a": generator.normal(size=240), "g": np.repeat(np.arange(12), 20)})
    rows["y"] = pd.cut(rows["a"], [-np.inf, -0.5, 0.5, np.inf], labels=["x", "y", "z"]).astype(str)
    rows.loc[(rows["g"] % 4 == 0) & (rows["y"] == "z"), "y"] = "y"
    schema = Schema(
        task="classification",
        target="y",
        classes=("x", "y", "z"),
        features=(Feature(name="a", kind="number"),),
        strategy="group",
        split_column="g",
        data_md5="0.dir",
    )
    params = train_params("classification", folds=10, **changes)
    with one_thread():
        experiment = start(rows[:200], rows[200:], schema, params, seed=1, logger=None)
        return experiment, search(experiment, params, journal).leaderboard


@no_auc
def test_folds_without_a_label_are_scored_as_those_of_many_classes() -> None:
    experiment, board = by_groups(models=["dt", "lr"], sort="AUC")
    tree, linear = (entry["scores"] for entry in experiment._master_model_container[:2])
    assert tree["AUC"].isna().sum() == linear["AUC"].isna().sum() == 3  # groups 0, 4 and 8
    for scores in (tree, linear):
        folds = scores.drop(["Mean", "Std"])
        assert scores.loc["Mean", "AUC"] == folds["AUC"].mean() > 0.8
        assert folds["F1"].notna().all()
        # Weighted by the labels' rows, recall is accuracy; of the second label alone it is not
        np.testing.assert_allclose(folds["Recall"], folds["Accuracy"])
    assert board["AUC"].tolist() == sorted(board["AUC"], reverse=True)


@no_auc
def test_an_auc_that_cannot_be_measured_does_not_rank() -> None:
    with pytest.raises(ValueError, match=r"train\.sort: ridge has no mean AUC over the folds"):
        by_groups(models=["ridge", "dt"], sort="AUC")
    _, board = by_groups(models=["ridge", "dt"], sort="Accuracy")
    assert board.set_index("estimator")["AUC"].isna().to_dict() == {"ridge": True, "dt": False}


@no_auc
def test_the_log_loss_of_many_labels_ranks_what_gives_probabilities_for_them() -> None:
    experiment, board = by_groups(models=["dt", "lr"], sort="Log loss")
    assert board["estimator"].tolist() == ["lr", "dt"]
    linear = experiment._master_model_container[1]["scores"]["Log loss"]
    assert linear.isna().sum() == 3  # groups 0, 4 and 8 lack a label
    assert 0 < board["Log loss"][0] < np.log(3) < board["Log loss"][1]
    assert "Brier" not in board


def test_what_gives_no_probabilities_has_no_log_loss_instead_of_the_best() -> None:
    _, board, _ = fitted("classification", models=["ridge", "lr"], sort="Accuracy")
    losses = board.set_index("estimator")[["Log loss", "Brier"]]
    assert losses.loc["ridge"].isna().all()
    assert losses.loc["lr"].between(0, 1, inclusive="neither").all()
    with pytest.raises(ValueError, match=r"train\.sort: ridge has no mean Brier over the folds"):
        fitted("classification", models=["ridge", "lr"], sort="Brier")


@pytest.mark.parametrize("sort", ["RMSE", "R2"])
def test_a_blend_is_of_those_with_the_best_folds(sort: str) -> None:
    # Of two folds, the tree alone is better than the blend
    models = ["dummy", "dt", "ridge"]
    pipeline, _, _ = fitted("regression", models=models, blend=2, folds=3, sort=sort)
    members = {type(estimator).__name__ for estimator in pipeline.steps[-1][1].estimators_}
    assert members == {"DecisionTreeRegressor", "Ridge"}


def test_an_estimator_finds_each_row_in_one_piece_of_memory() -> None:
    pipeline, _, rows = fitted("regression", models=["knn"])
    for _, step in pipeline.steps[:-1]:
        rows = step.transform(rows)
    assert rows.columns.tolist() == ["a", "b"]
    assert rows.to_numpy().flags.c_contiguous


def test_the_same_seed_gives_the_same_predictions() -> None:
    one, two = (fitted("regression", blend=2) for _ in range(2))
    np.testing.assert_array_equal(one[0].predict(one[2]), two[0].predict(two[2]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ["lightgbn"]}, r"train.models: there is no 'lightgbn'"),
        ({"models": [{"dt": {"dept": 2}}]}, "train.models: dt: .*'dept'"),
        ({"sort": "rmse"}, "train.sort: PyCaret has no 'rmse'. It has .*'RMSE'"),
    ],
)
def test_a_name_that_pycaret_does_not_know_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fitted("regression", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ["knn"], "ensemble": "boosting"}, "Boosting"),
        ({"models": ["ridge"], "threshold": True}, "predict_proba"),
    ],
)
def test_what_an_estimator_cannot_do_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        fitted("classification", **changes)


def test_a_pickle_does_not_tell_which_python_wrote_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, _, rows = fitted("regression")
    pipeline = copy.deepcopy(pipeline)  # as PyCaret does
    written = []
    for version in ("3.11.0", "3.11.99"):
        monkeypatch.setattr("platform.python_version", lambda version=version: version)
        with anonymous(pipeline):
            written.append(pickle.dumps(pipeline))
    assert written[0] == written[1]
    assert pickle.dumps(pipeline) != written[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyCaret compares the libraries' versions
        opened = pickle.loads(written[0])
    np.testing.assert_array_equal(opened.predict(rows), pipeline.predict(rows))


def test_a_budget_that_ran_out_keeps_the_best_so_far_and_says_that_time_decided(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result, rows = searched("regression", budget_minutes=0.001, stack=2)
    assert 1 <= len(result.leaderboard) <= 2
    assert len(result.pipeline.predict(rows)) == len(rows)
    said = capsys.readouterr().out
    assert "train: stack     not tried: train.budget_minutes is over" in said
    assert "set train.budget_minutes to null" in said


def test_long_work_tells_how_many_folds_are_fitted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched("regression", models=["lr"], folds=3)
    assert "folds are fitted" not in capsys.readouterr().out
    monkeypatch.setattr(validation, "SILENCE_SECONDS", 0.0)
    searched("regression", models=["lr"], folds=3)
    said = capsys.readouterr().out
    assert "train: LinearRegression: 1 of 3 folds are fitted\n" in said
    assert "3 of 3 folds" not in said
