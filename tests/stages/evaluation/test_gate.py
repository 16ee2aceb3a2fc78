from typing import Any

import pytest

from stages.evaluation.gate import reasons_against
from stages.params import Gate


def report(**metrics: float) -> dict[str, Any]:
    return {
        "model": metrics,
        "baseline": {"dummy": {"rmse": 10.0, "r2": 0.0}, "linear": {"rmse": 5.0, "r2": 0.5}},
    }


def test_a_good_model_passes_the_gate() -> None:
    gate = Gate(metric="rmse", limit=4.5, beat_baseline=True)
    assert reasons_against(report(rmse=4.0), gate) == []


def test_an_error_above_its_limit_is_refused_by_how_much() -> None:
    gate = Gate(metric="rmse", limit=3.2, beat_baseline=True)
    (reason,) = reasons_against(report(rmse=4.0), gate)
    assert reason == "rmse 4 is above the limit evaluate.gate.limit, 3.2, by 0.8 (25.0%)"


def test_a_score_below_a_baseline_is_refused() -> None:
    (reason,) = reasons_against(report(r2=0.4), Gate(metric="r2", limit=None, beat_baseline=True))
    assert reason == "r2 0.4 is below the linear baseline, 0.5, by 0.1 (20.0%)"
    assert reasons_against(report(r2=0.4), Gate(metric="r2", limit=None, beat_baseline=False)) == []


def test_a_missing_number_never_passes() -> None:
    gate = Gate(metric="rmse", limit=1.0, beat_baseline=False)
    assert reasons_against(report(rmse=float("nan")), gate)


def test_a_metric_of_another_task_is_named() -> None:
    with pytest.raises(ValueError, match="'accuracy' is not measured here"):
        reasons_against(report(rmse=1.0), Gate(metric="accuracy", limit=0.5, beat_baseline=False))
