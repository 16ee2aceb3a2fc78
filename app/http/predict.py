"""The routes that predict. HTTP only: bytes come in, `app.scoring` turns them into bytes."""

from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.errors import Problem
from app.formats.mlflow import mlflow_records
from app.formats.upload import Upload
from app.http.body import content_type, is_parquet, is_small, read_body, read_file, read_small
from app.http.service import Service
from app.model.records import Record
from app.operations import memory
from app.scoring import Answer, answer_records, answer_upload, records_of

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
    if is_small(request):
        model = service.serving.model
        records = read(await read_small(request, settings.upload_seconds))
        answer = answer_records(model, records, settings, probabilities=probabilities)
        return _reply(request, answer)
    with service.work.slot():
        body = await read_body(request, settings.max_json_bytes, settings.upload_seconds)
        model = service.serving.model
        answer = await service.work.run(
            lambda: answer_records(model, read(body), settings, probabilities=probabilities)
        )
        return _reply(request, answer)


class _Whole(Response):
    """A reply whose headers are bytes already; Starlette would encode them once more."""

    def __init__(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = 200
        self.body = body
        self.raw_headers = headers
        self.background = None


def _reply(request: Request, answer: Answer) -> Response:
    trace = request.scope["trace"]
    trace.version, trace.rows = answer.version, answer.rows
    size = sum(map(len, answer.pieces))
    headers = [
        (b"content-length", b"%d" % size),
        (b"content-type", answer.media_type.encode()),
        (b"x-model-version", answer.version.encode()),
    ]
    if answer.ignored:
        names = [quote(name) for name in answer.ignored[:MAX_NAMED]]
        more = len(answer.ignored) - MAX_NAMED
        named = ", ".join(names) + (f", and {more} more" if more > 0 else "")
        headers.append((b"x-ignored-columns", named.encode()))
    if size <= LARGE:
        return _Whole(b"".join(answer.pieces), headers)
    reply = StreamingResponse(_each(answer.pieces))
    reply.raw_headers = headers
    return reply


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
