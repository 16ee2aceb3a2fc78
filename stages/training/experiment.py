"""PyCaret behind one door: the only module that sets up its experiments."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import joblib
import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold, TimeSeriesSplit
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_limits

from app.model.manifest import Task
from stages.params import Train
from stages.schema import Schema, encode_target, model_frame

# What a fitted CatBoost model notes of its training that differs between two equal ones.
VOLATILE = ("train_finish_time", "model_guid")
SCHEDULER_SECONDS = 10
TARGET = "_target"  # the name inside PyCaret; a safe name starts with a letter

Folds = list[tuple[np.ndarray, np.ndarray]]  # each the rows to train on and those to answer


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for each estimator, so that no result depends on the number of cores.

    Folds may still run side by side. Memory mapping is off: PyCaret changes arrays in place
    and dies on read-only ones.
    """
    with threadpool_limits(1), joblib.parallel_config(max_nbytes=None):
        yield


@contextmanager
def cluster(scheduler: str | None) -> Iterator[None]:
    """Compute folds on a Dask cluster, whose workers have this environment and one thread each.

    PyCaret's own `FugueBackend` cannot be installed beside DVC: their dependencies exclude each
    other. joblib, which runs PyCaret's folds, knows Dask itself.

    Args:
        scheduler: its address, or None to stay on this machine.

    Raises:
        ValueError: no scheduler answers there, or it has no workers.
    """
    if scheduler is None:
        yield
        return
    from distributed import Client

    try:
        client = Client(scheduler, timeout=SCHEDULER_SECONDS, set_as_default=True)
    except OSError as error:
        raise ValueError(
            f"train.parallel: no Dask scheduler answers at {scheduler}. Start one with "
            "`dask scheduler`, or set the key to null."
        ) from error
    with client:
        if not client.ncores():
            raise ValueError(
                f"train.parallel: the Dask scheduler at {scheduler} has no workers. Start one "
                f"with `dask worker {scheduler} --nthreads 1`."
            )
        with joblib.parallel_config("dask"):
            yield


def start(
    train: pd.DataFrame, test: pd.DataFrame, schema: Schema, params: Train, seed: int, logger: Any
) -> Any:
    """Set up PyCaret's experiment.

    Args:
        train: prepared rows to fit and cross-validate on.
        test: prepared holdout rows; PyCaret only fits on them in `finalize_model`.
        schema: the tables' schema.
        params: the block `train`.
        seed: of the folds, the estimators and the search.
        logger: PyCaret's event logger, or None.

    Returns:
        A `RegressionExperiment` or `ClassificationExperiment`.
    """
    os.environ.setdefault("PYCARET_CUSTOM_LOGGING_PATH", os.devnull)  # else ./logs.log
    from pycaret.classification import ClassificationExperiment
    from pycaret.regression import RegressionExperiment

    make = {"regression": RegressionExperiment, "classification": ClassificationExperiment}
    gc.freeze()  # PyCaret looks for garbage at each step: 0.2 s if among all that was imported
    experiment = make[schema.task]()
    rows = table(train, schema)
    with added_steps(experiment, rows):
        experiment.setup(
            data=rows,
            test_data=table(test, schema),
            target=TARGET,
            index=False,
            **column_kinds(schema),
            **folds(train, test, schema, params.folds),
            **preprocessing(params, schema.task),
            custom_pipeline=[("by_rows", rows_in_one_piece())],
            session_id=seed,
            n_jobs=1,
            memory=False,
            html=False,
            verbose=False,
            system_log=False,
            log_experiment=logger or False,
            experiment_name="train",
        )
    # One thread inside an estimator, n_jobs folds side by side: the other way round, or both
    # at once, is up to fifty times slower.
    experiment.n_jobs_param = params.n_jobs
    if schema.task == "classification":
        mend_scores(experiment)
    return experiment


def mend_scores(experiment: Any) -> None:
    """Score many classes, and folds that lack a label, for what they are.

    Of many classes PyCaret gives scikit-learn the decision function for the AUC, which it does
    not take, and where a fold has none but the first two it counts them as two classes. An AUC
    that cannot be measured is 0 to PyCaret; here it is missing, and the mean is of the others.
    """
    if experiment.is_multiclass:
        experiment._all_metrics["auc"].scorer._response_method = "predict_proba"
        for metric in experiment._all_metrics.values():
            if hasattr(metric.score_func, "kwargs_if_binary"):
                metric.score_func.kwargs_if_binary = None
    cross_validate = experiment._create_model_with_cv

    def without_invented_auc(**given: Any) -> Any:
        model, seconds, scores, means = cross_validate(**given)
        y = given["data_y"]
        plan = given["cv"].split(given["data_X"], y, given["groups"])
        answers = hasattr(model, "predict_proba") or not experiment.is_multiclass
        measured = [answers and y.iloc[asked].nunique() == y.nunique() for _, asked in plan]
        auc = scores["AUC"].iloc[: len(measured)].where(measured)
        scores["AUC"] = [*auc, auc.mean(), auc.std(ddof=0)]
        return model, seconds, scores, means

    experiment._create_model_with_cv = without_invented_auc


