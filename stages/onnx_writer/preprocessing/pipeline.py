"""Walks a fitted pipeline's preprocessing, step by step, to the matrix its estimator reads.

Everything done to a categorical column before it is a number is a function of that column's
value alone. So it is not translated but *tabulated*: a probe frame, in which each categorical
column takes each of its states in turn, goes through the fitted steps themselves, and what comes
out is the table. Steps on numbers are written as nodes (`stages.onnx_writer.preprocessing.steps`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import NotConvertible
from ..features import Feature
from ..graph import Graph
from .columns import (
    NUMERIC,
    Column,
    Inputs,
    Matrix,
    Slot,
    Table,
    pack,
)
from .dates import take_apart
from .steps import (
    COLUMNWISE,
    REFUSED,
    SELECTORS,
    columnwise,
    keeps_values,
    mix,
)


@dataclass(frozen=True)
class Probe:
    """Which rows of the probe frame show which states.

    A categorical column's states are its categories, an unseen text, and missing, in the order
    of its codes; and, last, another unseen text, which must come out as the first one does.
    Row 0 has every categorical column in state 0; then one block per categorical column, in
    which that column alone takes each of its states; then rows in which all of them differ.

    Attributes:
        state: the state of each categorical column in each row, shape (rows, columns).
        sizes: the number of states of each categorical column.
    """

    state: npt.NDArray[np.int64]
    sizes: tuple[int, ...]

    @classmethod
    def over(cls, sizes: Sequence[int]) -> "Probe":
        """Lay out the rows for categorical columns with the read numbers of states."""
        blocks = [np.zeros((1, len(sizes)), dtype=np.int64)]
        for raw, size in enumerate(sizes):
            block = np.zeros((size, len(sizes)), dtype=np.int64)
            block[:, raw] = np.arange(size)
            blocks.append(block)
        mixed = np.arange(2 * max(sizes, default=0))[:, None] * np.arange(1, len(sizes) + 1)
        blocks.append(mixed % np.array(sizes, dtype=np.int64).reshape(1, -1))
        return cls(np.concatenate(blocks), tuple(sizes))

    def block(self, raw: int) -> slice:
        """Return the rows in which column `raw` takes its states in order."""
        start = 1 + sum(self.sizes[:raw])
        return slice(start, start + self.sizes[raw])

    def table(self, values: npt.NDArray[np.object_], part: str, name: str) -> Table:
        """Find the one categorical column that the values depend on.

        Args:
            values: one value for each probe row.
            part: the step, for the error.
            name: the column, for the error.

        Raises:
            NotConvertible: the values depend on more than the state of one column.
        """
        if not self.sizes:
            raise NotConvertible(part, f"column '{name}' is not computed from any feature")
        blocks = [values[self.block(raw)] for raw in range(len(self.sizes))]
        differs = [raw for raw, block in enumerate(blocks) if not _same(block, values[:1]).all()]
        raw = differs[0] if differs else 0
        if not _same(values, blocks[raw][self.state[:, raw]]).all():
            raise NotConvertible(part, f"column '{name}' depends on several categorical features")
        unseen, _missing, other_unseen = blocks[raw][-3:]
        # While they are still texts they differ by nature.
        encoded = not isinstance(other_unseen, str)
        if encoded and not _same(np.array([unseen]), np.array([other_unseen])).all():
            raise NotConvertible(part, f"column '{name}' looks into texts that training never saw")
        return Table(raw, blocks[raw][:-1])


def unseen_text(categories: Sequence[str]) -> str:
    """Return a text that is not among the categories."""
    text = "unseen"
    while text in categories:
        text += "_"
    return text


def walk(
    graph: Graph,
    inputs: Inputs,
    steps: Sequence[tuple[str, Any]],
    features: Sequence[Feature],
    columns: Sequence[str],
) -> Matrix:
    """Convert the preprocessing steps.

    Args:
        graph: receives the nodes.
        inputs: the graph's inputs.
        steps: (name, fitted transformer) of the steps that run at prediction.
        features: the raw features, in packing order.
        columns: their names in the pipeline's frame.

    Returns:
        The matrix that the final estimator reads.

    Raises:
        NotConvertible: a step has no exact counterpart.
    """
    frame, probe, state = _start(features, columns)
    for name, step in steps:
        part = f"step '{name}' ({type(_inner(step)).__name__})"
        if type(_inner(step)).__name__ in REFUSED:
            raise NotConvertible(part, REFUSED[type(_inner(step)).__name__])
        try:
            after = step.transform(frame.copy())
        except (TypeError, ValueError) as error:
            raise NotConvertible(
                part, f"it fails on missing or unseen categories ({error})"
            ) from error
        if len(after) != len(frame):
            raise NotConvertible(part, "it drops rows")
        state = _advance(graph, inputs, step, part, state, probe, after)
        frame = after
    for column in state:
        if isinstance(column.source, Table):
            _require_numbers(column.name, column.source)
    categorical = [place for place, feature in enumerate(features) if feature.kind == "category"]
    origins = [
        categorical[column.source.raw] if isinstance(column.source, Table) else column.feature
        for column in state
    ]
    return replace(pack(graph, inputs, state), features=tuple(origins))


def _start(
    features: Sequence[Feature], columns: Sequence[str]
) -> tuple[pd.DataFrame, Probe, list[Column]]:
    """Return the probe frame and the raw columns."""
    numbers = [feature for feature in features if feature.kind != "category"]
    states = [_states(feature.categories) for feature in features if feature.kind == "category"]
    probe = Probe.over([len(values) for values in states])
    data: dict[str, Any] = {}
    state = []
    slot = raw = 0
    source: Slot | Table
    for place, (feature, column) in enumerate(zip(features, columns, strict=True)):
        if feature.kind == "category":
            data[column] = states[raw][probe.state[:, raw]]
            source = Table(raw, states[raw][:-1])
            raw += 1
        else:
            value = np.full(len(probe.state), feature.minimum or 0.0)
            data[column] = pd.to_datetime(value, unit="s") if feature.kind == "date" else value
            source = Slot(NUMERIC, slot, len(numbers))
            slot += 1
        state.append(Column(column, source, place))
    return pd.DataFrame(data), probe, state


def _advance(
    graph: Graph,
    inputs: Inputs,
    step: Any,
    part: str,
    state: list[Column],
    probe: Probe,
    after: pd.DataFrame,
) -> list[Column]:
    """Return the columns after one step."""
    inner = _inner(step)
    kind = type(inner).__name__
    names = [str(name) for name in after.columns]
    if keeps_values(inner):
        return [replace(column, name=name) for column, name in zip(state, names, strict=True)]
    included = list(step._include or [])
    columns = {column.name: column for column in state if column.name not in included}
    by_name = {column.name: column for column in state}
    read = [by_name[name] for name in included]
    slots = [column for column in read if isinstance(column.source, Slot)]
    if kind in SELECTORS:
        produced = read
    elif kind == "ExtractDateTimeFeatures":
        produced = take_apart(graph, inputs, inner, read, part)
    elif kind in COLUMNWISE and slots:
        produced = columnwise(graph, inputs, inner, read, slots, part)
    elif slots:
        produced = mix(graph, inputs, inner, read, part)
    else:
        produced = []
    columns |= {column.name: column for column in produced}
    return [
        columns[name]
        if name in columns
        else Column(name, probe.table(after[name].to_numpy(dtype=object), part, name))
        for name in names
    ]


def _states(categories: Sequence[str]) -> npt.NDArray[np.object_]:
    """Return the values of a categorical column's states (see `Probe`)."""
    unseen = unseen_text(categories)
    # Made of known words, for steps that take texts apart.
    other = " ".join([*categories[:2], unseen])
    return np.array([*categories, unseen, np.nan, other], dtype=object)


def _inner(step: Any) -> Any:
    return getattr(step, "transformer", step)


def _require_numbers(name: str, table: Table) -> None:
    try:
        table.values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise NotConvertible(
            f"column '{name}'", "the estimator reads it as text, not as a number"
        ) from error


def _same(left: npt.NDArray[np.object_], right: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """Compare values where missing equals missing."""
    both_missing = pd.isna(left) & pd.isna(right)
    same: npt.NDArray[np.bool_] = both_missing | (left == right)
    return same
