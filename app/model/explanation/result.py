"""What an explanation says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.model.explanation.terms import Floats
from app.model.manifest import Feature
from app.model.runtime import Packed

# The model: numbers or indices into the classes; and probabilities, where there are any.
Answer = Callable[[Packed], tuple[npt.NDArray[Any], Floats | None]]

# What can be explained.
KINDS = {
    "prediction": "the prediction",
    "margin": "the margin (before sigmoid or softmax) of the predicted class",
    "probability": "the probability of the predicted class",
    "choice": "the choice of the predicted class (1, any other 0)",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why answers are what they are: base + a row's contributions = what is explained.

    Attributes:
        base: the mean over the background rows, shape (rows,). It is one for all rows of a
            regression; of a classification it depends on the predicted class.
        contributions: what each feature adds, shape (rows, features), in manifest order.
        features: their names.
        method: what is explained, and how.
        additivity_error: the largest difference between the two sides of that equation.
        standard_error: of each contribution, same shape, where they are estimates.
    """

    base: Floats
    contributions: Floats
    features: tuple[str, ...]
    method: str
    additivity_error: float
    standard_error: Floats | None = None


def nothing(features: Sequence[Feature]) -> Explanation:
    """The explanation of no rows."""
    names = tuple(feature.name for feature in features)
    return Explanation(np.empty(0), np.empty((0, len(names))), names, "", 0.0)


def joined(parts: Sequence[Explanation]) -> Explanation:
    """Put the explanations of slices of rows together, at least one."""
    errors = [part.standard_error for part in parts if part.standard_error is not None]
    return Explanation(
        np.concatenate([part.base for part in parts]),
        np.concatenate([part.contributions for part in parts]),
        parts[0].features,
        parts[0].method,
        max(part.additivity_error for part in parts),
        np.concatenate(errors) if errors else None,
    )
