import numpy as np
import pytest

from stages.evaluation.conformal import conformal_quantile, prediction_interval

GENERATOR = np.random.default_rng(3)
ROWS = np.arange(10)


def test_the_width_is_the_conformal_quantile_and_the_coverage_is_counted() -> None:
    misses = np.arange(1.0, 20.0)
    new = np.array([17, 18, 18, 18.5, 1, 1, 1, 1, 1, 40])
    found = prediction_interval(misses, np.zeros(19), new, np.zeros(10), ROWS)
    assert found == {
        "level": 0.9,
        "half_width": 18.0,  # the 18th of 19: ceil(20 * 0.9)
        "mean_width": 36.0,
        "coverage": pytest.approx(0.8),  # 18.5 and 40 lie outside
        "calibration_rows": 19,
        "measured_rows": 10,
    }


def test_the_promise_is_kept_by_both_widths_and_the_scaled_one_is_narrower() -> None:
    answers = GENERATOR.uniform(1, 100, 20_000)
    misses = np.abs(GENERATOR.standard_t(5, 20_000)) * answers
    half = np.arange(20_000) < 10_000
    found = prediction_interval(
        misses[half], answers[half], misses[~half], answers[~half], np.arange(10_000)
    )
    assert found["coverage"] == pytest.approx(0.9, abs=0.015)
    assert found["scaled"]["coverage"] == pytest.approx(0.9, abs=0.015)
    assert found["scaled"]["mean_width"] < 0.9 * found["mean_width"]


def test_groups_tell_their_coverage() -> None:
    new = np.array([0.0, 0, 0, 0, 0, 0, 0, 0, 99, 99])
    groups = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
    found = prediction_interval(np.arange(30.0), np.zeros(30), new, np.zeros(10), groups)
    assert found["groups"] == {
        "count": 2,
        "mean_coverage": pytest.approx((1 + 1 / 3) / 2),
        "nine_of_ten": pytest.approx(1 / 3 + 0.1 * 2 / 3),
    }


def test_no_interval_where_the_folds_answered_too_few_rows() -> None:
    assert conformal_quantile(np.arange(8.0)) is None
    assert prediction_interval(np.arange(8.0), np.arange(8.0), ROWS, ROWS, ROWS) == {}
