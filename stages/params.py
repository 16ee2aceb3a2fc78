"""`params.yaml` as one strict type; a stage sees only the keys that `dvc.yaml` declares for it."""

import atexit
import codecs
import gc
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import dvc.api
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from app.model.manifest import Column, Task

Share = Annotated[float, Field(gt=0, lt=1)]
Scaler = Literal["zscore", "minmax", "maxabs", "robust"]
Power = Literal["yeo-johnson", "quantile"]

# Metrics of the probabilities, which no threshold changes, by their names on the leaderboard; the
# proper ones are at their best where the probabilities are true
PROPER_SCORES = ("Log loss", "Brier")
OF_PROBABILITIES = ("AUC", *PROPER_SCORES)

SPREADSHEETS = (".xlsx", ".xls", ".ods")


# An estimator with hyperparameters of one's own: {name: {hyperparameter: value}}
TunedModel = Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]


class Block(BaseModel):
    """A block of `params.yaml`: every key is required, none is unknown, types are exact."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Base(Block):
    """The table and the question asked of it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
    path: Annotated[str, Field(pattern=r"^data/.+\.(csv|csv\.gz|parquet|xlsx|xls|ods)$")]
    target: Annotated[str, Field(min_length=1)]
    task: Task
    seed: Annotated[int, Field(ge=0)]


class Split(Block):
    """How the holdout is set aside."""

    strategy: Literal["random", "stratified", "group", "time"]
    column: str | None
    test_size: Share


class Read(Block):
    """How the file of `base.path` writes its table."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)]
    encoding: str
    dates: Literal["iso", "dmy", "mdy", "ymd"]
    decimal: Literal[".", ","]
    sheet: str | None

    @field_validator("encoding")
    @classmethod
    def _is_one(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name
        except LookupError as error:
            raise ValueError(
                f"Python knows no encoding {name!r}. Common ones: utf-8, cp1252, latin-1, utf-16."
            ) from error


class Prepare(Block):
    """The parameters of the prepare stage."""

    read: Read
    drop: list[str]
    id: str | None
    missing: list[str]
    missing_target: Literal["refuse", "drop"]
    split: Split


class Tune(Block):
    """The hyperparameter search."""

    iterations: Annotated[int, Field(ge=0)]
    library: Literal["random", "optuna"]


class Preprocess(Block):
    """PyCaret's preprocessing switches."""

    numeric_imputation: Literal["mean", "median", "mode"] | float
    categorical_imputation: str
    max_encoding_ohe: Annotated[int, Field(ge=-1)]
    normalize: Scaler | None
    transformation: Power | None
    transform_target: Power | None
    low_variance_threshold: Annotated[float, Field(ge=0)] | None
    multicollinearity_threshold: Share | None
    pca_components: Annotated[int, Field(ge=1)] | Share | None
    polynomial_degree: Annotated[int, Field(ge=2, le=5)] | None
    feature_selection: Share | None
    fix_imbalance: bool


class Train(Block):
    """The parameters of the train stage."""

    models: Literal["all"] | Annotated[list[str | TunedModel], Field(min_length=1)]
    folds: Annotated[int, Field(ge=2)]
    sort: str
    tune: Tune
    ensemble: Literal["bagging", "boosting"] | None
    blend: Annotated[int, Field(ge=0)] | Literal["greedy"]
    stack: Annotated[int, Field(ge=0)]
    calibrate: Literal["sigmoid", "isotonic"] | None
    threshold: bool
    preprocess: Preprocess
    budget_minutes: Annotated[float, Field(gt=0)] | None
    n_jobs: Annotated[int, Field(ge=1)]
    parallel: Annotated[str, Field(pattern=r"^[a-z]+://.+")] | None


class Gate(Block):
    """What a model must reach before it is deployed."""

    metric: str
    limit: float | None
    beat_baseline: bool


class Evaluate(Block):
    """The parameters of the evaluate stage."""

    gate: Gate


class Deploy(Block):
    """The parameters of the deploy stage."""

    runtime: Literal["onnx", "pycaret"]
    parity: Annotated[float, Field(gt=0)]
    champion: Literal["better", "always"]
    explain: Literal["medians", "columns", "rows", "none"]
    about: str
    columns: dict[str, Column]


class Params(Block):
    """`params.yaml`."""

    base: Base
    prepare: Prepare
    train: Train
    evaluate: Evaluate
    deploy: Deploy

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Refuse keys that contradict each other."""
        train, task = self.train, self.base.task
        if train.blend not in {0, 1} and train.stack > 1:
            raise ValueError(
                f"train.blend is {train.blend} and train.stack is {train.stack}: the best "
                "candidates can be averaged or stacked, not both. Set one of them to 0."
            )
        is_honest = self.prepare.split.strategy in {"group", "time"}
        if is_honest and train.stack > 1 and train.preprocess.transform_target:
            raise ValueError(
                "train.stack by groups or time weighs answers in the target's own unit, and "
                "train.preprocess.transform_target has another one. Switch one of them off."
            )
        if train.threshold and train.sort in OF_PROBABILITIES:
            raise ValueError(
                f"train.threshold is searched for by train.sort, and {train.sort} is of the "
                "probabilities: no threshold changes it. Sort by Accuracy, F1 or another metric "
                "of the labels, or switch train.threshold off."
            )
        wrong: dict[str, dict[str, object]] = {
            "regression": {
                "train.calibrate": train.calibrate,
                "train.threshold": train.threshold,
                "train.preprocess.fix_imbalance": train.preprocess.fix_imbalance,
            },
            "classification": {
                "train.preprocess.transform_target": train.preprocess.transform_target
            },
        }
        for key, value in wrong[task].items():
            if value:
                raise ValueError(f"{key} is {value!r}, which means nothing for a {task}.")
        return self


AnyBlock = TypeVar("AnyBlock", bound=Block)


def only(block: AnyBlock, declared: dict[str, Any]) -> AnyBlock:
    """The block with just its declared keys; reading another one raises AttributeError."""
    values: dict[str, Any] = {}
    for key, value in declared.items():
        entry = getattr(block, key)
        values[key] = only(entry, value) if isinstance(entry, Block) else entry
    return type(block).model_construct(**values)


def validate(raw: dict[str, Any]) -> Params:
    """Check the whole of `params.yaml`.

    Raises:
        ValueError: naming each key that is unknown, missing or has an impossible value.
    """
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"] if not _is_tag(part))
            said = problem["msg"].removeprefix("Value error, ")
            if problem["type"] not in {"missing", "value_error"}:
                said += f" (it is {problem['input']!r})"
            lines.append(f"  {key}: {said}" if key else f"  {said}")
        raise ValueError("params.yaml:\n" + "\n".join(dict.fromkeys(lines))) from error


def _is_tag(part: str | int) -> bool:
    """Whether a part of an error's place is Pydantic's name for a union's branch, not a key."""
    return isinstance(part, str) and (part in {"float", "int"} or "[" in part or "(" in part)


def read(stage: str) -> Params:
    """The parameters that `dvc.yaml` declares for a stage; ends the run when one is wrong."""
    # Else Python looks through all of PyCaret for garbage when the stage ends: a second for nothing
    atexit.register(gc.freeze)
    try:
        params = validate(YAML(typ="safe").load(Path("params.yaml")))
    except YAMLError as error:
        sys.exit(f"params.yaml: {error}")
    except ValueError as error:
        sys.exit(str(error))
    return only(params, dvc.api.params_show(stages=stage))
