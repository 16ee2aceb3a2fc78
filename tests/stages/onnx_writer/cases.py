"""Every preprocessing option and estimator that the conversion is tried on.

What comes out is the content of docs/conversion.md (`tests.stages.onnx_writer.document`).
"""

import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from app.model.manifest import Task
from stages.onnx_writer import NotConvertible
from stages.training.estimators import linear_lightgbm
from tests.stages.onnx_writer.nasty import measure, table

CLASSES = {"regression": 0, "binary": 2, "multiclass": 3}
BOUNDS = {1e-9: "≤ 1e-9", 1e-5: "≤ 1e-5"}

# The estimators and their arguments are PyCaret's own, but for the last.
REGRESSORS = (
    *("lr", "lasso", "ridge", "en", "lar", "llar", "omp", "br", "ard", "par", "ransac", "tr"),
    *("huber", "kr", "svm", "knn", "dt", "rf", "et", "ada", "gbr", "mlp"),
    *("xgboost", "lightgbm", "catboost", "dummy", "linear_lightgbm"),
)
CLASSIFIERS = (
    *("lr", "knn", "nb", "dt", "svm", "rbfsvm", "gpc", "mlp", "ridge", "rf", "qda", "ada"),
    *("gbc", "lda", "et", "xgboost", "lightgbm", "catboost", "dummy"),
)
# Kept small, for time: what is converted does not depend on the number of members.
FEWER: dict[str, dict[str, Any]] = {
    "ada": {"n_estimators": 15},
    "catboost": {"iterations": 25},
    "et": {"n_estimators": 12},
    "gbc": {"n_estimators": 15},
    "gbr": {"n_estimators": 15},
    "lightgbm": {"n_estimators": 15, "min_child_samples": 5},
    "linear_lightgbm": {"n_estimators": 15, "min_child_samples": 5},
    "mlp": {"max_iter": 40},
    "rf": {"n_estimators": 12},
    "tr": {"max_subpopulation": 50, "max_iter": 20},
    "xgboost": {"n_estimators": 15},
}

# A step works on features, so one kind of target is enough for most.
TASK_OF_OPTION = {
    "defaults, classification": "multiclass",
    "`fix_imbalance`": "multiclass",
    "`max_encoding_ohe: 0` (target encoding), classification": "multiclass",
}
# What the estimators are tried on: how the features came about makes no difference to them.
NUMBERS_ONLY = "`ignore_features`"
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "defaults, classification": {},
    NUMBERS_ONLY: {"ignore_features": ["day", "colour", "answer", "town"]},
    "`numeric_imputation: median`": {"numeric_imputation": "median"},
    "`numeric_imputation: mode`": {"numeric_imputation": "mode"},
    "`numeric_imputation: -1`": {"numeric_imputation": -1},
    "`numeric_imputation: knn`": {"numeric_imputation": "knn"},
    "`numeric_imputation: drop`": {"numeric_imputation": "drop"},
    "`categorical_imputation: not_available`": {"categorical_imputation": "not_available"},
    "`imputation_type: iterative`": {
        "imputation_type": "iterative",
        "iterative_imputation_iters": 1,
    },
    "`imputation_type: null`": {"imputation_type": None},
    "`max_encoding_ohe: 0` (target encoding)": {"max_encoding_ohe": 0},
    "`max_encoding_ohe: 0` (target encoding), classification": {"max_encoding_ohe": 0},
    "`max_encoding_ohe: -1` (one-hot only)": {"max_encoding_ohe": -1},
    "`ordinal_features`": {"ordinal_features": {"colour": ["blue", "dark green", "red"]}},
    "`rare_to_value: 0.03`": {"rare_to_value": 0.03},
    "`create_date_columns`, all fields": {
        "create_date_columns": [
            "day",
            "month",
            "year",
            "hour",
            "minute",
            "second",
            "weekday",
            "quarter",
        ]
    },
    "`bin_numeric_features`": {"bin_numeric_features": ["size"], "ignore_features": ["day"]},
    "`group_features`": {"group_features": {"sizes": ["size", "weight", "count"]}},
    "`normalize: zscore`": {"normalize": True},
    "`normalize: minmax`": {"normalize": True, "normalize_method": "minmax"},
    "`normalize: maxabs`": {"normalize": True, "normalize_method": "maxabs"},
    "`normalize: robust`": {"normalize": True, "normalize_method": "robust"},
    "`transformation: yeo-johnson`": {"transformation": True},
    "`transformation: quantile`": {
        "transformation": True,
        "transformation_method": "quantile",
    },
    "`polynomial_features`, degree 2": {"polynomial_features": True, "ignore_features": ["town"]},
    "`polynomial_features`, degree 3": {
        "polynomial_features": True,
        "polynomial_degree": 3,
        "ignore_features": ["town", "colour"],
    },
    "`low_variance_threshold: 0.1`": {"low_variance_threshold": 0.1},
    "`remove_multicollinearity`": {
        "remove_multicollinearity": True,
        "multicollinearity_threshold": 0.3,
    },
    "`pca: linear`": {"pca": True, "pca_components": 5, "normalize": True},
    "`pca: incremental`": {"pca": True, "pca_method": "incremental", "pca_components": 5},
    "`pca: kernel`": {"pca": True, "pca_method": "kernel", "pca_components": 5},
    "`feature_selection: classic`": {
        "feature_selection": True,
        # LightGBM, the default here, renames columns with a space in them and then fails.
        "feature_selection_estimator": "rf",
        "n_features_to_select": 0.6,
    },
    "`feature_selection: univariate`": {
        "feature_selection": True,
        "feature_selection_method": "univariate",
        "n_features_to_select": 0.6,
    },
    "`feature_selection: sequential`": {
        "feature_selection": True,
        "feature_selection_method": "sequential",
        "feature_selection_estimator": "ridge",
        "n_features_to_select": 4,
    },
    "`remove_outliers`": {"remove_outliers": True},
    "`fix_imbalance`": {"fix_imbalance": True},
    "`transform_target: yeo-johnson`": {"transform_target": True},
    "`transform_target: quantile`": {
        "transform_target": True,
        "transform_target_method": "quantile",
    },
    "`text_features`": {"text_features": ["town"]},
}


