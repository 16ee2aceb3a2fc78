"""Request bodies, received within limits and never written to disk."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from app.errors import Problem
from app.formats.registry import Upload
from app.operations.budget import Claim

# Smaller bodies are answered on the event loop; a thread would take longer than the answer.
SMALL_BYTES = 16_384
MAX_PARTS = 100  # of a form; each costs as much as thousands of a file's bytes


def content_type(request: Request) -> str:
    """The body's media type, lower case, without parameters."""
    return _media_type(_header(request, b"content-type"))


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def is_small(request: Request) -> bool:
    """Whether the request states a length, and one that is not worth a thread."""
    length = _header(request, b"content-length")
    return length.isdecimal() and int(length) <= SMALL_BYTES


def _header(request: Request, name: bytes) -> str:
    """A header's value or "". Starlette's own mapping costs more than a row's prediction."""
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


async def read_small(request: Request, seconds: float) -> bytes:
    """Receive the body of a request that `is_small`; the server lets no more of it through.

    Raises:
        ClientDisconnect: the client went away.
        Problem: it takes too long.
    """
    first = _message_if_there(request)
    if first is not None and not first.get("more_body", False):
        return _chunk(first)
    async with _deadline(seconds):
        message = first or await request.receive()
        body = _chunk(message)
        while message.get("more_body", False):
            message = await request.receive()
            body += _chunk(message)
        return body


def _message_if_there(request: Request) -> Message | None:
    """Take the next message if it is there already, as it mostly is: a timer would cost more."""
    waiting: Coroutine[Any, Any, Message] = request.receive()  # type: ignore[assignment]
    try:
        waiting.send(None)
    except StopIteration as done:
        message: Message = done.value
        return message
    waiting.close()  # no message is lost: none had come
    return None


def _chunk(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    chunk: bytes = message.get("body", b"")
    return chunk


async def read_body(request: Request, max_bytes: int, seconds: float, claim: Claim) -> bytearray:
    """Receive a whole body, whose memory is claimed as it comes.

    Raises:
        Problem: it is too large, or takes too long.
    """
    body = bytearray()
    async with _deadline(seconds):
        async for chunk in _chunks(request, max_bytes, claim):
            body += chunk
    return body


async def read_file(request: Request, max_bytes: int, seconds: float, claim: Claim) -> Upload:
    """Receive the part named `file` of a multipart body, whose memory is claimed as it comes.

    Raises:
        Problem: the body is not such a form, too large, or takes too long.
    """
    _, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if not boundary or content_type(request) != "multipart/form-data":
        raise Problem(
            "unsupported-media-type",
            "Send the file as multipart/form-data, in a field named 'file'; with curl: "
            "-F file=@rows.csv",
            status=415,
        )
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async with _deadline(seconds):
            async for chunk in _chunks(request, max_bytes, claim):
                parser.write(chunk)
    except FormParserError as error:
        raise Problem(
            "invalid-multipart", f"The multipart body is broken: {error}.", status=400
        ) from error
    if not form.ended:
        raise Problem(
            "invalid-multipart", "The multipart body ends before its last boundary.", status=400
        )
    if form.file is None:
        raise Problem("no-file", "The form has no field named 'file'.")
    return form.file


async def _chunks(request: Request, max_bytes: int, claim: Claim) -> AsyncIterator[bytes]:
    too_large = Problem(
        "too-large", f"The body is larger than this server takes: {max_bytes} bytes.", status=413
    )
    length = _header(request, b"content-length")
    if length.isdecimal() and int(length) > max_bytes:
        raise too_large
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        claim.keep(received + received // 8)  # a growing array takes an eighth more
        yield chunk


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Problem(
            "too-slow", f"The body did not arrive within {seconds:g} seconds.", status=408
        ) from error


class _Form:
    """Collects the part named `file` from the parser's events; other parts are dropped."""

    def __init__(self) -> None:
        self.file: Upload | None = None
        self.ended = False
        self._parts = 0
        self._headers: dict[str, str] = {}
        self._name = ""
        self._value = ""
        self._data: bytearray | None = None

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Problem(
                "too-many-parts", f"The form has more than {MAX_PARTS} fields.", status=413
            )
        self._headers.clear()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end].decode("latin-1")

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end].decode("latin-1")

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = ""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition"))
        self._data = None
        if options.get(b"name") != b"file":
            return
        if self.file is not None:
            raise Problem("several-files", "The form has several fields named 'file'; send one.")
        self._data = bytearray()
        name = options.get(b"filename", b"").decode("latin-1")
        self.file = Upload(self._data, name, _media_type(self._headers.get("content-type", "")))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._data is not None:
            self._data += memoryview(data)[start:end]

    def _on_end(self) -> None:
        self.ended = True
