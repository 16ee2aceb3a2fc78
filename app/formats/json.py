"""JSON: `{"records": [...]}` to packed rows, and predictions to a reply.

Replies are written in slices, so that no other thread waits long for one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson

from app.errors import Problem
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
    """`{"predictions": [...], "model": {...}}`, with `classes` and `probabilities` if any.

    A number that is not finite becomes null.

    Returns:
        The text, in pieces.
    """
    pieces = [b'{"predictions":', *_array(prediction.values)]
    if prediction.probabilities is not None:
        pieces += [b',"classes":', orjson.dumps(model.interface.classes)]
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
