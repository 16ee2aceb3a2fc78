"""The columns of the pipeline's frame while it is walked, and how they become one matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from stages.export.graph import Graph

NUMERIC = "numeric"
CATEGORICAL = "categorical"


@dataclass(frozen=True)
class Slot:
    """Column `index` of a float64 graph tensor of shape (rows, `width`)."""

    tensor: str
    index: int
    width: int


@dataclass(frozen=True)
class Table:
    """A function of one raw categorical column: `values[code]` for each code it can have.

    `raw` is the column's index in the `categorical` input. Values may still be text.
    """

    raw: int
    values: npt.NDArray[np.object_]


@dataclass(frozen=True)
class Column:
    """A named column and where its values come from."""

    name: str
    source: Slot | Table


@dataclass(frozen=True)
class Matrix:
    """A float64 graph tensor of shape (rows, size) that holds columns in an order of its own.

    Attributes:
        tensor: the tensor's name.
        positions: where each column, in the frame's order, stands in the tensor; int64 (n,).
        size: number of the tensor's columns; more than n where some are not read.
    """

    tensor: str
    positions: npt.NDArray[np.int64]
    size: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.positions)

    def arrange(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Bring the last axis of per-column values into the tensor's order, zero elsewhere."""
        given = np.asarray(values, dtype=np.float64)
        arranged = np.zeros((*given.shape[:-1], self.size))
        arranged[..., self.positions] = given
        return arranged

    def only(self, members: npt.NDArray[np.int64]) -> "Matrix":
        """Return a view of some of the columns, in the given order."""
        return Matrix(self.tensor, self.positions[members], self.size)

    def ordered(self, graph: Graph) -> str:
        """Return the tensor with its columns in the frame's order."""
        if np.array_equal(self.positions, np.arange(self.size)):
            return self.tensor
        return graph.add("Gather", self.tensor, graph.constant(self.positions, np.int64), axis=1)


class Inputs:
    """The graph's two inputs; splits the categorical one into columns when first asked."""

    def __init__(self, graph: Graph, n_categorical: int) -> None:
        self._graph = graph
        self._n_categorical = n_categorical
        self._codes: list[str] = []

    def codes(self, raw: int) -> str:
        """Return the codes of one categorical column, int64 (rows, 1)."""
        if self._n_categorical == 1:
            return CATEGORICAL
        if not self._codes:
            self._codes = self._graph.add_many(
                "Split",
                CATEGORICAL,
                outputs=self._n_categorical,
                axis=1,
                num_outputs=self._n_categorical,
            )
        return self._codes[raw]


def pack(graph: Graph, inputs: Inputs, columns: Sequence[Column]) -> Matrix:
    """Bring columns together in one tensor, with as few nodes as their sources allow.

    Args:
        graph: receives the nodes.
        inputs: the graph's inputs.
        columns: at least one; tables must hold numbers.

    Raises:
        ValueError: a table holds text.
    """
    slots: dict[str, list[tuple[int, Slot]]] = {}
    tables: dict[int, list[tuple[int, Table]]] = {}
    for position, column in enumerate(columns):
        match column.source:
            case Slot() as slot:
                slots.setdefault(slot.tensor, []).append((position, slot))
            case Table() as table:
                tables.setdefault(table.raw, []).append((position, table))
    pieces: list[str] = []
    order: list[int] = []
    for tensor, members in slots.items():
        members.sort(key=lambda member: member[1].index)
        indices = [slot.index for _, slot in members]
        whole = indices == list(range(members[0][1].width))
        pieces.append(
            tensor
            if whole
            else graph.add("Gather", tensor, graph.constant(indices, np.int64), axis=1)
        )
        order += [position for position, _ in members]
    for raw, states in tables.items():
        values = np.stack([table.values.astype(np.float64) for _, table in states], axis=1)
        pieces.append(graph.add("GatherND", graph.constant(values), inputs.codes(raw)))
        order += [position for position, _ in states]
    packed = pieces[0] if len(pieces) == 1 else graph.add("Concat", *pieces, axis=1)
    return Matrix(packed, np.argsort(np.asarray(order, dtype=np.int64)), len(order))


def spread(columns: Sequence[Column], tensor: str, matrix: Matrix) -> list[Column]:
    """Return the packed columns with `tensor`, of the same layout, as their new source."""
    return [
        replace(column, source=Slot(tensor, int(position), matrix.size))
        for column, position in zip(columns, matrix.positions, strict=True)
    ]
