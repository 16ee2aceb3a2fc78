import numpy as np
import pytest

from app.model.manifest import Task
from stages.evaluation.bootstrap import bootstrap, interval
from stages.evaluation.metrics import Outcome, score, weighted

ROWS = 60


def sample(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and probabilities with many ties."""
    generator = np.random.default_rng(5)
    chances = generator.integers(1, 5, (ROWS, classes)).astype(float)
    chances /= chances.sum(axis=1, keepdims=True)
    return generator.integers(0, classes, ROWS), chances.argmax(axis=1), chances


def intervals(
    task: Task, outcome: Outcome, units: np.ndarray, seed: int = 1
) -> dict[str, dict[str, float]]:
    """The interval of each metric."""
    resampled = bootstrap(lambda weights: weighted(task, outcome, weights), units, seed)
    return {name: interval(values) for name, values in resampled.items()}


def test_the_interval_of_a_mean_is_the_one_of_the_textbook() -> None:
    errors = np.random.default_rng(5).normal(10, 2, 2000)
    actual = np.arange(2000.0)
    found = intervals("regression", Outcome(actual, actual + errors), np.arange(2000))
    half = 1.96 * errors.std() / np.sqrt(2000)
    assert found["mae"]["low"] == pytest.approx(errors.mean() - half, abs=0.02)
    assert found["mae"]["high"] == pytest.approx(errors.mean() + half, abs=0.02)


def test_rows_of_a_group_count_as_one_draw() -> None:
    generator = np.random.default_rng(5)
    errors = np.repeat(generator.normal(0, 1, 40), 25)
    actual = generator.normal(0, 5, 1000)
    rows, groups = np.arange(1000), np.repeat(np.arange(40), 25)
    outcome = Outcome(actual, actual + errors)
    alone = intervals("regression", outcome, rows)["rmse"]
    whole = intervals("regression", outcome, groups)["rmse"]
    assert whole["high"] - whole["low"] > 3 * (alone["high"] - alone["low"])


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    actual, predicted, chances = sample(3)
    rows = np.arange(ROWS)
    first, again, other = (
        intervals("classification", Outcome(actual, predicted, chances), rows, seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert set(first) == set(score("classification", actual, predicted, chances))


def test_one_group_has_no_interval() -> None:
    values = np.arange(5.0)
    assert intervals("regression", Outcome(values, values), np.zeros(5, int)) == {}


def test_a_resample_without_a_class_does_not_count_for_the_curves() -> None:
    actual = np.array([1, *[0] * 20])
    chances = np.column_stack([1 - np.linspace(0.9, 0.1, 21), np.linspace(0.9, 0.1, 21)])
    found = intervals("classification", Outcome(actual, actual, chances), np.arange(21))
    assert found["roc_auc"] == {"low": 1.0, "high": 1.0}
