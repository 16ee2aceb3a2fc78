"""The columns of the pipeline's frame while it is walked, and how they become one matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..graph import Graph

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
    """A named column and where its values come from.

    `feature` is the place of the one raw feature it is computed from; None where of several.
    """

    name: str
    source: Slot | Table
    feature: int | None = None


@dataclass(frozen=True)
class Matrix:
    """A float64 graph tensor of shape (rows, size) that holds columns in an order of its own.

    Attributes:
        tensor: the tensor's name.
        positions: where each column, in the frame's order, stands in the tensor; int64 (n,).
        size: number of the tensor's columns; more than n where some are not read.
        features: for each column, in the frame's order, the place of the one raw feature it is
            computed from, or None; only what `walk` returns says so.
    """

    tensor: str
    positions: npt.NDArray[np.int64]
    size: int
    features: tuple[int | None, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.positions)

    def arrange(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Bring the last axis of per-column values into the tensor's order, zero elsewhere."""
        numbers = np.asarray(values, dtype=np.float64)
        arranged = np.zeros((*numbers.shape[:-1], self.size))
        arranged[..., self.positions] = numbers
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
        self.n_categorical = n_categorical
        self._codes: list[str] = []

    def codes(self, raw: int) -> str:
        """Return the codes of one categorical column, int64 (rows, 1)."""
        if self.n_categorical == 1:
            return CATEGORICAL
        if not self._codes:
            self._codes = self._graph.add_many(
                "Split",
                CATEGORICAL,
                outputs=self.n_categorical,
                axis=1,
                num_outputs=self.n_categorical,
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
        if tensor in graph.complete:
            graph.complete.add(pieces[-1])
        order += [position for position, _ in members]
    looked_up = {
        raw: np.stack([table.values.astype(np.float64) for _, table in states], axis=1)
        for raw, states in tables.items()
    }
    pieces += look_up(graph, inputs, looked_up)
    order += [position for states in tables.values() for position, _ in states]
    packed = pieces[0] if len(pieces) == 1 else graph.add("Concat", *pieces, axis=1)
    if graph.complete.issuperset(pieces):
        graph.complete.add(packed)
    return Matrix(packed, np.argsort(np.asarray(order, dtype=np.int64)), len(order))


def look_up(
    graph: Graph, inputs: Inputs, tables: Mapping[int, npt.NDArray[np.float64]]
) -> list[str]:
    """Replace codes by the numbers that stand for them.

    Args:
        graph: receives the nodes.
        inputs: the graph's inputs.
        tables: by raw column, in order: numbers of shape (states, columns).

    Returns:
        The tensors that, side by side, hold the tables' columns in order.
    """
    alike = all(table.shape[1] == 1 for table in tables.values())
    if tables and alike and list(tables) == list(range(inputs.n_categorical)):
        # One number for each code: all the tables in a row, and each column's codes shifted to
        # where its own begins.
        starts = np.cumsum([0, *(len(table) for table in tables.values())])[:-1]
        codes = graph.add("Add", CATEGORICAL, graph.constant(starts, np.int64))
        flat = np.concatenate([table[:, 0] for table in tables.values()])
        tensors = [graph.add("Gather", graph.constant(flat), codes)]
    else:
        tensors = [
            graph.add("GatherND", graph.constant(table), inputs.codes(raw))
            for raw, table in tables.items()
        ]
    if not any(np.isnan(table).any() for table in tables.values()):
        graph.complete.update(tensors)
    return tensors


def spread(columns: Sequence[Column], tensor: str, matrix: Matrix) -> list[Column]:
    """Return the packed columns with `tensor`, of the same layout, as their new source."""
    return [
        replace(column, source=Slot(tensor, int(position), matrix.size))
        for column, position in zip(columns, matrix.positions, strict=True)
    ]
