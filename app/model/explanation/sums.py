"""Explains a model whose score is a sum of trees and linear terms."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from app.model.explanation.additive import Additive
from app.model.explanation.result import KINDS, Answer, Explanation
from app.model.explanation.terms import Floats, Ints, Terms
from app.model.runtime import Packed, open_session

ROUNDING = 1e-5  # of float32 sums, relative to the largest prediction


class Sums:
    """Knows the model's terms, and the graph from its inputs to the columns that they read.

    Attributes:
        rows: how many one thread explains at a time.
        calls: how many rows the model answers to explain one, beside that row.
    """

    rows = 512
    calls = 0

    def __init__(
        self,
        arrays: Mapping[str, npt.NDArray[Any]],
        background: Packed,
        features: tuple[str, ...],
        answer: Answer,
    ) -> None:
        """Compute the tables.

        Args:
            arrays: `graph`, `kind`, and the terms' own by name.
            background: the background rows.
            features: the features' names.
            answer: the model.
        """
        self._session: Any = open_session(arrays["graph"].tobytes())
        self._answer = answer
        self._kind = str(arrays["kind"])
        terms = Terms(**{field.name: _wide(arrays[field.name]) for field in fields(Terms)})
        self._features = features
        self._additive = Additive(
            terms,
            self._matrix(background),
            len(features),
            scored=self._kind != "prediction",  # the model's own answer
        )
        self._base = self._additive.base
        if self._kind == "prediction":
            self._base = answer(background)[0].mean(keepdims=True)
        how = f"{len(background)} background rows"
        self._method = f"exact Shapley values of {KINDS[self._kind]}, {how}"

    def explain(self, rows: Packed) -> Explanation:
        """Explain the answers to rows, at least one."""
        values, _ = self._answer(rows)
        matrix = self._matrix(rows)
        if self._kind == "prediction":
            base = np.broadcast_to(self._base, len(rows))
            scores = values
            contributions, _ = self._additive.explain(matrix)
            rest = scores - base - contributions.sum(axis=1)
            if np.abs(rest).max() > ROUNDING * np.abs(scores).max():
                raise ArithmeticError(
                    f"contributions miss the prediction by {np.abs(rest).max():.3g}: the file "
                    "with the terms is not of this model; run the deploy stage again"
                )
            _share_out(rest, contributions)
        else:
            base, contributions, scores = self._classes(matrix, values)
        error = float(np.abs(base + contributions.sum(axis=1) - scores).max())
        return Explanation(base, contributions, self._features, self._method, error)

    def _matrix(self, rows: Packed) -> Floats:
        """Compute the columns that the terms read, shape (rows, columns)."""
        names = [node.name for node in self._session.get_inputs()]
        matrix: Floats = self._session.run(
            ["matrix"], {name: getattr(rows, name) for name in names}
        )[0]
        return matrix

    def _classes(self, matrix: Floats, label: Ints) -> tuple[Floats, Floats, Floats]:
        """Explain the score of each row's class; return base, contributions and scores."""
        binary = len(self._base) == 1
        base = np.empty(len(matrix))
        scores = np.empty(len(matrix))
        contributions: list[Floats] = []
        order: list[Ints] = []
        for one in np.unique(label).tolist():
            chosen = np.flatnonzero(label == one)
            target = 0 if binary else one
            values, score = self._additive.explain(matrix[chosen], target)
            first = self._base[target]
            if binary and one == 0:  # the score is the second class's
                whole = 1.0 if self._kind == "probability" else 0.0
                values, score, first = -values, whole - score, whole - first
            base[chosen], scores[chosen] = first, score
            contributions.append(values)
            order.append(chosen)
        back = np.argsort(np.concatenate(order))
        return base, np.concatenate(contributions)[back], scores


def _wide(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Whole numbers as int64; in the file they take as few bytes as they need."""
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def _share_out(rest: Floats, contributions: Floats) -> None:
    """Add what is left of the prediction to the contributions, by their size.

    It is the rounding of XGBoost, which sums in float32, and no feature's own.
    """
    size = np.abs(contributions)
    total = size.sum(axis=1)
    per_size = np.divide(rest, total, out=np.zeros_like(rest), where=total > 0)
    contributions += size * per_size[:, None]
