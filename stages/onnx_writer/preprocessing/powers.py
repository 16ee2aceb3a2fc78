"""The Yeo-Johnson transformation and its inverse, branch by branch as scikit-learn has it."""

import numpy as np
import numpy.typing as npt

from ..estimators.trees import Floats
from ..graph import Graph

TINY = float(np.spacing(1.0))


def yeo_johnson(graph: Graph, tensor: str, lambdas: Floats) -> str:
    """Transform each column with its own lambda.

    Args:
        graph: receives the nodes.
        tensor: float64 (rows, columns).
        lambdas: shape (columns,).
    """
    one, zero = graph.constant(1.0), graph.constant(0.0)
    shifted = graph.add("Add", graph.add("Abs", tensor), one)
    logarithm = graph.add("Log", shifted)

    def branch(power: Floats, is_log: npt.NDArray[np.bool_]) -> str:
        safe = np.where(is_log, 1.0, power)
        raised = graph.add("Pow", shifted, graph.constant(safe))
        curve = graph.add("Div", graph.add("Sub", raised, one), graph.constant(safe))
        if not is_log.any():
            return curve
        return graph.add("Where", graph.constant(is_log, np.bool_), logarithm, curve)

    upper = branch(lambdas, np.abs(lambdas) < TINY)
    lower = branch(2 - lambdas, np.abs(lambdas - 2) <= TINY)
    is_upper = graph.add("GreaterOrEqual", tensor, zero)
    return graph.add("Where", is_upper, upper, graph.add("Neg", lower))


def inverse_yeo_johnson(graph: Graph, tensor: str, power: float) -> str:
    """Undo the transformation of one column, float64 (rows, 1)."""
    one, zero = graph.constant(1.0), graph.constant(0.0)

    def grown(values: str, exponent: float) -> str:
        """Return (values * exponent + 1) ** (1 / exponent) - 1."""
        base = graph.add("Add", graph.add("Mul", values, graph.constant(exponent)), one)
        raised = graph.add("Pow", base, graph.constant(1 / exponent))
        return graph.add("Sub", raised, one)

    def exponential(values: str) -> str:
        return graph.add("Sub", graph.add("Exp", values), one)

    negated = graph.add("Neg", tensor)
    upper = exponential(tensor) if abs(power) < TINY else grown(tensor, power)
    lower = exponential(negated) if abs(power - 2) <= TINY else grown(negated, 2 - power)
    is_upper = graph.add("GreaterOrEqual", tensor, zero)
    return graph.add("Where", is_upper, upper, graph.add("Neg", lower))
