"""The routes that predict. HTTP only: bytes come in, `app.answers` turns them into bytes."""

from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app import memory
from app.answers import Answer, answer_records, answer_upload, records_of
from app.body import content_type, is_parquet, read_body, read_file
from app.errors import Problem
from app.mlflow_json import mlflow_records
from app.records import Record
from app.service import Service
from app.upload import Upload

# Smaller bodies are answered at once; a thread would cost them more than it gives.
INLINE_BYTES = 16_384
LARGE = 1024**2  # bytes; larger replies go out in pieces, larger files leave memory to clear
MAX_NAMED = 50  # ignored columns in a header, which clients limit
JSON_TYPES = ("application/json", "")
CSV_TYPES = ("text/csv", "application/csv")


async def predict(request: Request) -> Response:
    """`POST /predict`: a CSV or Parquet file in a multipart form."""
    service: Service = request.app.state.service
    service.check_key(request)
    with service.work.slot():
        settings = service.settings
        upload = await read_file(request, settings.max_bytes, settings.upload_seconds)
        return await _answer_upload(request, service, upload)


async def predict_records(request: Request) -> Response:
    """`POST /predict/records`: JSON records."""
    if content_type(request) not in JSON_TYPES:
        raise _unsupported("application/json")
    return await _answer_json(request, records_of)


async def invocations(request: Request) -> Response:
    """`POST /invocations`: MLflow's scoring protocol."""
    media_type = content_type(request)
    if media_type in JSON_TYPES:
        return await _answer_json(request, mlflow_records)
    if media_type not in CSV_TYPES and not is_parquet("", media_type):
        raise _unsupported("application/json or text/csv")
    service: Service = request.app.state.service
    service.check_key(request)
    with service.work.slot():
        settings = service.settings
        body = await read_body(request, settings.max_bytes, settings.upload_seconds)
        upload = Upload(body, is_parquet("", media_type))
        return await _answer_upload(request, service, upload)


async def _answer_upload(request: Request, service: Service, upload: Upload) -> Response:
    answer = await service.work.run(
        answer_upload,
        service.serving.model,
        upload,
        service.settings,
        probabilities=_probabilities(request),
        as_csv=_wants_csv(request),
    )
    reply = _reply(request, answer)
    if len(upload.data) > LARGE:
        reply.background = BackgroundTask(memory.release)
    return reply


async def _answer_json(
    request: Request, read: Callable[[bytes | bytearray], list[Record]]
) -> Response:
    service: Service = request.app.state.service
    service.check_key(request)
    settings = service.settings
    probabilities = _probabilities(request)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= INLINE_BYTES:
        model = service.serving.model
        records = read(await request.body())
        answer = answer_records(model, records, settings, probabilities=probabilities)
        return _reply(request, answer)
    with service.work.slot():
        body = await read_body(request, settings.max_json_bytes, settings.upload_seconds)
        model = service.serving.model
        answer = await service.work.run(
            lambda: answer_records(model, read(body), settings, probabilities=probabilities)
        )
        return _reply(request, answer)


def _reply(request: Request, answer: Answer) -> Response:
    trace = request.scope["trace"]
    trace.version, trace.rows = answer.version, answer.rows
    headers = {"X-Model-Version": answer.version}
    if answer.ignored:
        names = [quote(name) for name in answer.ignored[:MAX_NAMED]]
        more = len(answer.ignored) - MAX_NAMED
        headers["X-Ignored-Columns"] = ", ".join(names) + (f", and {more} more" if more > 0 else "")
    size = sum(map(len, answer.pieces))
    if size <= LARGE:
        return Response(b"".join(answer.pieces), headers=headers, media_type=answer.media_type)
    headers["Content-Length"] = str(size)
    return StreamingResponse(_each(answer.pieces), headers=headers, media_type=answer.media_type)


async def _each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _probabilities(request: Request) -> bool:
    if not request.scope["query_string"]:
        return False
    value = request.query_params.get("probabilities", "false")
    if value not in ("true", "false"):
        raise Problem(
            "invalid-parameter", "The parameter 'probabilities' is either 'true' or 'false'."
        )
    return value == "true"


def _wants_csv(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "text/csv" in accept and "application/json" not in accept


def _unsupported(expected: str) -> Problem:
    return Problem("unsupported-media-type", f"The Content-Type must be {expected}.", status=415)
