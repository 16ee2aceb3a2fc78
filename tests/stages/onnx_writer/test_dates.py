"""Dates are taken apart as pandas does it, for every day that pandas knows."""

import numpy as np
import pandas as pd
import pytest

from stages.onnx_writer.errors import NotConvertible
from stages.onnx_writer.graph import Graph
from stages.onnx_writer.preprocessing.columns import NUMERIC, Column, Inputs, Slot
from stages.onnx_writer.preprocessing.dates import FIELDS, take_apart
from tests.stages.onnx_writer.conftest import PyCaret, Run


@pytest.mark.parametrize("field", FIELDS)
def test_field_is_that_of_pandas(field: str, pycaret: PyCaret, run: Run) -> None:
    days = pd.date_range("1677-09-22", "2262-04-11", freq="D")
    dates = days + pd.to_timedelta(np.arange(len(days)) * 7919 % 86_400, unit="s")
    seconds = dates.to_numpy().astype("datetime64[s]").astype(float).reshape(-1, 1)
    graph = Graph()
    step = pycaret.dates([field])
    (column,) = take_apart(
        graph, Inputs(graph, 0), step, [Column("day", Slot(NUMERIC, 0, 1))], "step"
    )
    assert column.name == f"day_{field}"
    assert isinstance(column.source, Slot)
    found = run(graph, column.source.tensor, seconds)[:, 0]
    np.testing.assert_array_equal(found, getattr(dates, field))


def test_missing_date_stays_missing(pycaret: PyCaret, run: Run) -> None:
    graph = Graph()
    column, *_ = take_apart(
        graph,
        Inputs(graph, 0),
        pycaret.dates(["year"]),
        [Column("day", Slot(NUMERIC, 0, 1))],
        "step",
    )
    assert isinstance(column.source, Slot)
    assert np.isnan(run(graph, column.source.tensor, np.array([[np.nan]]))).all()


def test_unknown_field_is_refused(pycaret: PyCaret) -> None:
    graph = Graph()
    step = pycaret.dates(["day", "is_leap_year"])
    with pytest.raises(NotConvertible, match="is_leap_year"):
        take_apart(graph, Inputs(graph, 0), step, [], "step 'date_feature_extractor'")
