"""The bits of every case of docs/conversion.md: what it fits, answers and exports, as an md5.

`python -m tests.stages.onnx_writer.bits` prints them as JSON, in the arithmetic that it finds;
with texts behind it only the rows whose names hold one of them.
"""

import hashlib
import json
import sys
import warnings
from typing import Any

import numpy as np

from app.model.manifest import Task
from stages.onnx_writer import NotConvertible, to_onnx
from tests.stages.onnx_writer.cases import CLASSES, Case, cases, pipelines
from tests.stages.onnx_writer.nasty import features_of


def digest(case: Case) -> bytes:
    """Of the training rows as the estimator gets them, its answers to them, and the graph."""
    md5 = hashlib.md5()
    task: Task = "regression" if case.kind == "regression" else "classification"
    for frame, rows, pipeline in pipelines(case):
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
    return md5.digest()


def floats(values: Any) -> bytes:
    """Numbers as the bytes of float64."""
    return np.ascontiguousarray(values, dtype=float).tobytes()


def digests(texts: list[str]) -> dict[str, str]:
    """The first eight digits of each row's md5, by section and row."""
    rows: dict[str, hashlib._Hash] = {}
    for case in cases():
        name = f"{case.section}: {case.row}"
        if not texts or any(text in name for text in texts):
            rows.setdefault(name, hashlib.md5()).update(digest(case))
            print(name, case.kind, file=sys.stderr, flush=True)
    return {name: md5.hexdigest()[:8] for name, md5 in rows.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = digests(sys.argv[1:])
    print(f"\n{json.dumps(found)}")
