"""Every repair of PyCaret 3.3.2, its last release. Each tells its symptom, its test, its end.

A repair may go once its test passes without it. What PyCaret offers in public was tried first:
`round=` is missing in `optimize_threshold`; a metric of `add_metric` cannot read the decision
function of estimators without probabilities. Tests are those of tests/stages/training/.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.metrics import get_scorer
from sklearn.preprocessing import FunctionTransformer

from stages.params import OF_PROBABILITIES

# What a fitted CatBoost model notes of its training that differs between two equal ones.
VOLATILE = ("train_finish_time", "model_guid")


@contextmanager
def unrounded() -> Iterator[None]:
    """Keep the digits of scores.

    Symptom: PyCaret rounds scores to four decimals. Targets of a millionth all tie at RMSE 0, and
    the first estimator is the best.
    Test: test_search.py, small targets are ranked.
    End: all its functions take `round=None`, or `optimize_threshold` takes `round` at all.
    """
    with patch("pandas.DataFrame.round", lambda scores, decimals=0: scores):
        yield


@contextmanager
def exact_numbers() -> Iterator[None]:
    """Let PyCaret train on the numbers of the table, in float64.

    Symptom: PyCaret's `setup` rounds the table to float32, and a fitted pipeline answers in
    float64. The mean that stands for a missing value then comes out a little higher in training
    than later, LightGBM parts its trees in between, and rows with gaps get the answers of others:
    an RMSE of 3.7 over the folds was 6.0 on a holdout by chance.
    Test: test_experiment.py, a missing value is the same in training and later.
    End: `_prepare_dataset` leaves floats alone.
    """
    from pycaret.utils.generic import df_shrink_dtypes

    def shrink(frame: pd.DataFrame) -> pd.DataFrame:
        shrunk: pd.DataFrame = df_shrink_dtypes(frame, skip=list(frame.select_dtypes("float")))
        return shrunk

    with patch("pycaret.internal.preprocess.preprocessor.df_shrink_dtypes", shrink):
        yield


def score_in_float64(experiment: Any) -> None:
    """Let every score be computed in float64.

    Symptom: XGBoost answers in float32. Then NumPy sums in float32, and takes logarithms in it,
    which come out otherwise on another processor: the RMSLE by 6e-9.
    Test: test_experiment.py, scores of float32 answers.
    End: scikit-learn scores float32 in float64.
    """

    def in_float64(score: Any) -> Any:
        # A function in a function travels to other processes whole, without this project
        def wrapped(actual: Any, predicted: Any, **options: Any) -> Any:
            pair = (np.asarray(one) for one in (actual, predicted))
            return score(*(x.astype(float) if x.dtype.kind == "f" else x for x in pair), **options)

        wrapped.__name__ = score.__name__
        return wrapped

    for metric in experiment._all_metrics.values():
        metric.scorer = get_scorer(metric.scorer)  # some are names
        metric.scorer._score_func = in_float64(metric.scorer._score_func)


def score_only_what_is_defined(experiment: Any) -> None:
    """Score many classes, and folds that lack a label, for what they are.

    Symptom: for many classes the AUC is computed of the decision function, which scikit-learn
    refuses, and counts 0. A fold with none but the first two of many labels is scored as one of
    two classes. A score that is not defined in a fold, or that needs probabilities which the
    estimator does not give, counts 0, the best of all losses. Here it is missing, and the mean is
    over the other folds.
    Test: test_search.py, the AUC of many labels and of folds that lack one, the log loss of what
    gives no probabilities.
    End: PyCaret scores with `roc_auc_ovr` and leaves undefined scores out.
    """
    if experiment.is_multiclass:
        experiment._all_metrics["auc"].scorer._response_method = "predict_proba"
        for metric in experiment._all_metrics.values():
            if hasattr(metric.score_func, "kwargs_if_binary"):
                metric.score_func.kwargs_if_binary = None
    cross_validate = experiment._create_model_with_cv

    def without_invented(**arguments: Any) -> Any:
        model, seconds, scores, means = cross_validate(**arguments)
        y = arguments["data_y"]
        folds = list(arguments["cv"].split(arguments["data_X"], y, arguments["groups"]))
        has_labels = np.array([y.iloc[test].nunique() == y.nunique() for _, test in folds])
        has_probabilities = hasattr(model, "predict_proba")
        for name in scores.columns.intersection(OF_PROBABILITIES):
            has_score = has_probabilities or (name == "AUC" and not experiment.is_multiclass)
            values = scores[name].iloc[: len(folds)].where(has_labels & has_score)
            scores[name] = [*values, values.mean(), values.std(ddof=0)]
        return model, seconds, scores, means

    experiment._create_model_with_cv = without_invented


@contextmanager
def missing_steps(experiment: Any, train: pd.DataFrame) -> Iterator[None]:
    """Let PyCaret's `setup` add three steps between its own, made of libraries alone.

    A pickle of the pipeline must open without this project.

    Symptoms: (1) PyCaret imputes no dates, and where more than 10 % of the rows of one call have
    none it leaves that date out; no estimator that was fitted on it survives. (2) A category
    column without a value in some fold, such as a recent one in folds by time, is dropped there,
    and the encoder misses it. (3) One-hot encoding puts categories into column names; LightGBM
    and XGBoost refuse some signs. Percent signs keep `<5` and `>5` apart.
    Test: test_experiment.py, missing dates, an empty column in a fold, signs in categories.
    End: PyCaret imputes dates, keeps empty columns, and names encoded columns by number.

    Args:
        experiment: not yet set up.
        train: the rows to train on, as PyCaret gets them.
    """
    from pycaret.internal.preprocess.transformers import TransformerWrapper

    add_dates, encode = experiment._date_feature_engineering, experiment._encoding

    def fill_dates_and_add(*arguments: Any) -> None:
        days = train.select_dtypes("datetime").median().dt.floor("D")
        middle = days.fillna(pd.Timestamp(0)).to_dict()
        filled = FunctionTransformer(pd.DataFrame.fillna, kw_args={"value": middle})
        step = TransformerWrapper(filled, include=list(middle))
        experiment.pipeline.steps.append(("missing_dates", step))
        add_dates(*arguments)

    def encode_and_quote(**arguments: Any) -> None:
        imputer = experiment.pipeline.named_steps["categorical_imputer"].transformer
        if isinstance(imputer, SimpleImputer):  # not what drops rows
            imputer.set_params(keep_empty_features=True)
        encode(**arguments)
        quoted = FunctionTransformer(pd.DataFrame.rename, kw_args={"columns": quote})
        experiment.pipeline.steps.append(("safe_names", TransformerWrapper(quoted)))

    with patch.multiple(
        experiment, _date_feature_engineering=fill_dates_and_add, _encoding=encode_and_quote
    ):
        yield


def rows_in_one_piece() -> FunctionTransformer:
    """The last step, which puts the numbers of each row side by side in memory.

    Symptom: PyCaret's tables lie in memory column by column. Kernels and neighbours, which
    compare rows, then need twice as long. Whatever is no table is made one by PyCaret: by columns
    again, so the step gives a table.
    Test: test_experiment.py, the estimator gets rows.
    End: PyCaret hands the estimator a C-contiguous array.
    """
    by_rows = FunctionTransformer(
        np.ascontiguousarray, kw_args={"dtype": float}, feature_names_out="one-to-one"
    )
    return by_rows.set_output(transform="pandas")


def forget_first_columns(experiment: Any) -> None:
    """Let each step look at its columns anew when the pipeline is fitted again.

    Symptom: PyCaret's steps keep the columns that they saw first. Those that one-hot encoding
    makes of values known to the holdout alone would pass them by in `finalize_model`.
    Test: test_experiment.py, a category that only the holdout has.
    End: `TransformerWrapper.fit` resets `_include`.
    """
    for _, step in experiment.pipeline.steps:
        step._include = step.include


def plain_grid(experiment: Any, name: str) -> Mapping[str, list[Any]]:
    """The hyperparameters that the random search tries for an estimator, as Python's numbers.

    Symptom: PyCaret's grids hold NumPy's numbers. CatBoost turns them into Python's, and
    scikit-learn then refuses to clone it.
    Test: test_search.py, CatBoost under both searches.
    End: PyCaret's `np_list_arange` gives Python's numbers.

    Args:
        experiment: PyCaret's experiment, set up.
        name: of the estimator, as in `train.models`.
    """
    grid = experiment._all_models_internal[name].tune_grid
    return {
        parameter: [value.item() if isinstance(value, np.generic) else value for value in values]
        for parameter, values in grid.items()
    }


def optimize_threshold(experiment: Any, estimator: Any, sort: str) -> Any:
    """PyCaret's `optimize_threshold`, without a browser window.

    Symptoms: it opens a plot in a browser; it puts estimators into a table, and pandas takes a
    forest for a list. (That it fits everything anew for each of some 80 thresholds, though only
    the labels depend on them, is mended by `stages.training.validation`.)
    Test: test_search.py, a threshold of a forest.
    End: PyCaret draws no plot unless told to, and keeps estimators out of tables.
    """
    from pycaret.internal.meta_estimators import CustomProbabilityThresholdClassifier

    with (
        patch("plotly.graph_objects.Figure.show"),
        patch.object(CustomProbabilityThresholdClassifier, "__iter__", None, create=True),
    ):
        return experiment.optimize_threshold(estimator, optimize=sort, verbose=False)


@contextmanager
def anonymous(pipeline: Any) -> Iterator[None]:
    """Leave out of PyCaret's pickles which Python 3.11 and which machine wrote them.

    Symptom: two equal pipelines have different bytes on two machines. The libraries' versions,
    which PyCaret compares when it opens a pickle, stay.
    Test: test_experiment.py, equal trainings give equal bytes.
    End: `Pipeline.__getstate__` leaves `python` out.
    """
    versions = {**pipeline._pycaret_versions, "python": {}}
    # A property as PyCaret's own is, for copies of a pipeline have the name among their state
    with patch.object(type(pipeline), "_pycaret_versions", property(lambda _: versions)):
        yield


def forget_time(estimator: Any) -> None:
    """Remove from every CatBoost model inside what differs between two equal trainings.

    Symptom: a CatBoost model notes when it was trained and a random id; equal trainings give
    different bytes.
    Test: test_experiment.py, CatBoost alone and inside other estimators.
    End: CatBoost can be told to note neither.
    """
    if hasattr(estimator, "get_metadata"):
        metadata = estimator.get_metadata()
        for key in set(VOLATILE) & set(metadata.keys()):
            del metadata[key]
        return
    parts = [step for _, step in getattr(estimator, "steps", [])]
    parts += list(getattr(estimator, "estimators_", []))
    parts += list(getattr(estimator, "calibrated_classifiers_", []))
    parts += [
        getattr(estimator, name)
        for name in ("final_estimator_", "estimator_", "estimator", "transformer")
        if hasattr(estimator, name)
    ]
    for part in np.ravel(np.array(parts, dtype=object)):
        forget_time(part)
