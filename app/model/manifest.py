"""The contract between the deploy stage, which writes a model folder, and whoever serves it.

A model folder holds the graph (or, for `runtime: pycaret`, the fitted pipeline), unless
`deploy.explain` is `none` the file that answers are explained with, one with counts of the rows of
training, and `manifest.json`, which describes them. The graph takes two packed inputs:

- `numeric`, float64, shape (rows, n): the features of kind `number`, `boolean` (0 or 1) and
  `date` (seconds since 1970-01-01 UTC), in manifest order; NaN where missing.
- `categorical`, int64, shape (rows, m): the features of kind `category`, in manifest order.
  A value is its index in the feature's `categories`; `len(categories)` stands for a value
  not among them and `len(categories) + 1` for a missing one.

An input is absent where the model has no feature of its kinds. The outputs:

- regression: `prediction`, float64, shape (rows,).
- classification: `label`, int64, shape (rows,), an index into the manifest's `classes`; and,
  unless the estimator has none, `probabilities`, float64, shape (rows, classes).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MANIFEST = "manifest.json"

Task = Literal["regression", "classification"]
Kind = Literal["number", "boolean", "category", "date"]
Class = str | bool | int | float


class Contract(BaseModel):
    """A part of the manifest: strict, immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class Feature(Contract):
    """One column that the model reads.

    Attributes:
        name: the column's name in the user's table.
        kind: how its values are read and packed.
        categories: every value seen in training, as text, sorted; kind `category` only.
        minimum: smallest value seen; for a date, seconds since 1970-01-01 UTC.
        maximum: largest value seen.
        missing: share of rows without a value, 0 to 1.
    """

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    missing: Annotated[float, Field(ge=0, le=1)] = 0.0


class Parity(Contract):
    """How far the served answers are from the fitted pipeline's, over `rows` rows.

    `max_relative` bounds their largest difference by `app.model.nearness`: 1e-12, 1e-9, 1e-6 or
    `tolerance`, for what is below depends on the processor. `tolerance` is the self-test's too.
    `mislabelled` counts rows whose class differs (0, or nothing is
    deployed).
    """

    rows: int
    max_relative: float
    mislabelled: int
    tolerance: float


class Example(Contract):
    """One raw row and the answer stored for it; the server's self-test."""

    record: dict[str, Any]
    prediction: Class
    probabilities: tuple[float, ...] | None = None


class ExplanationFile(Contract):
    """The file that answers are explained with; see `app.model.explanation.explainer`.

    Attributes:
        file: its name in the folder.
        sha256: of it, hex.
        background: what its background rows are (`deploy.explain`): `medians` of groups of rows,
            `columns` drawn each by itself, or real `rows`.
        rows: how many they are.
    """

    file: str
    sha256: str
    background: Literal["medians", "columns", "rows"]
    rows: int


class ReferenceFile(Contract):
    """The file that tells what the rows of training looked like; see `app.drift.reference`.

    Attributes:
        file: its name in the folder.
        sha256: of it, hex.
    """

    file: str
    sha256: str


class Level(Contract):
    """One coverage that intervals are given for.

    Attributes:
        coverage: the share of the truths that they promise to hold, such as 0.9.
        measured: the share that they held on the holdout.
        bound: of a regression, half an interval's width in multiples of the scale; of a
            classification, the least probability of a class in the set.
    """

    coverage: float
    measured: float
    bound: float


class Intervals(Contract):
    """How sure an answer is; see `app.model.conformal`.

    Attributes:
        levels: by rising coverage.
        edges: where one scale ends and the next begins, as predictions; regression only.
        scales: one for each part between the edges, in the target's unit; regression only.
    """

    levels: tuple[Level, ...]
    edges: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()


class Column(Contract):
    """What a person should know of a column.

    Attributes:
        description: what its values mean; may be empty.
        unit: of its numbers, such as `mm`; may be empty.
    """

    description: str = ""
    unit: str = ""


class Importance(Contract):
    """How much worse the model gets without one feature (see `stages/evaluation/importance.py`)."""

    feature: str
    importance: float
    deviation: float


class Slice(Contract):
    """A part of the holdout, and the model's error there.

    Attributes:
        slice: a column and its value or range, in words.
        rows: how many there are.
        error: RMSE in the target's unit, or the share of wrong labels.
        ratio: to the whole holdout's error.
    """

    slice: str
    rows: int
    error: float
    ratio: float


class Bin(Contract):
    """Rows of about the same probability.

    Attributes:
        predicted: mean probability.
        observed: share of rows where it came true.
        rows: how many there are.
    """

    predicted: float
    observed: float
    rows: int


class Evaluation(Contract):
    """How the model did on the holdout, for the people who read the page.

    Attributes:
        metric: the one that decides (`evaluate.gate.metric`).
        higher_is_better: its direction.
        rows: how many rows it was trained on (`train`) and judged on (`holdout`).
        interval: lower and upper end of each metric's 95 % interval.
        baseline: the same metrics of the baselines, by their names.
        importance: the features it relies on, most important first.
        slices: where it is worst, worst first.
        actual: targets of a few rows of the holdout; regression only.
        predicted: the answers to them, in the same order.
        calibration: classification only, by rising probability.
        confusion: rows of the holdout by actual (outer) and predicted (inner) class, in the order
            of `classes`; classification only, where there are not too many classes to read.
    """

    metric: str
    higher_is_better: bool
    rows: dict[str, int]
    interval: dict[str, tuple[float, float]]
    baseline: dict[str, dict[str, float]]
    importance: tuple[Importance, ...] = ()
    slices: tuple[Slice, ...] = ()
    actual: tuple[float, ...] = ()
    predicted: tuple[float, ...] = ()
    calibration: tuple[Bin, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()


class Interface(Contract):
    """What a model reads, what it answers, and its files: all that is needed to run it.

    Attributes:
        name: the model's name (`base.name`).
        task: regression or classification.
        target: the predicted column's name.
        classes: the labels, in the order of the graph's probabilities; empty for regression.
        features: the columns that the model reads, in packing order.
        missing_values: texts that mean "no value" in a CSV, beside the empty cell.
        runtime: `onnx`, or `pycaret` where the pipeline could not be converted.
        file: the graph's file name in the folder.
        sha256: of that file, hex.
        explanation: the file that answers are explained with, where there is one.
        intervals: how sure answers are, where that was learned.
    """

    format: Literal[1] = 1
    name: str
    task: Task
    target: str
    classes: tuple[Class, ...] = ()
    features: tuple[Feature, ...]
    missing_values: tuple[str, ...] = ()
    runtime: Literal["onnx", "pycaret"] = "onnx"
    file: str
    sha256: str
    explanation: ExplanationFile | None = None
    intervals: Intervals | None = None


class Manifest(Interface):
    """`manifest.json`: the interface, and where the model comes from and how good it is.

    Attributes:
        metrics: the holdout metrics.
        lineage: what the model was made of: `data` (path, md5), `prepared` (md5),
            `params`, `libraries` (name: version).
        parity: the proof made at deploy time.
        example: the self-test.
        about: what it is for, and for whom; may be empty.
        columns: what people should know of features and target, by their names.
        evaluation: how it did on the holdout.
        reference: the file that says what its rows of training looked like.
    """

    metrics: dict[str, float]
    lineage: dict[str, Any]
    parity: Parity
    example: Example
    about: str = ""
    columns: dict[str, Column] = {}
    evaluation: Evaluation | None = None
    reference: ReferenceFile | None = None

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read and validate the manifest of a model folder."""
        return cls.model_validate_json((folder / MANIFEST).read_bytes())
