"""The canonical form of trees: thresholds, missing values, and what each library's trees say."""

from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from onnx import numpy_helper
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

from stages.onnx_writer.errors import NotConvertible
from stages.onnx_writer.estimators.regressors import regress
from stages.onnx_writer.estimators.trees import at_most_float32, below_float32
from stages.onnx_writer.graph import Graph
from tests.stages.onnx_writer.conftest import Run, whole

Floats = npt.NDArray[np.float64]
BOUNDS = np.array(
    [
        *(0.0, -0.0, 1.0, 0.1, -2.5, 16777217.0, 3e38, -3e38, 1e-45, -1e-45, 1.1754944e-38),
        *(3.4028234663852886e38, -3.4028234663852886e38),
    ]
)


def _beside(values: Floats) -> Floats:
    return np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)])


def test_below_float32_is_the_last_value_that_rounds_below() -> None:
    bounds = BOUNDS.astype(np.float32)
    last = below_float32(bounds)
    with np.errstate(over="ignore"):
        assert (last.astype(np.float32) < bounds).all()
        assert (np.nextafter(last, np.inf).astype(np.float32) >= bounds).all()


def test_at_most_float32_is_the_last_value_that_rounds_to_at_most() -> None:
    bounds = _beside(BOUNDS)
    last = at_most_float32(bounds)
    with np.errstate(over="ignore"):
        assert (last.astype(np.float32) <= bounds).all()
        assert (np.nextafter(last, np.inf).astype(np.float32) > bounds).all()


def test_infinite_threshold_of_a_split_on_missing_values_stays() -> None:
    assert at_most_float32(np.array([np.inf])).tolist() == [np.inf]


def _table(missing_share: float) -> tuple[Floats, Floats]:
    random = np.random.default_rng(3)
    X = np.column_stack(
        [
            random.normal(size=300).round(1),
            random.integers(0, 3, 300) / 10,
            random.lognormal(0, 9, 300),
        ]
    )
    X[random.random(X.shape) < missing_share] = np.nan
    return X, np.nan_to_num(X[:, 0]) + 3 * np.isnan(X[:, 1]) + random.normal(size=300) / 9


def _rows(X: Floats, thresholds: Floats) -> Floats:
    """Return the training rows, and rows on and beside the thresholds, zero, and missing."""
    thresholds = thresholds[np.abs(thresholds) < 1e38]
    single = thresholds.astype(np.float32)
    near = np.concatenate(
        [
            _beside(thresholds),
            np.nextafter(single, np.float32(np.inf)).astype(np.float64),
            np.nextafter(single, np.float32(-np.inf)).astype(np.float64),
            _beside(single.astype(np.float64)),
            [0.0, -0.0, 1e-36, -1e-36, np.nan, 1e30, -1e30],
        ]
    )
    rows = np.repeat(X[:1], 3 * len(near), axis=0)
    for column in range(3):
        rows[column * len(near) : (column + 1) * len(near), column] = near
    return np.concatenate([X, rows])


def _splits(graph: Graph) -> Floats:
    (node,) = [node for node in graph.nodes if node.op_type == "TreeEnsemble"]
    (splits,) = [a.t for a in node.attribute if a.name == "nodes_splits"]
    found: Floats = np.unique(numpy_helper.to_array(splits).astype(np.float64))
    return found


LIBRARIES: dict[str, tuple[Callable[[], Any], float]] = {
    "lightgbm": (
        lambda: lightgbm.LGBMRegressor(n_estimators=20, min_child_samples=3, verbose=-1, n_jobs=1),
        1e-12,
    ),
    "xgboost": (lambda: xgboost.XGBRegressor(n_estimators=20, n_jobs=1), 0.0),
    "xgboost dart": (
        lambda: xgboost.XGBRegressor(n_estimators=9, booster="dart", rate_drop=0.5, n_jobs=1),
        1e-5,
    ),
    "catboost": (
        lambda: catboost.CatBoostRegressor(
            iterations=20, verbose=0, allow_writing_files=False, thread_count=1
        ),
        1e-12,
    ),
    "catboost, missing as maximum": (
        lambda: catboost.CatBoostRegressor(
            iterations=20, nan_mode="Max", verbose=0, allow_writing_files=False, thread_count=1
        ),
        1e-12,
    ),
    "decision tree": (lambda: DecisionTreeRegressor(random_state=1), 1e-12),
    "random forest": (lambda: RandomForestRegressor(n_estimators=9, random_state=1), 1e-12),
}


@pytest.mark.parametrize("missing_share", [0.0, 0.2], ids=["complete", "missing"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_branch_is_the_library_s(library: str, missing_share: float, run: Run) -> None:
    build, tolerance = LIBRARIES[library]
    X, y = _table(missing_share)
    model = build().fit(X, y)
    graph = Graph()
    tensor = regress(graph, whole(3), model).emit(graph, whole(3))
    rows = _rows(X, _splits(graph))
    if missing_share == 0 and library in ("decision tree", "random forest"):
        rows = rows[~np.isnan(rows).any(axis=1)]  # scikit-learn refuses them
    found = run(graph, tensor, rows)[:, 0]
    np.testing.assert_allclose(found, model.predict(rows), rtol=tolerance, atol=tolerance)


def test_a_model_without_any_split_is_its_constant(run: Run) -> None:
    X, _ = _table(0.0)
    model = DecisionTreeRegressor().fit(X, np.full(300, 7.5))
    graph = Graph()
    tensor = regress(graph, whole(3), model).emit(graph, whole(3))
    assert run(graph, tensor, np.full((4, 3), np.nan)).tolist() == [[7.5]] * 4


def test_lightgbm_with_zero_as_missing_is_refused() -> None:
    X, y = _table(0.2)
    model = lightgbm.LGBMRegressor(n_estimators=3, zero_as_missing=True, verbose=-1).fit(X, y)
    with pytest.raises(NotConvertible, match=r"LGBMRegressor.*zero as missing.*deploy.runtime"):
        regress(Graph(), whole(3), model)


def test_lightgbm_poisson_is_refused() -> None:
    X, y = _table(0.0)
    model = lightgbm.LGBMRegressor(n_estimators=3, objective="poisson", verbose=-1)
    model.fit(X, np.exp(y / 9))
    with pytest.raises(NotConvertible, match=r"objective poisson"):
        regress(Graph(), whole(3), model)


def test_xgboost_linear_booster_is_refused() -> None:
    X, y = _table(0.0)
    model = xgboost.XGBRegressor(n_estimators=3, booster="gblinear", n_jobs=1).fit(X, y)
    with pytest.raises(NotConvertible, match=r"gblinear"):
        regress(Graph(), whole(3), model)


def test_early_stopped_xgboost_answers_with_its_best_trees(run: Run) -> None:
    X, y = _table(0.0)
    random = np.random.default_rng(1)
    model = xgboost.XGBRegressor(n_estimators=50, early_stopping_rounds=2, n_jobs=1)
    model.fit(X, y, eval_set=[(X, random.normal(size=300))], verbose=False)
    assert model.best_iteration < 40
    graph = Graph()
    tensor = regress(graph, whole(3), model).emit(graph, whole(3))
    np.testing.assert_allclose(run(graph, tensor, X)[:, 0], model.predict(X), rtol=1e-5)


def test_forest_s_trees_share_one_node() -> None:
    X, y = _table(0.0)
    model = ExtraTreesRegressor(n_estimators=5, random_state=1).fit(X, y)
    graph = Graph()
    regress(graph, whole(3), model).emit(graph, whole(3))
    assert [node.op_type for node in graph.nodes] == ["TreeEnsemble"]
