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
    """A float64 graph tensor of shape (rows, n) that holds n columns in an order of its own.

    Attributes:
        tensor: the tensor's name.
        positions: where each column, in the frame's order, stands in the tensor; int64 (n,).
    """

    tensor: str
    positions: npt.NDArray[np.int64]

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.positions)

    def arrange(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Reorder the last axis of per-column values from the frame's to the tensor's order."""
        arranged = np.empty_like(given := np.asarray(values, dtype=np.float64))
        arranged[..., self.positions] = given
        return arranged

    def ordered(self, graph: Graph) -> str:
        """Return the tensor with its columns in the frame's order."""
        if np.array_equal(self.positions, np.arange(self.width)):
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
    groups: dict[str | int, list[int]] = {}
    for position, column in enumerate(columns):
        source = column.source
        groups.setdefault(
            source.tensor if isinstance(source, Slot) else source.raw, []
        ).append(position)
    pieces: list[str] = []
    order: list[int] = []
    for members in groups.values():
        source = columns[members[0]].source
        if isinstance(source, Slot):
            slots = {_slot(columns[m]).index: m for m in reversed(members)}
            indices = sorted(slots)
            if len(slots) != len(members):
                # A column used twice: no shorter way than one entry for each use.
                indices = [_slot(columns[m]).index for m in members]
                order += members
            else:
                order += [slots[index] for index in indices]
            pieces.append(
                source.tensor
                if indices == list(range(source.width))
                else graph.add(
                    "Gather", source.tensor, graph.constant(indices, np.int64), axis=1
                )
            )
        else:
            table = np.stack([_table(columns[m]).values.astype(np.float64) for m in members], axis=1)
            order += members
            pieces.append(graph.add("GatherND", graph.constant(table), inputs.codes(source.raw)))
    tensor = pieces[0] if len(pieces) == 1 else graph.add("Concat", *pieces, axis=1)
    return Matrix(tensor, np.argsort(np.asarray(order, dtype=np.int64)))


def spread(columns: Sequence[Column], tensor: str, positions: npt.NDArray[np.int64]) -> list[Column]:
    """Return the columns with `tensor` as their new source, at the given positions."""
    return [
        replace(column, source=Slot(tensor, int(position), len(columns)))
        for column, position in zip(columns, positions, strict=True)
    ]


def _slot(column: Column) -> Slot:
    assert isinstance(column.source, Slot)
    return column.source


def _table(column: Column) -> Table:
    assert isinstance(column.source, Table)
    return column.source