@contextmanager
def unrounded() -> Iterator[None]:
    """Keep PyCaret from rounding scores, which it does to a fixed number of decimals.

    Targets of a millionth would all tie at 0, and the first estimator would be the best.
    """
    with patch("pandas.DataFrame.round", lambda scores, decimals=0: scores):
        yield


def table(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Features under safe names and the target, as PyCaret takes them."""
    return model_frame(frame, schema).assign(**{TARGET: encode_target(frame, schema)})


def column_kinds(schema: Schema) -> dict[str, list[str] | None]:
    """PyCaret's lists of columns by kind; booleans are numbers to it."""
    kinds = {
        "numeric_features": {"number", "boolean"},
        "categorical_features": {"category"},
        "date_features": {"date"},
    }
    pairs = list(zip(schema.columns, schema.features, strict=True))
    return {
        argument: [column for column, feature in pairs if feature.kind in wanted] or None
        for argument, wanted in kinds.items()
    }


@contextmanager
def added_steps(experiment: Any, train: pd.DataFrame) -> Iterator[None]:
    """Let PyCaret's `setup` add, between its own steps, what it leaves undone.

    Of libraries alone: a pickle of the pipeline must open without this project.

    Args:
        experiment: not yet set up.
        train: the rows to train on, as PyCaret gets them.
    """
    from pycaret.internal.preprocess.transformers import TransformerWrapper

    add_dates, encode = experiment._date_feature_engineering, experiment._encoding

    def fill_dates_and_add(*arguments: Any) -> None:
        # PyCaret imputes no dates, and where more than 10 % of the rows of one call have none
        # it leaves the date out, which no estimator fitted on it survives.
        days = train.select_dtypes("datetime").median().dt.floor("D")
        middle = days.fillna(pd.Timestamp(0)).to_dict()
        filled = FunctionTransformer(pd.DataFrame.fillna, kw_args={"value": middle})
        step = TransformerWrapper(filled, include=list(middle))
        experiment.pipeline.steps.append(("missing_dates", step))
        add_dates(*arguments)

    def encode_and_quote(**arguments: Any) -> None:
        # A column without a value in some fold, such as a recent one in folds by time, would be
        # dropped there, and the encoder would miss it.
        imputer = experiment.pipeline.named_steps["categorical_imputer"].transformer
        if isinstance(imputer, SimpleImputer):  # not what drops rows
            imputer.set_params(keep_empty_features=True)
        # One-hot encoding puts categories into column names; LightGBM and XGBoost refuse some
        # signs. Percent signs keep `<5` and `>5` apart.
        encode(**arguments)
        quoted = FunctionTransformer(pd.DataFrame.rename, kw_args={"columns": quote})
        experiment.pipeline.steps.append(("safe_names", TransformerWrapper(quoted)))

    with patch.multiple(
        experiment, _date_feature_engineering=fill_dates_and_add, _encoding=encode_and_quote
    ):
        yield


def rows_in_one_piece() -> FunctionTransformer:
    """The last step, which turns each row's numbers into neighbours in memory.

    PyCaret's tables lie there column by column; kernels and neighbours, which compare rows, then
    need twice as long. What is no table is made one by PyCaret: by columns again.
    """
    by_rows = FunctionTransformer(
        np.ascontiguousarray, kw_args={"dtype": float}, feature_names_out="one-to-one"
    )
    return by_rows.set_output(transform="pandas")


def finalize(experiment: Any, estimator: Any) -> Any:
    """The fitted pipeline of preprocessing and `estimator`, both refitted on all rows.

    PyCaret's steps keep the columns that they saw first; those that one-hot encoding makes of
    values known to the holdout alone would pass them by.
    """
    for _, step in experiment.pipeline.steps:
        step._include = step.include
    return experiment.finalize_model(estimator)


def folds(train: pd.DataFrame, test: pd.DataFrame, schema: Schema, count: int) -> dict[str, Any]:
    """Cross-validation by the same notion as the holdout, in PyCaret's words.

    Raises:
        ValueError: there are not enough rows, groups or rows of a label for `train.folds`, or a
            fold would train without a label.
    """
    what, number = "rows", len(train)
    if schema.strategy == "group":
        what, number = f"groups of {schema.split_column!r}", train[schema.split_column].nunique()
    elif schema.strategy == "time":
        what, number = "rows after the first", len(train) - 1
    elif schema.task == "classification":
        counts = train[schema.target].value_counts()
        what, number = f"rows of the label {counts.index[-1]!r}", int(counts.iloc[-1])
    if number < count:
        raise ValueError(
            f"train.folds is {count}, but there are only {number} {what} to train on. Lower "
            "train.folds or add rows."
        )
    if schema.task == "classification" and schema.strategy in {"group", "time"}:
        refuse_unknown_label(train, schema, count)
    if schema.strategy == "group":
        # PyCaret numbers the rows anew, the holdout after the training rows
        groups = pd.concat([train, test], ignore_index=True)[schema.split_column]
        return {"fold": count, "fold_strategy": "groupkfold", "fold_groups": groups}
    if schema.strategy == "time":
        return {"fold": count, "fold_strategy": "timeseries", "data_split_shuffle": False}
    stratify = schema.task == "classification"
    return {
        "fold": count,
        "fold_strategy": "stratifiedkfold" if stratify else "kfold",
        "fold_shuffle": True,
    }


def refuse_unknown_label(train: pd.DataFrame, schema: Schema, count: int) -> None:
    """Raise ValueError when a fold by groups or time would train without a label."""
    unknown = unknown_label(honest_folds(train, schema, count), train[schema.target])
    if unknown is not None:
        number, label = unknown
        where = "only later rows" if schema.strategy == "time" else "one part of the groups"
        raise ValueError(
            f"train.folds: fold {number} of {count} would train without the label {label!r}, "
            f"which {where} by {schema.split_column!r} have. Take another number of folds, or "
            "leave that label's rows out of the table."
        )


def unknown_label(plan: Folds, labels: pd.Series) -> tuple[int, Any] | None:
    """The first fold, counted from 1, that would train without a label, and which; or None."""
    for number, (known, _) in enumerate(plan, start=1):
        absent = set(labels) - set(labels.iloc[known])
        if absent:
            return number, min(absent)
    return None


def honest_folds(frame: pd.DataFrame, schema: Schema, count: int) -> Folds:
    """Folds that keep groups whole, or that train on the past alone; the same as PyCaret's."""
    if schema.strategy == "time":
        return list(TimeSeriesSplit(count).split(frame))
    groups = pd.factorize(frame[schema.split_column], sort=True, use_na_sentinel=False)[0]
    return list(GroupKFold(count).split(frame, groups=groups))


def preprocessing(params: Train, task: Task) -> dict[str, Any]:
    """`train.preprocess` in the words of PyCaret's `setup`."""
    wanted = params.preprocess
    arguments: dict[str, Any] = {
        "numeric_imputation": wanted.numeric_imputation,
        "categorical_imputation": wanted.categorical_imputation,
        "max_encoding_ohe": wanted.max_encoding_ohe,
        "low_variance_threshold": wanted.low_variance_threshold,
    }
    if wanted.normalize is not None:
        arguments |= {"normalize": True, "normalize_method": wanted.normalize}
    if wanted.transformation is not None:
        arguments |= {"transformation": True, "transformation_method": wanted.transformation}
    if wanted.multicollinearity_threshold is not None:
        arguments |= {
            "remove_multicollinearity": True,
            "multicollinearity_threshold": wanted.multicollinearity_threshold,
        }
    if wanted.pca_components is not None:
        arguments |= {"pca": True, "pca_components": wanted.pca_components}
    if wanted.polynomial_degree is not None:
        arguments |= {"polynomial_features": True, "polynomial_degree": wanted.polynomial_degree}
    if wanted.feature_selection is not None:
        arguments |= {
            "feature_selection": True,
            "n_features_to_select": wanted.feature_selection,
        }
    if task == "regression" and wanted.transform_target is not None:
        arguments |= {
            "transform_target": True,
            "transform_target_method": wanted.transform_target,
        }
    if task == "classification":
        arguments["fix_imbalance"] = wanted.fix_imbalance
    return arguments


def save(experiment: Any, pipeline: Any, path: Path) -> None:
    """Write a fitted pipeline with PyCaret's `save_model`; equal pipelines give equal bytes."""
    forget_time(pipeline)
    with nameless_machine(pipeline):
        experiment.save_model(pipeline, str(path.with_suffix("")), verbose=False)


@contextmanager
def nameless_machine(pipeline: Any) -> Iterator[None]:
    """Leave out of PyCaret's pickles which Python 3.11 and which machine wrote them.

    The libraries' versions, which PyCaret compares when it opens a pickle, stay.
    """
    versions = {**pipeline._pycaret_versions, "python": {}}
    # A property as PyCaret's own is, for copies of a pipeline have the name among their state
    with patch.object(type(pipeline), "_pycaret_versions", property(lambda _: versions)):
        yield


def forget_time(estimator: Any) -> None:
    """Remove from every CatBoost model inside what differs between two equal trainings."""
    if hasattr(estimator, "get_metadata"):
        metadata = estimator.get_metadata()
        for key in set(VOLATILE) & set(metadata.keys()):
            del metadata[key]
        return
    parts = [step for _, step in getattr(estimator, "steps", [])]
    parts += list(getattr(estimator, "estimators_", []))
    parts += [
        getattr(estimator, name)
        for name in ("final_estimator_", "estimator_", "estimator", "transformer")
        if hasattr(estimator, name)
    ]
    for part in np.ravel(np.array(parts, dtype=object)):
        forget_time(part)
