from typing import Any

import numpy as np
import pytest

from stages.evaluation.metrics import gate, score
from stages.params import Gate


def report(**metrics: float) -> dict[str, Any]:
    return {
        "model": metrics,
        "baseline": {"dummy": {"rmse": 10.0, "r2": 0.0}, "linear": {"rmse": 5.0, "r2": 0.5}},
    }


def test_regression_scores() -> None:
    scores = score("regression", np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0]), None)
    assert scores["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert scores["mae"] == pytest.approx(1)
    assert scores["mape"] == pytest.approx(1 / 3)
    assert scores["r2"] == pytest.approx(1 - 5 / (14 / 3))


@pytest.mark.parametrize(
    ("actual", "probabilities", "auc"),
    [
        ([0, 0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]], 0.75),
        ([0, 1, 2], [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]], 1.0),
    ],
)
def test_classification_scores(
    actual: list[int], probabilities: list[list[float]], auc: float
) -> None:
    chances = np.array(probabilities)
    scores = score("classification", np.array(actual), chances.argmax(axis=1), chances)
    assert scores["roc_auc"] == pytest.approx(auc)
    chosen = chances[np.arange(len(actual)), actual]
    assert scores["log_loss"] == pytest.approx(-np.log(chosen).mean())
    truth = np.eye(chances.shape[1])[actual]
    brier = ((chances - truth) ** 2).sum(axis=1).mean()
    assert scores["brier"] == pytest.approx(brier / 2 if chances.shape[1] == 2 else brier)


def test_average_precision_is_the_mean_precision_at_each_hit() -> None:
    chance = np.array([0.9, 0.8, 0.7, 0.1])
    actual = np.array([1, 0, 1, 0])
    scores = score("classification", actual, actual, np.column_stack([1 - chance, chance]))
    assert scores["pr_auc"] == pytest.approx((1 + 2 / 3) / 2)


def test_without_rows_of_a_class_there_is_no_curve_and_still_a_loss() -> None:
    chances = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    scores = score("classification", np.array([0, 1]), np.array([0, 1]), chances)
    assert "roc_auc" not in scores
    assert scores["log_loss"] == pytest.approx(np.log(2))


def test_without_probabilities_there_is_no_curve() -> None:
    scores = score("classification", np.array([0, 1]), np.array([0, 0]), None)
    assert scores["accuracy"] == 0.5
    assert "roc_auc" not in scores


def test_a_good_model_passes_the_gate() -> None:
    assert gate(report(rmse=4.0), Gate(metric="rmse", limit=4.5, beat_baseline=True)) == []


def test_an_error_above_its_limit_is_refused_by_how_much() -> None:
    (reason,) = gate(report(rmse=4.0), Gate(metric="rmse", limit=3.2, beat_baseline=True))
    assert reason == "rmse 4 is above the limit evaluate.gate.limit, 3.2, by 0.8 (25.0%)"


def test_a_score_below_a_baseline_is_refused() -> None:
    (reason,) = gate(report(r2=0.4), Gate(metric="r2", limit=None, beat_baseline=True))
    assert reason == "r2 0.4 is below the linear baseline, 0.5, by 0.1 (20.0%)"
    assert gate(report(r2=0.4), Gate(metric="r2", limit=None, beat_baseline=False)) == []


def test_a_missing_number_never_passes() -> None:
    wanted = Gate(metric="rmse", limit=1.0, beat_baseline=False)
    assert gate(report(rmse=float("nan")), wanted)


def test_a_metric_of_another_task_is_named() -> None:
    with pytest.raises(ValueError, match="'accuracy' is not measured here"):
        gate(report(rmse=1.0), Gate(metric="accuracy", limit=0.5, beat_baseline=False))
