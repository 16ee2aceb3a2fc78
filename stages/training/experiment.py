"""PyCaret behind one door: the only module that sets up its experiments, and their candidates."""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from sklearn.metrics import brier_score_loss, log_loss

from app.model.manifest import Task
from stages.params import PROPER_SCORES, Train
from stages.schema import Schema, encode_target, model_frame
from stages.training import early_stopping, repairs
from stages.training.estimators import linear_lightgbm
from stages.training.folds import folds
from stages.training.leaderboard import hyperparameters

TARGET = "_target"  # the name inside PyCaret; a safe name starts with a letter


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
    from pycaret.classification import ClassificationExperiment
    from pycaret.regression import RegressionExperiment

    make = {"regression": RegressionExperiment, "classification": ClassificationExperiment}
    gc.freeze()  # PyCaret looks for garbage at each step: 0.2 s if among all that was imported
    experiment = make[schema.task]()
    rows = table(train, schema)
    with repairs.exact_numbers(), repairs.missing_steps(experiment, rows):
        experiment.setup(
            data=rows,
            test_data=table(test, schema),
            target=TARGET,
            index=False,
            **column_kinds(schema),
            **folds(train, test, schema, params.folds),
            **preprocessing(params, schema.task),
            custom_pipeline=[("by_rows", repairs.rows_in_one_piece())],
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
    # Else LightGBM measures which of two orders of adding is faster here
    experiment._all_models_internal["lightgbm"].args |= {
        "deterministic": True,
        "force_col_wise": True,
    }
    if schema.task == "classification":
        add_proper_scores(experiment)
    else:
        linear_lightgbm.add_to(experiment)
    repairs.score_in_float64(experiment)
    if schema.task == "classification":
        repairs.score_only_what_is_defined(experiment)
    return experiment


def add_proper_scores(experiment: Any) -> None:
    """Let the leaderboard tell how good the probabilities are, and `train.sort` choose by it."""
    scores = dict(zip(PROPER_SCORES, (log_loss, brier_score_loss), strict=True))
    if experiment.is_multiclass:
        del scores["Brier"]  # scikit-learn's is that of two classes
    for name, score in scores.items():
        experiment.add_metric(name.lower(), name, score, "pred_proba", greater_is_better=False)


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
        argument: [column for column, feature in pairs if feature.kind in members] or None
        for argument, members in kinds.items()
    }


def preprocessing(params: Train, task: Task) -> dict[str, Any]:
    """`train.preprocess` in the words of PyCaret's `setup`."""
    switches = params.preprocess
    arguments: dict[str, Any] = {
        "numeric_imputation": switches.numeric_imputation,
        "categorical_imputation": switches.categorical_imputation,
        "max_encoding_ohe": switches.max_encoding_ohe,
        "low_variance_threshold": switches.low_variance_threshold,
    }
    if switches.normalize is not None:
        arguments |= {"normalize": True, "normalize_method": switches.normalize}
    if switches.transformation is not None:
        arguments |= {"transformation": True, "transformation_method": switches.transformation}
    if switches.multicollinearity_threshold is not None:
        arguments |= {
            "remove_multicollinearity": True,
            "multicollinearity_threshold": switches.multicollinearity_threshold,
        }
    if switches.pca_components is not None:
        arguments |= {"pca": True, "pca_components": switches.pca_components}
    if switches.polynomial_degree is not None:
        arguments |= {"polynomial_features": True, "polynomial_degree": switches.polynomial_degree}
    if switches.feature_selection is not None:
        arguments |= {
            "feature_selection": True,
            "n_features_to_select": switches.feature_selection,
        }
    if task == "regression" and switches.transform_target is not None:
        arguments |= {
            "transform_target": True,
            "transform_target_method": switches.transform_target,
        }
    if task == "classification":
        arguments["fix_imbalance"] = switches.fix_imbalance
    return arguments


@dataclass(frozen=True)
class Candidate:
    """An entry of `train.models`.

    Attributes:
        name: on the leaderboard: the id, and a number where there are several.
        kind: PyCaret's id, or that of an estimator of our own.
        estimator: with its hyperparameters.
        own: those of `train.models`.
    """

    name: str
    kind: str
    estimator: Any
    own: Mapping[str, Any]

    def note(self, tried: Any) -> str:
        """What is to be known of it once it was tried."""
        return hyperparameters({name: tried.get_params()[name] for name in self.own})


def candidates(
    experiment: Any, models: Literal["all"] | Sequence[str | dict[str, dict[str, Any]]]
) -> list[Candidate]:
    """What PyCaret is to compare.

    Raises:
        ValueError: there is no such estimator, or the estimator no such hyperparameter.
    """
    library, names = experiment._all_models_internal, sorted(experiment._all_models)
    if models == "all":
        models = [name for name, one in experiment._all_models.items() if one.is_turbo]
    chosen: list[Candidate] = []
    for model in models:
        kind, own = (model, {}) if isinstance(model, str) else next(iter(model.items()))
        if kind not in names:
            raise ValueError(f"train.models: there is no {kind!r}. There are {names}.")
        try:
            estimator = library[kind].class_def(**{**library[kind].args, **own})
        except TypeError as error:
            raise ValueError(f"train.models: {kind}: {error}.") from error
        early_stopping.check(kind, estimator)
        same = sum(one.kind == kind for one in chosen)
        name = f"{kind}-{same + 1}" if same else kind
        chosen.append(Candidate(name, kind, estimator, own))
    return chosen


def finalize(experiment: Any, estimator: Any) -> Any:
    """The fitted pipeline of preprocessing and `estimator`, both refitted on all rows."""
    repairs.forget_first_columns(experiment)
    return experiment.finalize_model(estimator)


def save(experiment: Any, pipeline: Any, path: Path) -> None:
    """Write a fitted pipeline with PyCaret's `save_model`; equal pipelines give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    repairs.forget_time(pipeline)
    with repairs.anonymous(pipeline):
        experiment.save_model(pipeline, str(path.with_suffix("")), verbose=False)
