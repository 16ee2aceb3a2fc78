"""A small table with everything that makes a conversion go wrong, and the measure of one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd

from app.model.manifest import Feature, Kind, Parity, Task
from stages.deployment.proof import parity
from stages.onnx_writer import edge_rows, to_onnx

ROWS = 240
KINDS: dict[str, Kind] = {
    "size": "number",
    "weight": "number",
    "count": "number",
    "flag": "boolean",
    "day": "date",
    "colour": "category",
    "answer": "category",
    "town": "category",
}


def table(task: Task, n_classes: int = 0, seed: int = 0) -> pd.DataFrame:
    """Return features and `target`: missing values, rare and many categories, odd dates."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": random.normal(10, 3, ROWS).round(2),
            "weight": random.lognormal(0, 1, ROWS),
            "count": random.integers(0, 9, ROWS).astype(float),
            "flag": random.integers(0, 2, ROWS).astype(float),
            "day": pd.to_datetime(random.integers(-(10**9), 16 * 10**8, ROWS), unit="s"),
            "colour": random.choice(["red", "dark green", "blue", "ünïcode"], ROWS).astype(object),
            "answer": random.choice(["y", "n"], ROWS).astype(object),
            "town": np.array([f"t{i:02d}" for i in random.integers(0, 40, ROWS)], dtype=object),
        }
    )
    score = (
        2 * frame["size"]
        + frame["weight"]
        + 5 * (frame["colour"] == "red")
        + 3 * frame["flag"]
        + frame["town"].str[1:].astype(float) / 5
        + random.normal(0, 1, ROWS)
    )
    for column in ("size", "weight", "flag", "colour", "answer", "town"):
        missing = np.isin(np.arange(ROWS), random.choice(ROWS, 12, replace=False))
        frame[column] = frame[column].mask(missing, np.nan)
    if task == "regression":
        return frame.assign(target=score)
    return frame.assign(target=pd.qcut(score, n_classes, labels=False))


def features_of(frame: pd.DataFrame) -> list[Feature]:
    """Describe the columns of the table, as the manifest would."""
    features = []
    for name, kind in KINDS.items():
        values = frame[name].dropna()
        if kind == "category":
            features.append(Feature(name=name, kind=kind, categories=tuple(sorted(set(values)))))
            continue
        if kind == "date":
            values = seconds(values)
        features.append(
            Feature(name=name, kind=kind, minimum=float(values.min()), maximum=float(values.max()))
        )
    return features


def seconds(dates: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return seconds since 1970, NaN where missing."""
    return (dates - pd.Timestamp(0)) / pd.Timedelta(seconds=1)


def pack(frame: pd.DataFrame, features: list[Feature]) -> dict[str, npt.NDArray[Any]]:
    """Pack typed columns as `app.model.manifest` says."""
    numeric, categorical = [], []
    for feature in features:
        column = frame[feature.name]
        if feature.kind == "category":
            code = {text: i for i, text in enumerate(feature.categories)}
            unseen, missing = len(code), len(code) + 1
            categorical.append(
                [missing if pd.isna(text) else code.get(text, unseen) for text in column]
            )
        else:
            numeric.append(seconds(column) if feature.kind == "date" else column)
    packed = {"numeric": np.array(numeric, float).T, "categorical": np.array(categorical, int).T}
    return {name: array for name, array in packed.items() if array.ndim == 2}


@dataclass(frozen=True)
class Answers:
    """Fitted or served answers: labels are None for a regression."""

    values: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64] | None = None


def fitted(pipeline: Any, frame: pd.DataFrame, task: Task) -> Answers:
    """Ask the fitted pipeline."""
    predictions = np.asarray(pipeline.predict(frame.copy()))
    if task == "regression":
        return Answers(predictions.astype(float))
    labels = predictions.astype(np.int64).ravel()
    if not hasattr(pipeline, "predict_proba"):
        return Answers(np.empty((len(frame), 0)), labels)
    return Answers(np.asarray(pipeline.predict_proba(frame.copy()), float), labels)


def served(model: bytes, frame: pd.DataFrame, features: list[Feature]) -> Answers:
    """Ask the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = dict(zip(names, session.run(None, pack(frame, features)), strict=True))
    if "prediction" in answers:
        return Answers(answers["prediction"])
    return Answers(answers.get("probabilities", np.empty((len(frame), 0))), answers["label"])


def measure(pipeline: Any, frame: pd.DataFrame, task: Task, n_classes: int = 0) -> Parity:
    """Convert the pipeline and compare it on the table's rows and the edge rows.

    Raises:
        NotConvertible: as `to_onnx`.
    """
    # What PyCaret was told to ignore is not a feature.
    features = [f for f in features_of(frame) if f.name in pipeline.feature_names_in_]
    columns = [feature.name for feature in features]
    model = to_onnx(pipeline, features, columns, task, n_classes).SerializeToString()
    edges = edge_rows(frame, features, columns, pipeline)
    rows = pd.concat([frame[columns], edges], ignore_index=True)
    ours, theirs = fitted(pipeline, rows, task), served(model, rows, features)
    return parity(ours.values, theirs.values, 1e-9, ours.labels, theirs.labels)
