import numpy as np
import pytest

from app.model.nearness import largest_difference


def test_difference_is_relative_above_one_and_absolute_below() -> None:
    assert largest_difference([100.0, 0.0], [101.0, 0.005]) == 0.01


def test_difference_of_small_answers_is_relative_to_their_usual_size() -> None:
    assert largest_difference([1e-6, 2e-6, 5e-6], np.zeros(3)) == pytest.approx(1)
    assert largest_difference([1e-9], [2e-9]) == pytest.approx(1)
    assert largest_difference([0.0, 0.5, 0.5], [0.01, 0.5, 0.5]) == pytest.approx(0.02)


def test_difference_of_answers_that_are_mostly_zero_is_absolute() -> None:
    assert largest_difference([0.0, 0.0, 0.1], [0.01, 0.0, 0.1]) == 0.01


def test_difference_of_probabilities_is_absolute() -> None:
    difference = largest_difference([[1e-9, 1 - 1e-9]], [[2e-9, 1 - 2e-9]])
    assert difference == pytest.approx(1e-9)


@pytest.mark.parametrize(
    ("expected", "answer", "difference"),
    [
        (np.nan, np.nan, 0.0),
        (np.nan, 1.0, np.inf),
        (1.0, np.nan, np.inf),
        (np.inf, np.inf, 0.0),
        (np.inf, -np.inf, np.inf),
        (1.0, np.inf, np.inf),
        (np.inf, 1.0, np.inf),
    ],
)
def test_missing_and_infinite_answers(expected: float, answer: float, difference: float) -> None:
    assert largest_difference([expected, 1.0], [answer, 1.0]) == difference


def test_nothing_to_compare() -> None:
    assert largest_difference(np.empty(0), np.empty(0)) == 0
    assert largest_difference(np.empty((3, 0)), np.empty((3, 0))) == 0


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\), got shape \(3,\)"):
        largest_difference(np.zeros(2), np.zeros(3))
