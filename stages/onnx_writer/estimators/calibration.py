"""The calibrators of scikit-learn's CalibratedClassifierCV."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import NotConvertible
from ..graph import Graph
from ..preprocessing.interpolation import interpolate
from . import outputs


def calibrated(
    graph: Graph, scores: str, calibrators: Sequence[Any], n_classes: int, part: str
) -> str:
    """Turn scores into calibrated probabilities.

    Args:
        graph: receives the nodes.
        scores: float64 (rows, calibrators).
        calibrators: the fitted ones: one for two classes, else one for each class.
        n_classes: number of classes.
        part: the estimator, for errors.

    Returns:
        The name of a float64 tensor of shape (rows, n_classes).
    """
    kinds = {type(calibrator).__name__ for calibrator in calibrators}
    if kinds == {"_SigmoidCalibration"}:
        slopes = graph.constant([-calibrator.a_ for calibrator in calibrators])
        shifts = graph.constant([calibrator.b_ for calibrator in calibrators])
        each = graph.add("Sigmoid", graph.add("Sub", graph.add("Mul", scores, slopes), shifts))
    elif kinds == {"IsotonicRegression"}:
        each = interpolate(
            graph,
            scores,
            [
                (calibrator.X_thresholds_.astype(float), calibrator.y_thresholds_.astype(float))
                for calibrator in calibrators
            ],
        )
    else:
        raise NotConvertible(part, f"its calibrators are {', '.join(sorted(kinds))}")
    if n_classes == 2:
        return outputs.both(graph, each)
    total = outputs.row_sum(graph, each)
    zero = graph.add("Equal", total, graph.constant(0.0))
    shares = graph.add("Div", each, graph.add("Where", zero, graph.constant(1.0), total))
    # scikit-learn answers evenly where no class has any probability.
    even = graph.add("Where", zero, graph.constant(np.full(n_classes, 1 / n_classes)), shares)
    return graph.add("Clip", even, graph.constant(0.0), graph.constant(1.0))
