"""The routes that predict: bytes in, packed rows, predictions, bytes out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.drift.watch import Watch
from app.errors import Problem
from app.formats import json, mlflow
from app.formats.registry import CSV, FILES, JSON, Upload, as_csv, file_format, is_file_type, pack
from app.http.body import content_type, is_small, read_body, read_file, read_small
from app.http.service import Service
from app.model.model import Extras, Model, Prediction
from app.model.runtime import Packed
from app.operations import memory
from app.operations.budget import Claim
from app.settings import Limits

LARGE = 1024**2  # bytes; larger replies go out in pieces, larger files leave memory to clear
# Rows that a model may be asked in order to explain those of one request: about a minute.
MAX_CALLS = 40_000_000
MAX_NAMED = 4_096  # bytes of ignored columns in a header, which clients limit
# Memory that a step may take: JSON once it is parsed, by its bytes; an answer's numbers and their
# text, by their count; what an explanation takes for each row and column.
JSON_GROWTH = 36
FEW = 16  # rows, whose answers are not worth a claim
MANY = 1_000  # rows, whose explanation takes far longer than giving back what it needed
ANSWER_BYTES = 80
EXPLAINED_BYTES = 160
JSON_TYPES = (*JSON.media_types, "")
JSON_REPLY = JSON.media_types[0].encode()
CSV_REPLY = f"{CSV.media_types[0]}; charset=utf-8".encode()

PackJson = Callable[[bytes | bytearray, Model, Limits], tuple[Packed, list[str]]]


NOTHING = Extras()


class Answer(NamedTuple):
    """A reply to be sent.

    Attributes:
        pieces: its body, in order.
        media_type: what that is, as a header says it.
        version: the model's that gave it.
        rows: what was predicted, and
        predictions: what was answered.
        ignored: the columns that the model does not read.
    """

    pieces: list[bytes]
    media_type: bytes
    version: str
    rows: Packed
    predictions: npt.NDArray[Any]
    ignored: Sequence[str]


async def predict(request: Request) -> Response:
    """`POST /predict`: a file in a multipart form."""
    service: Service = request.app.state.service
    async with place(service) as claim:
        settings = service.settings
        upload = await read_file(request, settings.max_bytes, settings.upload_seconds, claim)
        return await _reply_to_file(request, service, upload, claim)


async def predict_records(request: Request) -> Response:
    """`POST /predict/records`: JSON records."""
    if content_type(request) not in JSON_TYPES:
        raise _unsupported(JSON_TYPES[:1])
    return await _reply_to_json(request, json.pack)


async def invocations(request: Request) -> Response:
    """`POST /invocations`: MLflow's scoring protocol."""
    media_type = content_type(request)
    if media_type in JSON_TYPES:
        return await _reply_to_json(request, mlflow.pack)
    if not is_file_type(media_type):
        raise _unsupported([source.media_types[0] for source in (JSON, *FILES)])
    service: Service = request.app.state.service
    async with place(service) as claim:
        settings = service.settings
        body = await read_body(request, settings.max_bytes, settings.upload_seconds, claim)
        upload = Upload(body, media_type=media_type)
        return await _reply_to_file(request, service, upload, claim)


async def _reply_to_file(
    request: Request, service: Service, upload: Upload, claim: Claim
) -> Response:
    answer = partial(
        answer_file,
        _model(service),
        upload,
        replace(service.limits, claim=claim.work),
        _extras(request),
        to_csv=_accepts_csv(request),
    )
    return _reply(request, await _on_thread(service, answer), claim)


async def _reply_to_json(request: Request, pack_json: PackJson) -> Response:
    service: Service = request.app.state.service
    settings, limits = service.settings, service.limits
    extras = _extras(request)
    # An explanation may take long, and no other request waits for one.
    if is_small(request) and not extras.explain:
        model = _model(service)
        body = await read_small(request, settings.upload_seconds)
        return _reply(request, answer_json(model, body, pack_json, limits, extras))
    async with place(service) as claim:
        large = await read_body(request, settings.max_json_bytes, settings.upload_seconds, claim)
        limits = replace(limits, claim=claim.work)
        answer = partial(answer_json, _model(service), large, pack_json, limits, extras)
        return _reply(request, await _on_thread(service, answer), claim)


