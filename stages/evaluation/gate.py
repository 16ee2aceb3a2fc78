"""The gate before deployment: what a candidate must reach, and how sure it is that it does."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stages.evaluation.metrics import METRICS
from stages.params import Gate


def refuse_unmeasured(model: Mapping[str, float], metric: str) -> None:
    """Raise ValueError when a metric is not among those of the holdout."""
    if metric not in model:
        raise ValueError(
            f"evaluate.gate.metric: {metric!r} is not measured here; there are {sorted(model)}."
        )


def better(metric: str, one: Any, other: Any) -> Any:
    """By how much the first value of a metric is better than the other, in its own unit."""
    return one - other if METRICS[metric].higher_is_better else other - one


def kept(values: np.ndarray, gate: Gate) -> float:
    """The share of resampled holdouts on which the model keeps `gate.limit`."""
    return float(np.mean(better(gate.metric, values, gate.limit) >= 0))


def reasons_against(scores: Mapping[str, Any], gate: Gate) -> list[str]:
    """Why a model may not be deployed; empty when it may.

    A limit is a limit. A baseline stands in the way when it is better beyond chance.

    Args:
        scores: `reports/metrics.json`: the blocks `model`, `gain`, and `limit` where there is one.
        gate: the block `evaluate.gate`.
    """
    metric, value = gate.metric, scores["model"][gate.metric]
    reasons = []
    if gate.limit is not None and not better(metric, value, gate.limit) >= 0:
        shortfall = abs(value - gate.limit)
        share = f" ({shortfall / abs(gate.limit):.1%})" if gate.limit else ""
        side = "below" if METRICS[metric].higher_is_better else "above"
        reasons.append(
            f"{metric} {value:.6g} is {side} the limit evaluate.gate.limit, {gate.limit:.6g}, "
            f"by {shortfall:.6g}{share}{sureness(scores)}"
        )
    for name, gain in scores["gain"].items() if gate.beat_baseline else ():
        if not gain["value"] >= 0 and gain.get("high", -1.0) < 0:
            surely = ", beyond chance" if "high" in gain else ""
            reasons.append(
                f"{metric} {value:.6g} is worse than that of the {name} baseline{surely}: by "
                f"{-gain['value']:.6g}{between(gain, -1)}"
            )
    return reasons


def doubts_about(scores: Mapping[str, Any], gate: Gate) -> list[str]:
    """What the holdout leaves open of a model that may be deployed.

    Args:
        scores: as in `reasons_against`.
        gate: the block `evaluate.gate`.
    """
    return [
        f"whether the model is better than the {name} baseline is not sure: by {gate.metric} it is "
        f"{abs(gain['value']):.6g} {'better' if gain['value'] > 0 else 'worse'}"
        f"{between(gain, 1 if gain['value'] > 0 else -1)}"
        for name, gain in (scores["gain"].items() if gate.beat_baseline else ())
        if gain.get("low", gain["value"]) <= 0 <= gain.get("high", gain["value"])
    ]


def between(gain: Mapping[str, float], sign: int) -> str:
    """The interval of a difference, in words."""
    if "low" not in gain:
        return ""
    low, high = sorted((sign * gain["low"], sign * gain["high"]))
    return f" (95 % of the resampled holdouts say {low:.4g} to {high:.4g})"


def sureness(scores: Mapping[str, Any]) -> str:
    """How sure it is that the limit is kept, in words."""
    if not scores.get("limit"):
        return ""
    return f"; {scores['limit']['kept']:.0%} of the resampled holdouts keep it"
