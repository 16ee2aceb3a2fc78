"""Keys, limits, and requests that are not what they seem."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from pydantic import SecretStr

from app.settings import Settings
from tests.app.conftest import EXAMPLE, publish, serve, settings_in, write_model

CSV = b"carat weight,cut,certified,sold\n1.5,Good,true,2020-01-01\n"
HEAD = "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{more}\r\n"
FORM = "multipart/form-data; boundary=b"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with a key, one place for large requests, and little patience."""
    folder = tmp_path_factory.mktemp("guarded")
    changes = {"api_key": SecretStr("secret key"), "max_concurrent": 1, "upload_seconds": 0.5}
    settings: Settings = settings_in(folder).model_copy(update=changes)
    publish(write_model(folder / "model"), settings.model_cache, settings.lock_file)
    with serve(settings) as client:
        yield client


def raw(client: httpx.Client, *parts: bytes) -> str:
    """Send bytes as they are, then read what comes until the server has no more to say."""
    with closing(socket.create_connection((client.base_url.host, client.base_url.port))) as own:
        own.settimeout(5)
        for part in parts:
            own.sendall(part)
        return own.recv(65_536).decode()


def head(path: str, kind: str = FORM, more: str = "") -> bytes:
    return HEAD.format(path=path, kind=kind, more=more).encode()


def part(content: bytes, disposition: str = 'form-data; name="file"; filename="a.csv"') -> bytes:
    return f"--b\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content


@pytest.mark.parametrize(
    ("key", "status"), [(None, 401), (b"", 403), (b"wrong", 403), ("Ω".encode(), 403)]
)
@pytest.mark.parametrize("path", ["/predict", "/predict/records", "/invocations", "/reload"])
def test_key_is_needed(guarded: httpx.Client, path: str, key: bytes | None, status: int) -> None:
    headers = {} if key is None else {b"X-API-Key": key}
    reply = guarded.post(path, json={"records": [EXAMPLE]}, headers=headers)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert ("www-authenticate" in reply.headers) == (status == 401)


def test_right_key_opens(guarded: httpx.Client) -> None:
    headers = {"X-API-Key": "secret key"}
    reply = guarded.post("/predict/records", json={"records": [EXAMPLE]}, headers=headers)
    assert reply.status_code == 200
    assert guarded.post("/reload", headers=headers).json()["changed"] is False


def test_without_a_configured_key_nobody_reloads(client: httpx.Client) -> None:
    reply = client.post("/reload", headers={"X-API-Key": ""})
    assert reply.status_code == 403
    assert "SERVE_API_KEY" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/live/", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/model", 405),
    ],
)
def test_routes_that_are_not_there_are_problems_too(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    reply = client.request(method, path)
    assert reply.status_code == status
    assert reply.json()["status"] == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (part(CSV), 400, "ends before"),
        (part(CSV) + b"\r\n--b", 400, "ends before"),
        (b"no boundary here", 400, "broken"),
        (b"", 400, "ends before"),
        (b"--b--\r\n", 422, "no field named 'file'"),
        (part(CSV, 'form-data; name="data"') + b"\r\n--b--\r\n", 422, "no field named 'file'"),
        (part(CSV) + b"\r\n" + part(CSV) + b"\r\n--b--\r\n", 422, "several fields"),
        (part(b"") + b"\r\n--b--\r\n", 422, "file is empty"),
    ],
)
def test_form_that_is_none_says_so(
    client: httpx.Client, body: bytes, status: int, message: str
) -> None:
    reply = client.post("/predict", content=body, headers={"content-type": FORM})
    assert reply.status_code == status
    assert message in reply.json()["detail"]


def test_form_without_a_boundary_is_refused(client: httpx.Client) -> None:
    headers = {"content-type": "multipart/form-data"}
    assert client.post("/predict", content=CSV, headers=headers).status_code == 415


def test_form_of_empty_parts_is_refused_at_once(client: httpx.Client) -> None:
    """A byte of them costs a hundred times what one of a file does."""
    body = part(b"", 'form-data; name="x"') + b"\r\n"
    reply = client.post("/predict", content=body * 200, headers={"content-type": FORM})
    assert reply.status_code == 413
    assert "more than 100 fields" in reply.json()["detail"]


