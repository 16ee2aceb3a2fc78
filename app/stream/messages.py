"""Messages: from the bytes of requests to those of their answers. No broker is needed here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import orjson

from app.batch.answers import Options
from app.batch.records import score_records
from app.errors import quote
from app.formats.columns import column_names
from app.model.model import Model

Encode = Callable[[dict[str, Any]], bytes]

# The first bytes of a MessagePack map; no JSON begins with one.
MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])


@dataclass(frozen=True, slots=True)
class Request:
    """A message that came in.

    Attributes:
        id: what its answer is to be known by.
        data: one record, a mapping of column to value, in JSON or MessagePack.
    """

    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A message to go out.

    Attributes:
        id: the request's.
        data: the prediction, encoded as the request was; of a rejected one, its very bytes.
        reason: why it was rejected; empty where it was not.
    """

    id: str
    data: bytes
    reason: str = ""


def answer(model: Model, requests: Sequence[Request], options: Options) -> list[Answer]:
    """Answer requests in one call of the model, each by itself, in their order."""
    records: list[Any] = []
    encoders: list[Encode] = []
    places: list[int] = []
    answers: list[Answer | None] = [None] * len(requests)
    for place, request in enumerate(requests):
        try:
            record, encode = _read(request.data)
        except ValueError as error:
            answers[place] = Answer(request.id, request.data, str(error))
        else:
            records.append(record)
            encoders.append(encode)
            places.append(place)
    positions, rows, faults = score_records(model, records, options)
    names = column_names(model.interface, options.extras, ())
    for position, values in zip(positions, rows, strict=True):
        place = places[position]
        data = encoders[position](dict(zip(names, map(_finite, values), strict=True)))
        answers[place] = Answer(requests[place].id, data)
    reasons: dict[int, list[str]] = {}
    for fault in faults:
        column = f"column {quote(fault['column'])}: " if "column" in fault else ""
        reasons.setdefault(places[fault["row"] - 1], []).append(f"{column}{fault['detail']}")
    for place, parts in reasons.items():
        answers[place] = Answer(requests[place].id, requests[place].data, "; ".join(parts))
    return [one for one in answers if one is not None]


def _read(data: bytes) -> tuple[Any, Encode]:
    """Decode a record.

    Raises:
        ValueError: it is neither JSON nor a MessagePack map.
    """
    if data[:1] and data[0] in MAPS:
        try:
            return msgpack.unpackb(data), msgpack.packb
        except msgpack.StackError as error:
            raise ValueError("is not MessagePack: it is nested too deeply") from error
        except (ValueError, msgpack.UnpackException) as error:
            raise ValueError(f"is not MessagePack: {error}") from error
    try:
        return orjson.loads(data), orjson.dumps
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error


def _finite(value: Any) -> Any:
    """Give null for a number that is not finite, as in every other reply."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
