"""Tries the cases of docs/conversion.md in the arithmetic that this process has.

`python -m tests.stages.onnx_writer.trial` prints a line of JSON for each case: its cell of the
document, and the md5 of what it fits, answers and exports. With texts behind it, only the cases
whose names hold one of them.
"""

import hashlib
import json
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from pandas.errors import SettingWithCopyWarning

from app.model.manifest import Task
from stages.onnx_writer import NotConvertible, to_onnx
from tests.stages.onnx_writer.cases import CLASSES, Case, Fitted, cases, outcome, pipelines
from tests.stages.onnx_writer.nasty import features_of

# Fitting is PyCaret's and the estimators' business; only the conversion must be silent.
LOUD: tuple[dict[str, Any], ...] = (
    {"category": FutureWarning},
    {"category": UserWarning},
    {"category": RuntimeWarning, "module": "sklearn"},
    {"category": DeprecationWarning},
    # PyCaret's grouping of rare categories writes into a slice of its own.
    {"category": SettingWithCopyWarning},
)


def bits(case: Case, fitted: Iterable[Fitted]) -> str:
    """The md5 of the training rows as the estimator gets them, its answers, and the graph."""
    md5 = hashlib.md5()
    task: Task = "regression" if case.kind == "regression" else "classification"
    for frame, rows, pipeline in fitted:
        model = pipeline.steps[-1][1]
        md5.update(floats(rows))
        md5.update(floats(model.predict(rows)))
        if hasattr(model, "predict_proba"):
            md5.update(floats(model.predict_proba(rows)))
        features = [one for one in features_of(frame) if one.name in pipeline.feature_names_in_]
        columns = [one.name for one in features]
        try:
            graph = to_onnx(pipeline, features, columns, task, CLASSES[case.kind])
        except NotConvertible:
            continue
        md5.update(graph.SerializeToString(deterministic=True))
    return md5.hexdigest()


def floats(values: Any) -> bytes:
    """Numbers as the bytes of float64."""
    return np.ascontiguousarray(values, dtype=float).tobytes()


def trials(texts: list[str]) -> Iterator[dict[str, str]]:
    """Try every case whose name holds one of the texts; every case where there are none."""
    for case in cases():
        if not texts or any(text in f"{case.section}: {case.row}" for text in texts):
            fitted = list(pipelines(case))
            yield {**vars(case), "outcome": outcome(case, fitted), "bits": bits(case, fitted)}


if __name__ == "__main__":
    warnings.simplefilter("error")
    for ignored in LOUD:
        warnings.filterwarnings("ignore", **ignored)
    for trial in trials(sys.argv[1:]):
        print(json.dumps(trial), flush=True)
