"""Second steps on honest folds, beside scikit-learn's own that is told the same folds."""

import pickle
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier
from onnxruntime import InferenceSession
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GroupKFold, TimeSeriesSplit
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from app.model.manifest import Feature, Task
from stages.deployment.conversion import convert
from stages.schema import Schema, model_frame
from stages.training.answers import Fold, answer
from stages.training.experiment import start
from stages.training.repairs import forget_time
from stages.training.search import Result, search
from stages.training.steps.second import MissingLabelError, calibrated, stacked
from stages.training.threads import one_thread
from tests.stages.training.test_search import train_params

GROUPS = np.repeat(np.arange(12), 25)


def rows(classes: int) -> tuple[pd.DataFrame, pd.Series]:
    """300 rows; the targets are numbers where there are no classes."""
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.normal(size=(300, 3)), columns=["a", "b", "c"])
    value = X["a"] + 2 * (X["b"] ** 2 > 1) + generator.normal(size=300) / 3 + np.sin(GROUPS) / 3
    if not classes:
        return X, value.rename("y")
    return X, pd.Series(pd.qcut(value, classes, labels=False), name="y")


def folds_of(estimator: Any, X: pd.DataFrame, y: pd.Series, splits: Any) -> list[Fold]:
    return [
        Fold(others, answer(clone(estimator).fit(X.iloc[known], y.iloc[known]), X.iloc[others]))
        for known, others in splits
    ]


