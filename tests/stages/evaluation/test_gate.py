from typing import Any

import pytest

from stages.evaluation.gate import doubts_about, reasons_against
from stages.params import Gate

GATE = Gate(metric="rmse", limit=4.5, beat_baseline=True)


def report(rmse: float, *gain: float, kept: float = 0.9) -> dict[str, Any]:
    """A report with the gain over the linear baseline: its value, low and high."""
    return {
        "model": {"rmse": rmse},
        "gain": {
            "dummy": {"value": 6.0, "low": 5.0, "high": 7.0},
            "linear": dict(zip(("value", "low", "high"), gain, strict=False)),
        },
        "limit": {"kept": kept},
    }


def test_a_good_model_passes_the_gate() -> None:
    assert reasons_against(report(4.0, 1.0, 0.5, 1.5), GATE) == []
    assert doubts_about(report(4.0, 1.0, 0.5, 1.5), GATE) == []


def test_an_error_above_its_limit_is_refused_by_how_much_and_how_surely() -> None:
    (reason,) = reasons_against(report(5.4, 1.0, 0.5, 1.5, kept=0.03), GATE)
    assert reason == (
        "rmse 5.4 is above the limit evaluate.gate.limit, 4.5, by 0.9 (20.0%); "
        "3% of the resampled holdouts keep it"
    )


def test_a_baseline_that_is_better_beyond_chance_is_refused() -> None:
    (reason,) = reasons_against(report(4.0, -0.5, -0.8, -0.2), GATE)
    assert reason == (
        "rmse 4 is worse than that of the linear baseline, beyond chance: by 0.5 "
        "(95 % of the resampled holdouts say 0.2 to 0.8)"
    )
    blind = Gate(metric="rmse", limit=4.5, beat_baseline=False)
    assert reasons_against(report(4.0, -0.5, -0.8, -0.2), blind) == []


@pytest.mark.parametrize(("gain", "word"), [(-0.5, "worse"), (0.5, "better"), (0.0, "worse")])
def test_a_difference_inside_the_noise_is_a_doubt_and_no_reason(gain: float, word: str) -> None:
    close = report(4.0, gain, gain - 0.9, gain + 0.9)
    assert reasons_against(close, GATE) == []
    (doubt,) = doubts_about(close, GATE)
    assert f"the linear baseline is not sure: by rmse it is {abs(gain):g} {word}" in doubt


def test_without_resamples_the_holdout_decides_alone() -> None:
    assert reasons_against(report(4.0, -0.1), GATE) == [
        "rmse 4 is worse than that of the linear baseline: by 0.1"
    ]
    assert reasons_against(report(4.0, 0.1), GATE) == []


def test_a_missing_number_never_passes() -> None:
    assert reasons_against(report(float("nan"), 1.0, 0.5, 1.5), GATE)