def answer_file(
    model: Model, upload: Upload, limits: Limits, extras: Extras = NOTHING, *, to_csv: bool
) -> Answer:
    """Predict every row of a file.

    Args:
        model: the model.
        upload: the file.
        limits: how large it may be.
        extras: what to give beside the predictions.
        to_csv: give the file's rows with the predictions appended, instead of JSON.

    Raises:
        Problem: the file does not fit.
    """
    model.check(extras)
    source = file_format(upload)
    rows, ignored = pack(source, upload.data, model, limits)
    size = _memory(model, rows, extras)
    limits.claim(size)
    prediction = _predict(model, rows, limits, extras)
    if to_csv:
        from app.formats import csv  # imports Arrow, which takes long

        table = as_csv(source, upload.data, limits)
        limits.claim(size + csv.reply_memory(table))
        pieces = csv.reply(table, prediction, model.interface, extras)
    else:
        pieces = json.reply(model, prediction)
    media_type = CSV_REPLY if to_csv else JSON_REPLY
    return Answer(pieces, media_type, model.version, rows, prediction.values, ignored)


def answer_json(
    model: Model, body: bytes | bytearray, pack_json: PackJson, limits: Limits, extras: Extras
) -> Answer:
    """Predict the rows of a JSON body.

    Args:
        model: the model.
        body: the text.
        pack_json: what reads it, `pack` of `app.formats.json` or of `app.formats.mlflow`.
        limits: how large it may be.
        extras: what to give beside the predictions.

    Raises:
        Problem: the body does not fit.
    """
    model.check(extras)
    limits.claim(JSON_GROWTH * len(body))
    rows, ignored = pack_json(body, model, limits)
    if len(rows) > FEW:
        limits.claim(_memory(model, rows, extras))
    prediction = _predict(model, rows, limits, extras)
    pieces = json.reply(model, prediction)
    return Answer(pieces, JSON_REPLY, model.version, rows, prediction.values, ignored)


def _predict(model: Model, rows: Packed, limits: Limits, extras: Extras) -> Prediction:
    if not extras.explain:
        return model.answer(rows, extras)
    assert model.explainer is not None  # noqa: S101 (checked before)
    limits.check_explained_rows(len(rows))
    is_first = not model.explainer.is_open
    _check_calls(model.explainer.method.calls, len(rows))
    prediction = model.answer(rows, extras)
    if is_first or len(rows) > MANY:
        # What only explanations run; code that other requests need, too, comes back by itself.
        memory.release_code()
    return prediction


def _check_calls(calls: int, rows: int) -> None:
    """Refuse what would take too long to explain.

    Args:
        calls: how many rows the model answers to explain one.
        rows: how many are to be explained.

    Raises:
        Problem: says how many rows may be explained.
    """
    if rows * calls > MAX_CALLS:
        raise Problem(
            "too-many-rows",
            f"To explain one row, this model answers {calls:,} others; at most "
            f"{max(1, MAX_CALLS // calls)} rows can be explained at once.",
            status=413,
        )


def _memory(model: Model, rows: Packed, extras: Extras) -> int:
    """Bytes that answering rows may take at most: their values, answers, and the reply's text."""
    interface = model.interface
    bounds = 2 if extras.interval is not None else 0
    numbers = 1 + bounds + (len(interface.classes) if model.gives_probabilities else 0)
    label = max((len(str(one)) for one in interface.classes), default=0)
    explained = EXPLAINED_BYTES * len(interface.features) if extras.explain else 0
    per_row = 8 * len(interface.features) + ANSWER_BYTES * numbers + 2 * label + explained
    return per_row * len(rows)


def _model(service: Service) -> Model:
    if service.in_service.current is None:
        raise service.in_service.none_yet()
    return service.in_service.current


