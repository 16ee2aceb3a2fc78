"""Connections that send too slowly, too much or nothing, and those that never read."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from app.http import protocol
from app.settings import Settings
from tests.app.conftest import EXAMPLE, publish, serve, write_model
from tests.app.processes import folder_with_model, started

LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n"
CHUNKED = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
)
COLUMNS = b"note,carat weight,cut,certified,sold\n"


@pytest.fixture
def hasty(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A server with very little patience, which takes files of 30 MB."""
    for name in ("HEADER_SECONDS", "WRITE_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(protocol, name, 0.5)
    monkeypatch.setattr(protocol, "WRITE_BYTES", 1_000)
    publish(write_model(settings.model_cache / "m"), settings.model_cache, settings.lock_file)
    with serve(
        settings.model_copy(update={"max_bytes": 30 * 1024**2, "max_rows": 20_000})
    ) as client:
        yield client


@contextmanager
def connection(client: httpx.Client) -> Iterator[socket.socket]:
    with closing(socket.socket()) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        own.settimeout(20)
        own.connect((client.base_url.host, client.base_url.port))
        yield own


def received(own: socket.socket) -> bytes:
    """Everything until the server closes; it may close with a reset."""
    content = b""
    try:
        while piece := own.recv(65_536):
            content += piece
    except ConnectionResetError:
        pass
    return content


def drip(own: socket.socket, piece: bytes) -> int:
    """Send a piece every twentieth of a second; how many until the server closed, at most 200."""
    for sent in range(200):
        try:
            own.sendall(piece)
        except OSError:
            return sent
        time.sleep(0.05)
    return 200


@pytest.mark.parametrize("start", [b"", b"GET /live HTT", LIVE, LIVE + b"X: y"])
def test_header_that_does_not_come_is_given_up(hasty: httpx.Client, start: bytes) -> None:
    with connection(hasty) as own:
        own.sendall(start)
        assert received(own) == b""


@pytest.mark.parametrize("start", [b"\r\n", b"GET"])
def test_so_is_the_next_one_on_the_same_connection(hasty: httpx.Client, start: bytes) -> None:
    with connection(hasty) as own:
        own.sendall(LIVE + b"\r\n")
        answer = b""
        while not answer.endswith(b'{"status":"live"}'):  # it may come in two pieces
            answer += own.recv(65_536)
        own.sendall(start)
        assert received(own) == b""


def test_dripping_header_is_given_up(hasty: httpx.Client) -> None:
    with connection(hasty) as own:
        own.sendall(LIVE)
        assert drip(own, b"X: y\r\n") < 200


def flood(own: socket.socket, piece: bytes) -> int:
    """Send until the server closes; how many bytes that took, at most 20 MB."""
    sent = 0
    try:
        while sent < 20_000_000:
            own.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", b"x" * 1_000),
        (LIVE + b"X: ", b"x" * 1_000),
        (LIVE, b"X: y\r\n" * 1_000),
        (CHUNKED + b"5;", b"x" * 1_000),
        (CHUNKED + b"5\r\n--b\r\n\r\n0\r\nX: ", b"x" * 1_000),
        (CHUNKED + b"5\r\n--b\r\n\r\n0\r\n", b"X: y\r\n" * 1_000),
    ],
    ids=["address", "header", "headers", "chunk extension", "trailer", "trailers"],
)
def test_bytes_that_nobody_would_see_are_bounded(
    hasty: httpx.Client, start: bytes, piece: bytes
) -> None:
    with connection(hasty) as own:
        own.sendall(start)
        assert flood(own, piece) < 10_000_000
    assert hasty.get("/live").status_code == 200


def test_header_that_is_too_large_is_told_so(hasty: httpx.Client) -> None:
    with connection(hasty) as own:
        own.sendall(LIVE + b"X: " + b"x" * 65_536)
        assert own.recv(65_536).startswith(b"HTTP/1.1 431")


def test_large_header_that_ends_is_taken(hasty: httpx.Client) -> None:
    assert hasty.get("/live", headers={"X-Long": "x" * 60_000}).status_code == 200


def test_request_that_goes_on_after_its_refusal_is_closed(hasty: httpx.Client) -> None:
    with connection(hasty) as own:
        own.sendall(CHUNKED.replace(b"/predict", b"/model") + b"5\r\nhello\r\n")
        assert own.recv(65_536).startswith(b"HTTP/1.1 405")
        assert drip(own, b"5\r\nhello\r\n") < 200


def test_slow_request_behind_an_answered_one_has_its_own_time(hasty: httpx.Client) -> None:
    """The refusal of the first must not cut off the second, whose body takes a while."""
    body = b'{"records": []}'
    second = b"POST /predict/records HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with connection(hasty) as own:
        own.sendall(LIVE + b"\r\n" + second)
        assert own.recv(65_536).startswith(b"HTTP/1.1 200")
        time.sleep(1)
        own.sendall(body)
        assert b"HTTP/1.1 422" in own.recv(65_536)


def large_request() -> bytes:
    """Asks for a reply of 20 MB, more than the system's buffers take."""
    rows = (b"x" * 1_000 + b",0,Fair,0,\n") * 20_000
    body = COLUMNS + rows
    return (
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        b"Accept: text/csv\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


def test_reply_that_nobody_takes_is_given_up(hasty: httpx.Client) -> None:
    with connection(hasty) as own:
        own.sendall(large_request())
        assert own.recv(12) == b"HTTP/1.1 200"
        time.sleep(2)
        assert len(received(own)) < 15_000_000


def test_reply_that_is_taken_slowly_but_steadily_arrives(hasty: httpx.Client) -> None:
    with connection(hasty) as own:
        own.sendall(large_request())
        head, _, content = own.recv(65_536).partition(b"\r\n\r\n")
        (length,) = re.findall(rb"content-length: (\d+)", head)
        count = len(content)
        for _ in range(30):  # longer than the patience
            count += len(own.recv(65_536))
            time.sleep(0.05)
        while count < int(length):
            count += (size := len(own.recv(1_000_000)))
            assert size


def test_readers_that_never_read_do_not_keep_the_server(tmp_path: Path) -> None:
    settings = {"SERVE_SHUTDOWN_SECONDS": "1"}
    with started(folder_with_model(tmp_path), "app", settings=settings) as server:
        request = large_request()
        with connection(server.client) as own, connection(server.client) as half:
            own.sendall(request)
            half.sendall(LIVE)
            assert own.recv(12) == b"HTTP/1.1 200"
            server.process.terminate()
            assert server.process.wait(15) is not None


def test_requests_in_work_are_answered_before_the_end(tmp_path: Path) -> None:
    with started(folder_with_model(tmp_path), "app") as server:
        body = b'{"records": []}'
        head = b"POST /predict/records HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        with connection(server.client) as own:
            own.sendall(head % len(body))
            assert server.client.post("/predict/records", json={"records": [EXAMPLE]}).is_success
            server.process.terminate()
            time.sleep(0.5)
            own.sendall(body)
            assert own.recv(65_536).startswith(b"HTTP/1.1 422")
        assert server.process.wait(15) is not None
