"""The contract between the deploy stage, which writes a model folder, and whoever serves it.

A model folder holds the graph (or, for `runtime: pycaret`, the fitted pipeline), unless
`deploy.explain` is `none` the file that answers are explained with, and `manifest.json`, which
describes both. The graph takes two packed inputs:

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


class Manifest(Interface):
    """`manifest.json`: the interface, and where the model comes from and how good it is.

    Attributes:
        metrics: the holdout metrics.
        lineage: what the model was made of: `data` (path, md5), `prepared` (md5),
            `params`, `libraries` (name: version).
        parity: the proof made at deploy time.
        example: the self-test.
    """

    metrics: dict[str, float]
    lineage: dict[str, Any]
    parity: Parity
    example: Example

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read and validate the manifest of a model folder."""
        return cls.model_validate_json((folder / MANIFEST).read_bytes())