def by_groups(X: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(GroupKFold(4).split(X, groups=GROUPS))


TREE: dict[bool, Any] = {
    False: DecisionTreeRegressor(max_depth=4, random_state=0),
    True: DecisionTreeClassifier(max_depth=4, random_state=0),
}
SHALLOW = {"dt": {"max_depth": 3}}
LINEAR: dict[bool, Any] = {False: Ridge(), True: LogisticRegression()}


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_stack_is_scikit_learns_with_the_same_folds(classes: int) -> None:
    X, y = rows(classes)
    is_label = classes > 0
    members = [("tree", TREE[is_label]), ("linear", LINEAR[is_label])]
    if classes == 2:
        members.append(("decisions", RidgeClassifier()))  # which has no probabilities
    splits = by_groups(X)
    ours, _ = stacked(members, [folds_of(one, X, y, splits) for _, one in members], y)
    theirs: Any = StackingRegressor(members, LinearRegression(), cv=splits)
    if is_label:
        theirs = StackingClassifier(members, LogisticRegression(), cv=splits)
    method = "predict_proba" if is_label else "predict"
    expected = getattr(theirs.fit(X, y), method)(X)
    fitted = clone(ours).fit(X, y)
    # The rows come in another order, so the sums are rounded otherwise
    np.testing.assert_allclose(
        getattr(fitted, method)(X), expected, rtol=1e-3 if is_label else 1e-9
    )
    np.testing.assert_array_equal(fitted.predict(X), pickle.loads(pickle.dumps(fitted)).predict(X))


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_calibration_is_scikit_learns_with_the_same_folds(classes: int, method: str) -> None:
    X, y = rows(classes)
    splits = by_groups(X)
    for base in (TREE[True], LINEAR[True]):
        ours, _ = calibrated(base, folds_of(base, X, y, splits), y, method)
        theirs = CalibratedClassifierCV(base, method=method, cv=splits, ensemble=False).fit(X, y)
        fitted = clone(ours).fit(X, y)
        np.testing.assert_allclose(fitted.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
        np.testing.assert_array_equal(fitted.predict(X), theirs.predict(X))


@pytest.mark.parametrize("classes", [0, 2])
def test_no_fold_is_answered_with_what_was_learned_from_it(classes: int) -> None:
    X, y = rows(classes)
    is_label = classes > 0
    members = [("tree", TREE[is_label]), ("linear", LINEAR[is_label])]
    folds = [folds_of(one, X, y, by_groups(X)) for _, one in members]
    _, honest = stacked(members, folds, y)
    other = y.copy()
    own = honest[0].rows
    other.iloc[own] = y.iloc[own].to_numpy()[::-1]
    _, changed = stacked(members, folds, other)
    np.testing.assert_array_equal(changed[0].answers["predict"], honest[0].answers["predict"])
    last = "predict_proba" if is_label else "predict"
    assert (changed[1].answers[last] != honest[1].answers[last]).any()


def test_a_fit_on_other_rows_fits_the_first_step_alone() -> None:
    X, y = rows(0)
    members = [("tree", TREE[False]), ("linear", LINEAR[False])]
    stack, _ = stacked(members, [folds_of(one, X, y, by_groups(X)) for _, one in members], y)
    some = clone(stack).fit(X[:100], y[:100])
    answers = [clone(one).fit(X[:100], y[:100]).predict(X) for _, one in members]
    second = stack.second.fitted
    expected = np.column_stack(answers) @ second.coef_ + second.intercept_
    np.testing.assert_allclose(some.predict(X), expected, rtol=1e-12)


def test_a_calibration_of_catboost_has_the_same_bytes_each_time() -> None:
    X, y = rows(2)
    base = CatBoostClassifier(iterations=3, random_seed=0, allow_writing_files=False, verbose=0)
    calibration, _ = calibrated(base, folds_of(base, X, y, by_groups(X)), y, "sigmoid")
    written = []
    for _ in range(2):
        fitted = clone(calibration).fit(X, y)
        forget_time(fitted)
        written.append(pickle.dumps(fitted))
    assert written[0] == written[1]


def test_labels_that_no_fold_answers_are_refused() -> None:
    X, y = rows(2)
    y = y.where(y.index >= 50, 0).where(y.index < 50, 1)  # the first rows alone have label 0
    y.iloc[:10] = 1
    folds = folds_of(TREE[True], X, y, TimeSeriesSplit(4).split(X))
    message = "some label has rows in fewer than two folds; take fewer"
    with pytest.raises(MissingLabelError, match=message):
        stacked([("tree", TREE[True])], [folds], y)
    with pytest.raises(MissingLabelError, match=message):
        calibrated(TREE[True], folds, y, "sigmoid")


def searched(
    task: Task, strategy: Literal["group", "time"], y: pd.Series, **changes: Any
) -> tuple[Result, Schema, pd.DataFrame]:
    """What a search comes to, and rows to ask about."""
    X, _ = rows(0)
    frame = X.assign(g=GROUPS, y=y.to_numpy())
    schema = Schema(
        task=task,
        target="y",
        classes=tuple(sorted(set(y))) if task == "classification" else (),
        features=tuple(Feature(name=name, kind="number") for name in X.columns),
        strategy=strategy,
        split_column="g",
        data_md5="0.dir",
    )
    params = train_params(task, folds=4, **changes)
    with one_thread():
        experiment = start(frame[:250], frame[250:], schema, params, seed=1, logger=None)
        return search(experiment, params), schema, model_frame(frame[250:], schema)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("strategy", ["group", "time"])
@pytest.mark.parametrize(
    ("task", "changes", "step"),
    [
        ("regression", {"models": [SHALLOW, "ridge"], "stack": 2}, "stack"),
        ("classification", {"models": [SHALLOW, "lr"], "stack": 2, "sort": "AUC"}, "stack"),
        (
            "classification",
            {"calibrate": "isotonic", "models": ["dt"], "sort": "Brier"},
            "calibrate",
        ),
    ],
)
def test_a_search_tries_it_by_groups_and_time_and_the_graph_answers_the_same(
    task: Task, strategy: Literal["group", "time"], changes: dict[str, Any], step: str
) -> None:
    labels = {0: "low", 1: "high"}
    y = rows(0)[1] if task == "regression" else rows(2)[1].map(labels)
    result, schema, some = searched(task, strategy, y, **changes)
    board = result.leaderboard
    assert board["step"].tolist().count(step) == 1
    assert board["step"][0] == step
    assert type(result.pipeline.steps[-1][1]).__name__.startswith("Fixed")
    session = InferenceSession(convert(result.pipeline, schema, "onnx"))
    answers = dict(
        zip(
            [one.name for one in session.get_outputs()],
            session.run(None, {"numeric": some.to_numpy(dtype=float)}),
            strict=True,
        )
    )
    if task == "regression":
        np.testing.assert_allclose(answers["prediction"], result.pipeline.predict(some), rtol=1e-9)
    else:
        expected = result.pipeline.predict_proba(some)
        np.testing.assert_allclose(answers["probabilities"], expected, rtol=1e-9)