def _blend(experiment: Any, kind: str, **options: Any) -> Any:
    members = [_fit(experiment, name) for name in ("lightgbm", LINEAR[kind], "dt")]
    return experiment.blend_models(members, fold=2, verbose=False, **options)


def _stack(experiment: Any, kind: str, **options: Any) -> Any:
    members = [_fit(experiment, name) for name in ("lightgbm", LINEAR[kind], "xgboost")]
    return experiment.stack_models(members, fold=2, verbose=False, **options)


def _ensemble(experiment: Any, name: str, method: str) -> Any:
    model = _fit(experiment, name)
    return experiment.ensemble_model(model, method=method, n_estimators=5, fold=2, verbose=False)


def _calibrate(experiment: Any, name: str, method: str) -> Any:
    model = _fit(experiment, name)
    return experiment.calibrate_model(model, method=method, fold=2, calibrate_fold=2, verbose=False)


LINEAR = {"regression": "ridge", "binary": "lr", "multiclass": "lr"}
Build = Callable[[Any, str], Any]
# For each ensemble: how PyCaret builds it, and for which kinds of target it can.
ENSEMBLES: dict[str, tuple[Build, tuple[str, ...]]] = {
    "`blend_models`": (_blend, ("regression",)),
    "`blend_models(weights=…)`": (
        functools.partial(_blend, weights=[0.5, 0.2, 0.3]),
        ("regression",),
    ),
    "`blend_models(method='soft')`": (
        functools.partial(_blend, method="soft", weights=[0.5, 0.2, 0.3]),
        ("binary", "multiclass"),
    ),
    "`blend_models(method='hard')`": (
        functools.partial(_blend, method="hard"),
        ("binary", "multiclass"),
    ),
    "`stack_models`": (_stack, tuple(CLASSES)),
    "`stack_models(restack=True)`": (
        functools.partial(_stack, restack=True),
        ("regression", "binary"),
    ),
    "`ensemble_model(method='Bagging')` of trees": (
        lambda experiment, kind: _ensemble(experiment, "dt", "Bagging"),
        tuple(CLASSES),
    ),
    "`ensemble_model(method='Bagging')` of linear models": (
        lambda experiment, kind: _ensemble(experiment, LINEAR[kind], "Bagging"),
        ("regression", "binary"),
    ),
    "`ensemble_model(method='Boosting')` of trees": (
        lambda experiment, kind: _ensemble(experiment, "dt", "Boosting"),
        tuple(CLASSES),
    ),
    "`calibrate_model(method='sigmoid')`": (
        lambda experiment, kind: _calibrate(experiment, "rf", "sigmoid"),
        ("binary", "multiclass"),
    ),
    "`calibrate_model(method='isotonic')`": (
        lambda experiment, kind: _calibrate(experiment, "gbc", "isotonic"),
        ("binary", "multiclass"),
    ),
    "`probability_threshold=0.3`": (
        lambda experiment, kind: experiment.create_model(
            "lightgbm", probability_threshold=0.3, cross_validation=False, verbose=False
        ),
        ("binary",),
    ),
}


