import numpy as np
import pytest

from stages.evaluation.conformal import first_half, prediction_interval


def test_the_width_is_the_conformal_quantile_and_the_coverage_is_counted() -> None:
    actual = np.zeros(29)
    predicted = np.concatenate([np.arange(1.0, 20.0), [17, -18, 18, 18.5, 1, 1, 1, 1, 1, 40]])
    first = np.arange(29) < 19
    assert prediction_interval(actual, predicted, first) == {
        "level": 0.9,
        "half_width": 18.0,  # the 18th of 19: ceil(20 * 0.9)
        "coverage": pytest.approx(0.8),  # 18.5 and 40 lie outside
        "calibration_rows": 19,
        "measured_rows": 10,
    }


def test_the_promise_is_kept_where_rows_are_alike() -> None:
    errors = np.random.default_rng(3).standard_t(3, 20_000)
    found = prediction_interval(errors, np.zeros(20_000), first_half(np.arange(20_000), seed=1))
    assert found["coverage"] == pytest.approx(0.9, abs=0.01)


def test_no_interval_where_the_half_is_too_small_for_the_level() -> None:
    values = np.arange(16.0)
    assert prediction_interval(values, values, np.arange(16) < 8) == {}
    assert prediction_interval(values, values, np.full(16, True)) == {}


def test_no_group_is_on_both_sides() -> None:
    groups = np.random.default_rng(3).integers(0, 30, 600)
    first = first_half(groups, seed=1)
    assert set(groups[first]) & set(groups[~first]) == set()
    assert 250 < first.sum() < 350


def test_by_time_the_older_half_calibrates() -> None:
    np.testing.assert_array_equal(first_half(np.arange(9), seed=None), np.arange(9) < 5)


def test_the_seed_decides() -> None:
    first, again, other = (first_half(np.arange(50), seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
