"""`POST /truth`: what turned out to be true of earlier answers, by the id of their request."""

import asyncio
import csv
import io
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.drift.watch import Truth, Watch
from app.errors import MAX_ERRORS, Problem, invalid_values, quote
from app.formats.columns import class_text
from app.formats.json import parse_object
from app.formats.registry import CSV, JSON
from app.http.body import content_type, read_body
from app.http.predict import JSON_GROWTH, place
from app.http.service import Service
from app.model.manifest import Interface, Task

Fields = dict[str, Any]


async def truth(request: Request) -> Response:
    """Join truths with the answers that they are about."""
    service: Service = request.app.state.service
    media_type = content_type(request)
    if media_type not in (*JSON.media_types, *CSV.media_types):
        raise Problem(
            "unsupported-media-type",
            f"The Content-Type must be {JSON.media_types[0]} or {CSV.media_types[0]}.",
            status=415,
        )
    model = service.in_service.current
    if model is None:
        raise service.in_service.none_yet()
    if service.watch is None:
        raise Problem("no-drift", "No answers are kept: SERVE_DRIFT is false.", status=404)
    settings = service.settings
    async with place(service) as claim:
        body = await read_body(request, settings.max_json_bytes, settings.upload_seconds, claim)
        claim.work(JSON_GROWTH * len(body))
        told = await asyncio.to_thread(
            _join, service.watch, model.version, model.interface, bytes(body), media_type
        )
    return Response(orjson.dumps(told), media_type=JSON.media_types[0])


def _join(
    watch: Watch, version: str, interface: Interface, body: bytes, media_type: str
) -> dict[str, int]:
    is_csv = media_type in CSV.media_types
    entries = _of_csv(body, interface.task) if is_csv else _of_json(body)
    truths = _checked(entries, interface)
    joined = watch.tell(version, truths)
    return {"joined": joined, "unknown": len(truths) - joined}


def _of_json(body: bytes) -> list[Fields]:
    entries = parse_object(body).get("truths")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise Problem(
            "invalid-json", 'The body must be {"truths": [{"id": text, "value": value}, ...]}.'
        )
    return entries


def _of_csv(body: bytes, task: Task) -> list[Fields]:
    """Read the rows, whose cells become what JSON would hold where they can."""
    try:
        reader = csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        entries: list[Fields] = [
            {key: value for key, value in row.items() if key and value} for row in reader
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem("invalid-csv", f"The file cannot be read as CSV: {error}.") from error
    if not {"id", "value"} <= set(reader.fieldnames or ()):
        raise Problem("missing-columns", "The columns are id, value and, if needed, row.")
    for entry in entries:
        if entry.get("row", "").isdecimal():
            entry["row"] = int(entry["row"])
        if task == "regression":
            with suppress(ValueError, KeyError):
                entry["value"] = float(entry["value"])
    return entries


def _checked(entries: Iterable[Fields], interface: Interface) -> list[Truth]:
    """Read the entries.

    Raises:
        Problem: names those that do not fit.
    """
    classes: dict[Any, int] = {label: place for place, label in enumerate(interface.classes)}
    classes |= {class_text(label): place for label, place in [*classes.items()]}
    truths, faults = [], []
    for number, entry in enumerate(entries, 1):
        try:
            truths.append(_truth(entry, classes))
        except (ValueError, OverflowError) as error:
            faults.append({"row": number, "detail": str(error)})
            if len(faults) >= MAX_ERRORS:
                break
    if faults:
        raise invalid_values(faults)
    return truths


def _truth(entry: Fields, classes: dict[Any, int]) -> Truth:
    request_id, value, row = entry.get("id"), entry.get("value"), entry.get("row", 1)
    if not isinstance(request_id, str) or not request_id:
        raise ValueError("has no id, the X-Request-ID of the reply")
    if isinstance(row, float) and row.is_integer():
        row = int(row)
    if type(row) is not int or not 0 < row < 2**31:
        raise ValueError(f"{quote(entry['row'])} is not a row, counted from 1")
    if classes:
        if not isinstance(value, str | int | float | bool):
            raise ValueError(f"{quote(value)} is not a label")
        return Truth(request_id, row, float(classes.get(value, -1)))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{quote(value)} is not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{quote(value)} is not a finite number")
    return Truth(request_id, row, number)