@asynccontextmanager
async def place(service: Service) -> AsyncIterator[Claim]:
    """Hold a place for a large request while its body is received and answered.

    The claim on memory that comes with it ends with the place, or with a large reply.

    Raises:
        Problem: all places are taken.
    """
    if service.places.locked():
        raise Problem(
            "busy",
            f"All {service.settings.max_concurrent} places for large requests are taken. "
            "Try again shortly.",
            status=503,
            headers={"Retry-After": "1"},
        )
    async with service.places:
        claim = service.budget.claim()
        try:
            yield claim
        except BaseException:
            claim.release()
            raise


async def _on_thread(service: Service, function: Callable[[], Answer]) -> Answer:
    return await asyncio.get_running_loop().run_in_executor(service.threads, function)


class _Whole(Response):
    """A reply whose headers are bytes already; Starlette would encode them once more."""

    def __init__(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = 200
        self.body = body
        self.raw_headers = headers
        self.background = None


class _Pieces(Response):
    """A large reply: in pieces, which claim memory until they are sent."""

    def __init__(
        self, pieces: list[bytes], headers: list[tuple[bytes, bytes]], claim: Claim | None
    ) -> None:
        self.raw_headers = headers
        self._pieces = pieces
        self._claim = claim

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            last = len(self._pieces) - 1
            for number, piece in enumerate(self._pieces):
                body = {"type": "http.response.body", "body": piece, "more_body": number < last}
                await send(body)
        finally:
            self._pieces.clear()
            if self._claim is not None:
                self._claim.release()


def _reply(request: Request, answer: Answer, claim: Claim | None = None) -> Response:
    trace = request.scope["trace"]
    trace.version, trace.rows = answer.version, len(answer.rows)
    watch: Watch | None = request.scope["app"].state.service.watch
    if watch is not None:
        watch.add(answer.version, trace.request_id, answer.rows, answer.predictions)
    size = sum(map(len, answer.pieces))
    headers = [
        (b"content-length", b"%d" % size),
        (b"content-type", answer.media_type),
        (b"x-model-version", answer.version.encode()),
    ]
    if answer.ignored:
        headers.append((b"x-ignored-columns", _listed(answer.ignored)))
    if size > LARGE:
        if claim is not None:
            claim.work(0)
            claim.keep(size)
        return _Pieces(answer.pieces, headers, claim)
    if claim is not None:
        claim.release()
    return _Whole(b"".join(answer.pieces), headers)


def _listed(names: Sequence[str]) -> bytes:
    listed: list[str] = []
    size = 0
    for name in map(quote, names):
        size += len(name) + 2
        if size > MAX_NAMED:
            listed.append(f"and {len(names) - len(listed)} more")
            break
        listed.append(name)
    return ", ".join(listed).encode()


def _extras(request: Request) -> Extras:
    if not request.scope["query_string"]:
        return NOTHING
    return Extras(
        _is_true(request, "probabilities"), _interval(request), _is_true(request, "explain")
    )


def _interval(request: Request) -> float | None:
    text = request.query_params.get("interval")
    if text is None:
        return None
    try:
        coverage = float(text)
    except ValueError:
        coverage = 0.0
    if not 0 < coverage < 1:
        raise Problem(
            "invalid-parameter",
            "The parameter 'interval' is a coverage: a number between 0 and 1, such as 0.9.",
        )
    return coverage


def _is_true(request: Request, parameter: str) -> bool:
    value = request.query_params.get(parameter, "false")
    if value not in ("true", "false"):
        raise Problem(
            "invalid-parameter", f"The parameter '{parameter}' is either 'true' or 'false'."
        )
    return value == "true"


def _accepts_csv(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return CSV.media_types[0] in accept and JSON.media_types[0] not in accept


def _unsupported(expected: Sequence[str]) -> Problem:
    return Problem(
        "unsupported-media-type", f"The Content-Type must be {' or '.join(expected)}.", status=415
    )