@dataclass(frozen=True)
class Case:
    """One cell of the document's tables."""

    section: str
    row: str
    kind: str


class Fitted(NamedTuple):
    """A table, the rows as its estimator was trained on them, and the pipeline."""

    frame: pd.DataFrame
    rows: pd.DataFrame
    pipeline: Any


def cases() -> Iterator[Case]:
    """Yield all cells, in the document's order."""
    for option in OPTIONS:
        yield Case("Preprocessing", option, TASK_OF_OPTION.get(option, "regression"))
    for name in dict.fromkeys(REGRESSORS + CLASSIFIERS):
        for kind in CLASSES:
            if name in (REGRESSORS if kind == "regression" else CLASSIFIERS):
                yield Case("Estimators", f"`{name}`", kind)
    for ensemble, (_, kinds) in ENSEMBLES.items():
        for kind in kinds:
            yield Case("Ensembles", ensemble, kind)


def outcome(case: Case, fitted: Iterable[Fitted]) -> str:
    """Try one case: the bound that its errors keep, or "no" with the reason.

    Raises:
        AssertionError: it converts, but not exactly.
    """
    task: Task = "regression" if case.kind == "regression" else "classification"
    worst = 0.0
    try:
        for frame, _, pipeline in fitted:
            found = measure(pipeline, frame, task, CLASSES[case.kind])
            if found.mislabelled:
                raise AssertionError(f"{case}: {found.mislabelled} rows have another class")
            worst = max(worst, found.max_relative)
    except NotConvertible as error:
        return f"no: {error.reason}"
    for bound, text in BOUNDS.items():
        if worst <= bound:
            return text
    raise AssertionError(f"{case}: the largest relative error is {worst}")


def pipelines(case: Case) -> Iterator[Fitted]:
    """Fit the pipelines that make up a case."""
    experiment = _experiment(
        case.kind, case.row if case.section == "Preprocessing" else NUMBERS_ONLY
    )
    rows, _ = _training_rows(experiment)
    for model in _models(case, experiment):
        yield Fitted(_frame(case.kind), rows, _pipeline(experiment, model))


def _models(case: Case, experiment: Any) -> Iterator[Any]:
    """Fit the estimators that make up a case."""
    if case.section == "Preprocessing":
        names = ["lightgbm", LINEAR[case.kind]]
        # A linear model takes no missing values.
        for name in names[:1] if case.row == "`imputation_type: null`" else names:
            yield _fit(experiment, name)
    elif case.section == "Estimators":
        yield _fit(experiment, case.row.strip("`"))
    else:
        build, _ = ENSEMBLES[case.row]
        yield build(experiment, case.kind)


@functools.cache
def _frame(kind: str) -> pd.DataFrame:
    task: Task = "regression" if kind == "regression" else "classification"
    return table(task, CLASSES[kind])


@functools.cache
def _experiment(kind: str, option: str) -> Any:
    # Imported late: PyCaret takes seconds, and most tests of this folder do without it.
    from pycaret.classification import ClassificationExperiment
    from pycaret.containers.models import classification, regression
    from pycaret.regression import RegressionExperiment

    # Nine tenths of a setup go into the grids of tuning, the same each time.
    for models in (classification, regression):
        if not hasattr(models.np_list_arange, "cache_info"):
            models.np_list_arange = functools.cache(models.np_list_arange)

    experiment = RegressionExperiment() if kind == "regression" else ClassificationExperiment()
    frame = _frame(kind)
    if "text_features" in OPTIONS[option]:
        frame = frame.fillna(dict.fromkeys(OPTIONS[option]["text_features"], "none"))
    experiment.setup(
        frame,
        target="target",
        session_id=1,
        n_jobs=1,
        index=False,
        html=False,
        verbose=False,
        memory=False,
        system_log=False,
        **OPTIONS[option],
    )
    if kind == "regression":
        linear_lightgbm.add_to(experiment)
    return experiment


def _fit(experiment: Any, name: str) -> Any:
    """Fit an estimator as PyCaret's `create_model` does, without its scoring."""
    described = experiment._all_models_internal[name]
    model = described.class_def(**{**described.args, **FEWER.get(name, {})})
    return model.fit(*_training_rows(experiment))


@functools.cache
def _training_rows(experiment: Any) -> tuple[pd.DataFrame, Any]:
    return experiment.X_train_transformed, experiment.y_train_transformed


def _pipeline(experiment: Any, model: Any) -> Any:
    pipeline = copy.deepcopy(experiment.pipeline)
    pipeline.steps.append(("actual_estimator", model))
    return pipeline
