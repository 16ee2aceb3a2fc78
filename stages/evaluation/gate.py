"""The gate before deployment: what a candidate must reach."""

from collections.abc import Mapping
from typing import Any

from stages.evaluation.metrics import METRICS
from stages.params import Gate


def reasons_against(scores: Mapping[str, Any], gate: Gate) -> list[str]:
    """Why a model may not be deployed; empty when it may.

    Args:
        scores: `reports/metrics.json`: the blocks `model` and `baseline`.
        gate: the block `evaluate.gate`.

    Raises:
        ValueError: `gate.metric` is not among the metrics of this task.
    """
    metric, model = gate.metric, scores["model"]
    if metric not in model:
        raise ValueError(
            f"evaluate.gate.metric: {metric!r} is not measured here; there are {sorted(model)}."
        )
    bounds = {"the limit evaluate.gate.limit": gate.limit}
    if gate.beat_baseline:
        bounds |= {
            f"the {name} baseline": values.get(metric)
            for name, values in scores["baseline"].items()
        }
    higher = METRICS[metric].higher_is_better
    reasons = []
    for name, bound in bounds.items():
        if bound is None:
            continue
        shortfall = bound - model[metric] if higher else model[metric] - bound
        if not shortfall <= 0:  # also when the metric is not a number
            share = f" ({shortfall / abs(bound):.1%})" if bound else ""
            side = "below" if higher else "above"
            reasons.append(
                f"{metric} {model[metric]:.6g} is {side} {name}, {bound:.6g}, "
                f"by {shortfall:.6g}{share}"
            )
    return reasons
