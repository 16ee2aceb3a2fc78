"""Predictions as JSON, in slices: no other thread waits long while one is written."""

from typing import Any

import numpy as np
import orjson

from app.model.model import Model, Prediction

ROWS = 16_384  # written in one go


def json_reply(model: Model, prediction: Prediction) -> list[bytes]:
    """`{"predictions": [...], "model": {...}}`, with `classes` and `probabilities` if any.

    A number that is not finite becomes null.

    Returns:
        The text, in pieces.
    """
    pieces = [b'{"predictions":', *_array(prediction.values)]
    if prediction.probabilities is not None:
        pieces += [b',"classes":', orjson.dumps(model.manifest.classes)]
        pieces += [b',"probabilities":', *_array(prediction.probabilities)]
    return [*pieces, b',"model":', model.name_and_version, b"}"]


def _array(values: np.ndarray[Any, Any]) -> list[bytes]:
    if len(values) <= ROWS:
        return [_slice(values)]
    slices = [_slice(values[start : start + ROWS]) for start in range(0, len(values), ROWS)]
    # One array out of many: the brackets between them become commas.
    return [slices[0][:-1], *(b"," + part[1:-1] for part in slices[1:]), b"]"]


def _slice(values: np.ndarray[Any, Any]) -> bytes:
    if values.dtype == object:  # labels
        return orjson.dumps(values.tolist())
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
