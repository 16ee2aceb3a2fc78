"""Walks a fitted pipeline's preprocessing, step by step, to the matrix its estimator reads.

Everything done to a categorical column before it is a number is a function of that column's
value alone. So it is not translated but *tabulated*: a probe frame, in which each categorical
column takes each of its states in turn, goes through the fitted steps themselves, and what comes
out is the table. Steps on numbers are written as nodes (`stages.export.steps`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from app.manifest import Feature
from stages.export.columns import NUMERIC, Column, Inputs, Matrix, Slot, Table, pack
from stages.export.dates import take_apart
from stages.export.errors import NotConvertible
from stages.export.graph import Graph
from stages.export.steps import COLUMNWISE, RENAMERS, SELECTORS, columnwise, mix


@dataclass(frozen=True)
class Probe:
    """Which rows of the probe frame show which states.

    Row 0 has every categorical column in state 0; then one block per categorical column, in
    which that column alone takes each of its states; then rows in which all of them differ.
    """

    codes: npt.NDArray[np.int64]
    states: tuple[int, ...]

    @classmethod
    def over(cls, states: Sequence[int]) -> "Probe":
        """Lay out the rows for categorical columns with the given numbers of states."""
        blocks = [np.zeros((1, len(states)), dtype=np.int64)]
        for raw, count in enumerate(states):
            block = np.zeros((count, len(states)), dtype=np.int64)
            block[:, raw] = np.arange(count)
            blocks.append(block)
        steps = np.arange(2 * max(states, default=0))[:, None]
        strides = np.arange(1, len(states) + 1)
        blocks.append(steps * strides % np.array(states, dtype=np.int64).reshape(1, -1))
        return cls(np.concatenate(blocks), tuple(states))

    def block(self, raw: int) -> slice:
        """Return the rows in which column `raw` takes its states in order."""
        start = 1 + sum(self.states[:raw])
        return slice(start, start + self.states[raw])

    def table(self, values: npt.NDArray[np.object_], part: str, name: str) -> Table:
        """Find the one categorical column that the values depend on.

        Args:
            values: one value for each probe row.
            part: the step, for the error.
            name: the column, for the error.

        Raises:
            NotConvertible: the values depend on more than one column.
        """
        if not self.states:
            raise NotConvertible(part, f"column '{name}' is not computed from any feature")
        differs = [
            raw
            for raw in range(len(self.states))
            if not _same(values[self.block(raw)], values[:1]).all()
        ]
        raw = differs[0] if differs else 0
        table = Table(raw, values[self.block(raw)])
        if not _same(values, table.values[self.codes[:, raw]]).all():
            raise NotConvertible(part, f"column '{name}' depends on several categorical features")
        return table


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
        after = step.transform(frame.copy())
        if len(after) != len(frame):
            raise NotConvertible(part, "it drops rows")
        state = _advance(graph, inputs, step, part, state, probe, after)
        frame = after
    for column in state:
        if isinstance(column.source, Table):
            _require_numbers(column.name, column.source)
    return pack(graph, inputs, state)


def _start(
    features: Sequence[Feature], columns: Sequence[str]
) -> tuple[pd.DataFrame, Probe, list[Column]]:
    """Return the probe frame and the raw columns."""
    numbers = [feature for feature in features if feature.kind != "category"]
    states = [
        [*feature.categories, unseen_text(feature.categories), np.nan]
        for feature in features
        if feature.kind == "category"
    ]
    probe = Probe.over([len(values) for values in states])
    data: dict[str, Any] = {}
    state = []
    slot = raw = 0
    source: Slot | Table
    for feature, column in zip(features, columns, strict=True):
        if feature.kind == "category":
            values = np.array(states[raw], dtype=object)
            data[column] = values[probe.codes[:, raw]]
            source = Table(raw, values)
            raw += 1
        else:
            value = np.full(len(probe.codes), feature.minimum or 0.0)
            data[column] = pd.to_datetime(value, unit="s") if feature.kind == "date" else value
            source = Slot(NUMERIC, slot, len(numbers))
            slot += 1
        state.append(Column(column, source))
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
    if kind in RENAMERS:
        return [replace(column, name=name) for column, name in zip(state, names, strict=True)]
    included = list(step._include or [])
    known = {column.name: column for column in state if column.name not in included}
    by_name = {column.name: column for column in state}
    given = [by_name[name] for name in included]
    slots = [column for column in given if isinstance(column.source, Slot)]
    if kind in SELECTORS:
        produced = given
    elif kind == "ExtractDateTimeFeatures":
        produced = take_apart(graph, inputs, inner, given, part)
    elif kind in COLUMNWISE and slots:
        produced = columnwise(graph, inputs, inner, given, slots, part)
    elif slots:
        made = [str(name) for name in inner.get_feature_names_out()]
        produced = mix(graph, inputs, inner, given, made, part)
    else:
        produced = []
    known |= {column.name: column for column in produced}
    return [
        known[name]
        if name in known
        else Column(name, probe.table(after[name].to_numpy(dtype=object), part, name))
        for name in names
    ]


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
