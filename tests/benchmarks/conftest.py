"""A tiny workspace: model folder, fitted pipeline and table, as `dvc repro` leaves them."""

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression

from benchmarks.workspace import Workspace
from tests.app.conftest import write_model
from tests.conftest import params_with
from tests.stages.onnx_writer.conftest import PyCaret, pycaret

__all__ = ["pycaret"]


@pytest.fixture
def table_and_model(tmp_path: Path) -> Workspace:
    """Sixty rows and the served model."""
    table = pd.DataFrame(
        {
            "carat weight": np.linspace(0.2, 5.0, 60).round(2),
            "cut": ["Fair", "Good", "Ideal"] * 20,
            "certified": ["true", "false"] * 30,
            "sold": ["2020-01-01"] * 60,
            "price": np.arange(60.0),
        }
    )
    root = tmp_path / "workspace"
    workspace = Workspace(root)
    write_model(workspace.serving)
    (root / "data").mkdir()
    table.to_csv(root / "data" / "table.csv", index=False)
    params = params_with({"base.path": "data/table.csv"})
    (root / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    return workspace


@pytest.fixture
def workspace(table_and_model: Workspace, pycaret: PyCaret) -> Workspace:
    """The same with a pipeline that reads one of the columns."""
    workspace = table_and_model
    workspace.pipeline.parent.mkdir(parents=True)
    table = pd.read_csv(workspace.root / "data" / "table.csv")
    features = table.drop(columns="price").set_axis(workspace.columns, axis="columns")
    weight = make_column_transformer(("passthrough", [workspace.columns[0]]))
    weight.set_output(transform="pandas")
    pipeline = pycaret.pipeline([("weight", weight), ("actual_estimator", LinearRegression())])
    joblib.dump(pipeline.fit(features, table["price"]), workspace.pipeline)
    return workspace
