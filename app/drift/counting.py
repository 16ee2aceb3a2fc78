"""Packed rows and their answers to counts, a vector over the cells of all columns."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from app.drift.reference import Column, Counts, Reference, feature_order
from app.model.manifest import Interface
from app.model.runtime import Packed


class Counting:
    """Counts rows for one model.

    Attributes:
        reference: the cells.
        places: of each column, where its cells begin and end in the vector.
        cells: how long the vector is.
    """

    def __init__(self, reference: Reference, interface: Interface) -> None:
        self.reference = reference
        ends = np.cumsum([0, *(column.cells for column in reference.columns)]).tolist()
        self.places = [*pairwise(ends)]
        self.cells: int = ends[-1]
        self._order = feature_order(interface.features)
        self._edges = [np.array(column.edges) for column in reference.columns]
        self._tables = [_table(column) for column in reference.columns]
        self._classes = {label: code for code, label in enumerate(interface.classes)}

    def count(self, rows: Packed, answers: npt.NDArray[Any]) -> Counts:
        """Count rows and answers, shape (cells,).

        Args:
            rows: the rows.
            answers: their predictions, shape (rows,): numbers or labels.
        """
        answers = self.numbers(answers)
        columns: list[npt.NDArray[Any]] = [
            (rows.categorical if is_category else rows.numeric)[:, place]
            for is_category, place in self._order
        ]
        parts = [
            np.bincount(self._cells_of(index, values), minlength=column.cells)
            for index, (column, values) in enumerate(
                zip(self.reference.columns, [*columns, answers], strict=True)
            )
        ]
        return np.concatenate(parts)

    def numbers(self, answers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Predictions as numbers: labels by their place among the classes."""
        if not self._classes:
            return answers
        return np.array([self._classes[label] for label in answers.tolist()], np.int64)

    def _cells_of(self, index: int, values: npt.NDArray[Any]) -> Counts:
        table = self._tables[index]
        if table is not None:
            coded: Counts = table[values]
            return coded
        cells = np.searchsorted(self._edges[index], values, "right")
        cells[np.isnan(values)] = self.reference.columns[index].cells - 1
        return cells


def _table(column: Column) -> Counts | None:
    """The cell of each code of a category."""
    if not column.is_category:
        return None
    top = len(column.codes)
    table = np.full(column.total + 2, top)  # others
    table[list(column.codes)] = np.arange(top)
    table[column.total :] = [top + 1, top + 2]  # unseen, missing
    return table


def sample(rows: Packed, answers: npt.NDArray[Any], limit: int) -> tuple[Packed, npt.NDArray[Any]]:
    """At most so many rows, at equal distances, as arrays of their own."""
    if len(rows) <= limit:
        return rows, answers
    step = -(-len(rows) // limit)
    return (
        Packed(rows.numeric[::step].copy(), rows.categorical[::step].copy()),
        answers[::step].copy(),
    )


def joined(parts: Sequence[tuple[Packed, npt.NDArray[Any]]]) -> tuple[Packed, npt.NDArray[Any]]:
    """Put the rows of several requests together."""
    return (
        Packed(
            np.concatenate([rows.numeric for rows, _ in parts]),
            np.concatenate([rows.categorical for rows, _ in parts]),
        ),
        np.concatenate([answers for _, answers in parts]),
    )
