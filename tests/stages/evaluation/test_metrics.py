import numpy as np
import pytest
from sklearn import metrics

from app.model.manifest import Task
from stages.evaluation.metrics import METRICS, Outcome, higher_is_better, score, weighted


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


def drawn(classes: int) -> tuple[Outcome, np.ndarray]:
    """Predictions with many ties, and how often each row is drawn."""
    generator = np.random.default_rng(5)
    times = np.bincount(generator.integers(0, 60, 60), minlength=60)
    if not classes:
        return Outcome(generator.normal(size=60), generator.normal(size=60)), times
    chances = generator.integers(1, 5, (60, classes)).astype(float)
    chances /= chances.sum(axis=1, keepdims=True)
    actual = generator.integers(0, classes, 60)
    return Outcome(actual, chances.argmax(axis=1), chances), times


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_weighted_score_is_the_score_of_the_repeated_rows(classes: int) -> None:
    task: Task = "classification" if classes else "regression"
    outcome, times = drawn(classes)
    chances = outcome.probabilities
    scores = weighted(task, outcome, np.stack([np.ones(60), times]))
    assert set(scores) == {metric.name for metric in METRICS.values() if metric.task == task}
    for row, counts in enumerate([np.ones(60, int), times]):
        rows = np.repeat(np.arange(60), counts)
        repeated = None if chances is None else chances[rows]
        expected = score(task, outcome.actual[rows], outcome.predicted[rows], repeated)
        assert {name: values[row] for name, values in scores.items()} == pytest.approx(expected)


def test_regression_scores_are_those_of_scikit_learn() -> None:
    outcome, times = drawn(classes=0)
    scores = weighted("regression", outcome, times[None, :].astype(float))
    pair = (outcome.actual, outcome.predicted)
    expected = {
        "rmse": np.sqrt(metrics.mean_squared_error(*pair, sample_weight=times)),
        "mae": metrics.mean_absolute_error(*pair, sample_weight=times),
        "r2": metrics.r2_score(*pair, sample_weight=times),
        "mape": metrics.mean_absolute_percentage_error(*pair, sample_weight=times),
    }
    assert {name: values[0] for name, values in scores.items()} == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_classification_scores_are_those_of_scikit_learn(classes: int) -> None:
    outcome, times = drawn(classes)
    assert outcome.probabilities is not None
    scores = weighted("classification", outcome, times[None, :].astype(float))
    pair = (outcome.actual, outcome.predicted)
    truth = outcome.actual[:, None] == np.arange(classes)
    columns = [1] if classes == 2 else range(classes)
    curves = {
        name: np.mean(
            [
                area(truth[:, one], outcome.probabilities[:, one], sample_weight=times)
                for one in columns
            ]
        )
        for name, area in (
            ("roc_auc", metrics.roc_auc_score),
            ("pr_auc", metrics.average_precision_score),
        )
    }
    squares = ((outcome.probabilities - truth)[:, list(columns)] ** 2).sum(axis=1)
    expected = {
        "accuracy": metrics.accuracy_score(*pair, sample_weight=times),
        "balanced_accuracy": metrics.balanced_accuracy_score(*pair, sample_weight=times),
        "f1": metrics.f1_score(*pair, sample_weight=times, average="macro"),
        "log_loss": metrics.log_loss(outcome.actual, outcome.probabilities, sample_weight=times),
        "brier": np.average(squares, weights=times),
        **curves,
    }
    assert {name: values[0] for name, values in scores.items()} == pytest.approx(expected)


def test_r2_is_not_defined_where_all_targets_are_equal() -> None:
    scores = score("regression", np.full(6, 0.1), np.arange(6.0), None)
    assert set(scores) == {"rmse", "mae", "mape"}


def test_a_missing_prediction_is_no_score() -> None:
    with pytest.raises(ValueError, match="no number for 1 of 2 rows"):
        score("regression", np.zeros(2), np.array([1.0, np.nan]), None)


@pytest.mark.parametrize(
    ("name", "higher"), [("rmse", False), ("mse", False), ("auc", True), ("log_loss", False)]
)
def test_the_direction_of_holdout_and_fold_metrics(name: str, higher: bool) -> None:
    assert higher_is_better(name) is higher