def test_other_fields_do_not_matter(client: httpx.Client) -> None:
    files = {"note": ("a.txt", b"x" * 1000), "file": ("a.csv", CSV), "more": ("b.txt", b"y")}
    assert len(client.post("/predict", files=files).json()["predictions"]) == 1


@pytest.mark.parametrize(
    ("path", "kind"), [("/predict", FORM), ("/invocations", "text/csv"),
                       ("/predict/records", "application/json")],
)  # fmt: skip
def test_announced_size_is_refused_at_once(client: httpx.Client, path: str, kind: str) -> None:
    reply = raw(client, head(path, kind, f"Content-Length: {2 * 1024**3}\r\n"))
    assert reply.startswith("HTTP/1.1 413")


@pytest.mark.parametrize("path", ["/predict", "/invocations"])
def test_endless_stream_is_refused_long_before_its_end(client: httpx.Client, path: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield part(b"") if path == "/predict" else b""
        for _ in range(2 * 1024):
            sent += 1024**2
            yield b"x" * 1024**2

    kind = FORM if path == "/predict" else "text/csv"
    with closing(socket.create_connection((client.base_url.host, client.base_url.port))) as own:
        own.sendall(head(path, kind, "Transfer-Encoding: chunked\r\n"))
        own.settimeout(0.01)
        for chunk in endless():
            own.settimeout(5)
            own.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunk else b"")
            own.settimeout(0.01)
            try:
                reply = own.recv(65_536)
            except TimeoutError:
                continue
            break
    assert reply.startswith(b"HTTP/1.1 413")
    assert sent < 20 * 1024**2


def test_slow_upload_is_given_up_and_a_full_house_says_so(guarded: httpx.Client) -> None:
    files, headers = {"file": ("a.csv", CSV)}, {"X-API-Key": "secret key"}
    announced = "X-API-Key: secret key\r\nContent-Length: 1000\r\n"
    with closing(socket.create_connection((guarded.base_url.host, guarded.base_url.port))) as slow:
        slow.sendall(head("/predict", more=announced) + part(CSV))
        time.sleep(0.1)
        busy = guarded.post("/predict", files=files, headers=headers)
        assert busy.status_code == 503
        assert busy.headers["retry-after"] == "1"
        assert "places" in busy.json()["detail"]
        # A row of JSON needs no place.
        body = {"records": [EXAMPLE]}
        assert guarded.post("/predict/records", json=body, headers=headers).status_code == 200
        slow.settimeout(5)
        assert slow.recv(65_536).startswith(b"HTTP/1.1 408")
    assert guarded.post("/predict", files=files, headers=headers).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{"])
def test_slow_small_body_is_given_up(guarded: httpx.Client, body: bytes) -> None:
    more = "X-API-Key: secret key\r\nContent-Length: 100\r\n"
    reply = raw(guarded, head("/predict/records", "application/json", more) + body)
    assert reply.startswith("HTTP/1.1 408")


@pytest.mark.parametrize("cut", [0, 10])
def test_small_body_that_comes_late_or_in_parts_is_answered(
    guarded: httpx.Client, cut: int
) -> None:
    body = json.dumps({"records": [EXAMPLE]}).encode()
    more = f"X-API-Key: secret key\r\nContent-Length: {len(body)}\r\n"
    with closing(socket.create_connection((guarded.base_url.host, guarded.base_url.port))) as own:
        own.settimeout(5)
        own.sendall(head("/predict/records", "application/json", more) + body[:cut])
        time.sleep(0.1)
        own.sendall(body[cut:])
        assert own.recv(65_536).startswith(b"HTTP/1.1 200")


def test_client_that_leaves_does_not_hold_its_place(guarded: httpx.Client) -> None:
    key = "X-API-Key: secret key\r\n"
    with closing(socket.create_connection((guarded.base_url.host, guarded.base_url.port))) as own:
        own.sendall(head("/predict", more=key + "Content-Length: 1000\r\n") + part(CSV))
    files, headers = {"file": ("a.csv", CSV)}, {"X-API-Key": "secret key"}
    deadline = time.monotonic() + 0.3
    while guarded.post("/predict", files=files, headers=headers).status_code != 200:
        assert time.monotonic() < deadline
