"""From a request's bytes to the reply's, without HTTP: what the prediction routes share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from app.errors import Problem
from app.formats.csv_writer import csv_reply
from app.formats.json import json_reply
from app.formats.upload import Upload, check_rows, pack_upload
from app.model.model import Model, Prediction
from app.model.records import Record
from app.model.runtime import Packed
from app.settings import Settings

ROWS = 2_048  # records packed in one go, so that no other thread waits long


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply to be sent.

    Attributes:
        pieces: its body, in order.
        media_type: what that is.
        version: the model's that gave it.
        rows: how many were predicted.
        ignored: the columns that the model does not read.
    """

    pieces: list[bytes]
    media_type: str
    version: str
    rows: int
    ignored: Sequence[str]


def answer_upload(
    model: Model, upload: Upload, settings: Settings, *, probabilities: bool, as_csv: bool
) -> Answer:
    """Predict every row of a file.

    Raises:
        Problem: the file does not fit.
    """
    _check_probabilities(model, probabilities)
    packed, ignored = pack_upload(upload, model.manifest, settings)
    prediction = _predict(model, packed, probabilities)
    if as_csv:
        pieces = csv_reply(model, upload, prediction, settings.max_bytes)
        media_type = "text/csv; charset=utf-8"
    else:
        pieces, media_type = json_reply(model, prediction), "application/json"
    return Answer(pieces, media_type, model.version, len(packed), ignored)


def answer_records(
    model: Model, records: Sequence[Record], settings: Settings, *, probabilities: bool
) -> Answer:
    """Predict JSON records.

    Raises:
        Problem: a record does not fit.
    """
    _check_probabilities(model, probabilities)
    check_rows(len(records), settings)
    if len(records) <= ROWS:
        packed = model.packer.pack(records)
    else:
        parts = [
            model.packer.pack(records[start : start + ROWS], first_row=start + 1)
            for start in range(0, len(records), ROWS)
        ]
        packed = Packed(
            np.concatenate([part.numeric for part in parts]),
            np.concatenate([part.categorical for part in parts]),
        )
    prediction = _predict(model, packed, probabilities)
    return Answer(
        json_reply(model, prediction),
        "application/json",
        model.version,
        len(packed),
        model.packer.ignored(records),
    )


def parse_json(
    body: bytes | bytearray, read: Callable[[bytes | bytearray], Any] = orjson.loads
) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        body: the text.
        read: what parses it; a ValueError says that it is no JSON.

    Raises:
        Problem: it is not JSON, or not an object.
    """
    try:
        parsed = read(body)
    except ValueError as error:
        raise Problem("invalid-json", f"The body is not JSON: {error}.", status=400) from error
    if not isinstance(parsed, dict):
        raise Problem("invalid-json", "The body must be a JSON object.")
    return parsed


def records_of(body: bytes | bytearray) -> list[Record]:
    """Read `{"records": [...]}`.

    Raises:
        Problem: it is something else.
    """
    parsed = parse_json(body)
    records = parsed.get("records")
    if type(records) is not list or len(parsed) != 1:
        raise Problem(
            "invalid-json",
            'The body must be {"records": [{column: value, ...}, ...]}, with no other key.',
        )
    return records


def _check_probabilities(model: Model, wanted: bool) -> None:
    if wanted and not model.gives_probabilities:
        raise Problem("no-probabilities", "This model gives no probabilities.")


def _predict(model: Model, packed: Packed, probabilities: bool) -> Prediction:
    prediction = model.predict(packed)
    return prediction if probabilities else Prediction(prediction.values)
