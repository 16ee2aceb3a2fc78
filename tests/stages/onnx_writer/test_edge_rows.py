"""Hard rows for the proof."""

from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from app.model.manifest import Feature
from stages.onnx_writer import edge_rows
from stages.onnx_writer.convert import thresholds
from tests.stages.onnx_writer.conftest import PyCaret

FEATURES = [
    Feature(name="size", kind="number", minimum=-3.0, maximum=3.0),
    Feature(name="flag", kind="boolean", minimum=0.0, maximum=1.0),
    Feature(name="day", kind="date", minimum=0.0, maximum=1e9),
]
COLUMNS = ["size", "flag", "day"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": random.normal(size=90),
            "flag": random.integers(0, 2, 90).astype(float),
            "day": pd.to_datetime(random.integers(0, 10**9, 90), unit="s"),
        }
    )


def _pipeline(pycaret: PyCaret, frame: pd.DataFrame, model: Any) -> Any:
    dates = pycaret.wrapper(pycaret.dates(["year"]), include=["day"])
    pipeline = pycaret.pipeline([("dates", dates), ("model", model)])
    pipeline.fit(frame.copy(), pd.Series(frame["size"] + frame["flag"], name="y"))
    return pipeline


@pytest.fixture(scope="module")
def boosted(pycaret: PyCaret, frame: pd.DataFrame) -> Any:
    return _pipeline(pycaret, frame, lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1))


def test_edge_rows_hit_thresholds_and_their_neighbours(frame: pd.DataFrame, boosted: Any) -> None:
    rows = edge_rows(frame, FEATURES, COLUMNS, boosted)
    split = thresholds(boosted, FEATURES, COLUMNS)[0][0]
    wanted = {split, np.nextafter(split, np.inf), np.nextafter(split, -np.inf), np.float32(split)}
    assert wanted <= set(rows["size"])


def test_edge_rows_miss_each_column_and_all_within_the_date_step_s_share(
    frame: pd.DataFrame, boosted: Any
) -> None:
    rows = edge_rows(frame, FEATURES, COLUMNS, boosted)
    assert rows.isna().all(axis=1).sum() == 1
    assert rows.isna().sum().tolist() == [2, 2, 2]
    assert rows["day"].isna().mean() <= 0.1
    assert np.isfinite(boosted.predict(rows.copy())).all()


def test_edge_rows_keep_types_and_are_the_same_each_time(frame: pd.DataFrame, boosted: Any) -> None:
    rows = edge_rows(frame, FEATURES, COLUMNS, boosted)
    assert rows.dtypes.tolist() == frame.dtypes.tolist()
    pd.testing.assert_frame_equal(rows, edge_rows(frame, FEATURES, COLUMNS, boosted))


def test_edge_rows_leave_out_what_the_pipeline_refuses(
    pycaret: PyCaret, frame: pd.DataFrame
) -> None:
    pipeline = _pipeline(pycaret, frame, LinearRegression())
    rows = edge_rows(frame, FEATURES, COLUMNS, pipeline)
    assert not rows.isna().any().any()
    assert {-3.0, 3.0, 0.0} <= set(rows["size"])
