"""JSON: `{"records": [...]}` to packed rows, and predictions to a reply.

Replies are written in slices, so that no other thread waits long for one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson

from app.errors import Problem
from app.model.conformal import Interval
from app.model.explanation.result import Explanation
from app.model.manifest import Task
from app.model.model import Model, Prediction
from app.model.records import Record
from app.model.runtime import Packed
from app.settings import Limits

ROWS = 16_384  # written in one go


def pack(body: bytes | bytearray, model: Model, limits: Limits) -> tuple[Packed, list[str]]:
    """Read and pack `{"records": [...]}`; see `app.formats.registry.pack`."""
    parsed = parse_object(body)
    records = parsed.get("records")
    if type(records) is not list or len(parsed) != 1:
        raise Problem(
            "invalid-json",
            'The body must be {"records": [{column: value, ...}, ...]}, with no other key.',
        )
    return pack_records(records, model, limits)


def pack_records(
    records: Sequence[Record], model: Model, limits: Limits
) -> tuple[Packed, list[str]]:
    """Pack rows, each a mapping of column to JSON value; see `app.formats.registry.pack`."""
    limits.check_rows(len(records))
    return model.packer.pack(records), model.packer.ignored(records)


def parse_object(
    body: bytes | bytearray, parse: Callable[[bytes | bytearray], Any] = orjson.loads
) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        body: the text.
        parse: what parses it; raises ValueError where it is not JSON.

    Raises:
        Problem: it is not JSON, or not an object.
    """
    try:
        parsed = parse(body)
    except ValueError as error:
        raise Problem("invalid-json", f"The body is not JSON: {error}.", status=400) from error
    if not isinstance(parsed, dict):
        raise Problem("invalid-json", "The body must be a JSON object.")
    return parsed


def reply(model: Model, prediction: Prediction) -> list[bytes]:
    """`{"predictions": [...], "model": {...}}`, and what else the prediction has.

    A number that is not finite becomes null.

    Returns:
        The text, in pieces.
    """
    pieces = [b'{"predictions":', *_array(prediction.values)]
    if prediction.probabilities is not None:
        pieces += [b',"classes":', orjson.dumps(model.interface.classes)]
        pieces += [b',"probabilities":', *_array(prediction.probabilities)]
    if prediction.interval is not None:
        pieces += [b',"interval":', *_interval(prediction.interval)]
    if prediction.explanation is not None:
        pieces += [b',"explanation":', *_explanation(prediction.explanation, model.interface.task)]
    return [*pieces, b',"model":', model.name_and_version, b"}"]


def _interval(interval: Interval) -> list[bytes]:
    told = {"coverage": interval.coverage, "measured": interval.measured}
    pieces = [orjson.dumps(told)[:-1]]
    for name in ("lower", "upper", "sets"):
        values = getattr(interval, name)
        if values is not None:
            pieces += [b',"%s":' % name.encode(), *_array(values)]
    return [*pieces, b"}"]


def _explanation(explanation: Explanation, task: Task) -> list[bytes]:
    """The base is one number for a regression, else one for each row."""
    base = _array(explanation.base)
    if task == "regression":
        base = [orjson.dumps(float(explanation.base[0]))]
    pieces = [b'{"base":', *base]
    pieces += [b',"contributions":', *_by_feature(explanation.features, explanation.contributions)]
    if explanation.standard_error is not None:
        pieces += [
            b',"standard_error":',
            *_by_feature(explanation.features, explanation.standard_error),
        ]
    said = {"method": explanation.method, "additivity_error": explanation.additivity_error}
    return [*pieces, b",", orjson.dumps(said)[1:]]


def _by_feature(names: Sequence[str], values: np.ndarray[Any, Any]) -> list[bytes]:
    pieces = [b"{"]
    for name, column in zip(names, np.ascontiguousarray(values.T), strict=True):
        pieces += [b"," if len(pieces) > 1 else b"", orjson.dumps(name), b":", *_array(column)]
    return [*pieces, b"}"]


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
