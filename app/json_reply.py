"""Predictions as JSON, in slices: no other thread waits long while one is written."""

from typing import Any

import numpy as np
import orjson

from app.model import Model, Prediction

ROWS = 16_384  # written in one go


def json_reply(model: Model, prediction: Prediction) -> bytes:
    """`{"predictions": [...], "model": {...}}`, with `classes` and `probabilities` if any.

    A number that is not finite becomes null.
    """
    parts = [b'{"predictions":', _array(prediction.values)]
    if prediction.probabilities is not None:
        parts += [b',"classes":', orjson.dumps(model.manifest.classes)]
        parts += [b',"probabilities":', _array(prediction.probabilities)]
    name = {"name": model.manifest.name, "version": model.version}
    return b"".join([*parts, b',"model":', orjson.dumps(name), b"}"])


def _array(values: np.ndarray[Any, Any]) -> bytes:
    if len(values) <= ROWS:
        return orjson.dumps(values.tolist())
    slices = (values[start : start + ROWS] for start in range(0, len(values), ROWS))
    return b"[" + b",".join(orjson.dumps(part.tolist())[1:-1] for part in slices) + b"]"
