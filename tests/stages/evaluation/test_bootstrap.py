import numpy as np
import pytest

from app.model.manifest import Task
from stages.evaluation.bootstrap import bootstrap, weighted
from stages.evaluation.metrics import score

GENERATOR = np.random.default_rng(5)
ROWS = 60


def sample(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and probabilities with many ties."""
    chances = GENERATOR.integers(1, 5, (ROWS, classes)).astype(float)
    chances /= chances.sum(axis=1, keepdims=True)
    return GENERATOR.integers(0, classes, ROWS), chances.argmax(axis=1), chances


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_weighted_score_is_the_score_of_the_repeated_rows(classes: int) -> None:
    task: Task = "classification" if classes else "regression"
    actual, predicted = GENERATOR.normal(size=ROWS), GENERATOR.normal(size=ROWS)
    chances = None
    if classes:
        actual, predicted, chances = sample(classes)
    counts = np.bincount(GENERATOR.integers(0, ROWS, ROWS), minlength=ROWS)
    scores = weighted(task, actual, predicted, chances, np.stack([np.ones(ROWS), counts]))
    for row, times in enumerate([np.ones(ROWS, int), counts]):
        taken = np.repeat(np.arange(ROWS), times)
        expected = score(
            task, actual[taken], predicted[taken], None if chances is None else chances[taken]
        )
        assert {name: values[row] for name, values in scores.items()} == pytest.approx(expected)


def test_the_interval_of_a_mean_is_the_one_of_the_textbook() -> None:
    errors = GENERATOR.normal(10, 2, 2000)
    actual = np.arange(2000.0)
    found = bootstrap("regression", actual, actual + errors, None, np.arange(2000), seed=1)
    half = 1.96 * errors.std() / np.sqrt(2000)
    assert found["mae"]["low"] == pytest.approx(errors.mean() - half, abs=0.02)
    assert found["mae"]["high"] == pytest.approx(errors.mean() + half, abs=0.02)


def test_rows_of_a_group_count_as_one_draw() -> None:
    errors = np.repeat(GENERATOR.normal(0, 1, 40), 25)
    actual = GENERATOR.normal(0, 5, 1000)
    rows, groups = np.arange(1000), np.repeat(np.arange(40), 25)
    alone = bootstrap("regression", actual, actual + errors, None, rows, seed=1)["rmse"]
    whole = bootstrap("regression", actual, actual + errors, None, groups, seed=1)["rmse"]
    assert whole["high"] - whole["low"] > 3 * (alone["high"] - alone["low"])


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    actual, predicted, chances = sample(3)
    rows = np.arange(ROWS)
    first, again, other = (
        bootstrap("classification", actual, predicted, chances, rows, seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert set(first) == set(score("classification", actual, predicted, chances))


def test_one_group_has_no_interval() -> None:
    values = np.arange(5.0)
    assert bootstrap("regression", values, values, None, np.zeros(5, int), seed=1) == {}


def test_a_resample_without_a_class_does_not_count_for_the_curves() -> None:
    actual = np.array([1, *[0] * 20])
    chances = np.column_stack([1 - np.linspace(0.9, 0.1, 21), np.linspace(0.9, 0.1, 21)])
    found = bootstrap("classification", actual, actual, chances, np.arange(21), seed=1)
    assert found["roc_auc"] == {"low": 1.0, "high": 1.0}
