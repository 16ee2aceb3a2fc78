import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from app.model.manifest import Feature
from stages.evaluation.importance import importance
from stages.schema import Schema


def test_the_feature_that_matters_comes_first_under_its_own_name() -> None:
    generator = np.random.default_rng(2)
    X = pd.DataFrame(generator.normal(size=(400, 2)), columns=["c_noise_0", "c_floor_area_0"])
    y = 10 * X["c_floor_area_0"]
    schema = Schema(
        task="regression",
        target="y",
        features=(Feature(name="noise?", kind="number"), Feature(name="floor area", kind="number")),
        strategy="random",
        data_md5="0.dir",
    )
    table = importance(LinearRegression().fit(X, y), X, y, schema, seed=1)
    assert table["feature"].tolist() == ["floor area", "noise?"]
    # A shuffled feature's answer differs from the true one by two independent draws.
    assert table["importance"].iloc[0] == pytest.approx(10 * np.sqrt(2), rel=0.1)
    assert table["importance"].iloc[1] == pytest.approx(0, abs=1e-9)


def test_a_wide_table_does_not_hold_the_stage_up() -> None:
    class Counter(LinearRegression):
        asked = 0

        def predict(self, X: pd.DataFrame) -> np.ndarray:
            self.asked += len(X)
            return np.asarray(super().predict(X))

    generator = np.random.default_rng(2)
    names = [f"f{number}" for number in range(100)]
    X = pd.DataFrame(generator.normal(size=(1000, 100)), columns=names)
    y = X["f7"] * 3
    schema = Schema(
        task="regression",
        target="y",
        features=tuple(Feature(name=name, kind="number") for name in names),
        strategy="random",
        data_md5="0.dir",
    )
    model = Counter().fit(X, y)
    assert importance(model, X, y, schema, seed=1)["feature"].iloc[0] == "f7"
    assert 25_000 < model.asked < 35_000
