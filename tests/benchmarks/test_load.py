"""The load generators, against a server that counts."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from benchmarks import load
from benchmarks.connection import Call

Seen = Counter[bytes]


@pytest.fixture
def server() -> Iterator[tuple[str, Seen]]:
    """A server's URL and the bodies that it was sent; it refuses the body `bad`."""
    seen: Seen = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen[body + self.headers["Content-Type"].encode()] += 1
            self.send_response(400 if body == b"bad" else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/predict", seen
        running.shutdown()
        thread.join()


def test_python_counts_what_was_answered(server: tuple[str, Seen]) -> None:
    url, seen = server
    call = Call(url, json.dumps({"a": 1}).encode())
    result = asyncio.run(load.measure_with_python(call, connections=2, seconds=0.2))
    assert seen == {b'{"a": 1}application/json': result.answered}
    assert result.failed == 0
    assert 0 < result.p50_ms <= result.p99_ms < 200
    assert result.per_second == pytest.approx(result.answered / result.seconds)


def test_python_asks_once_a_connection_however_short_the_time(server: tuple[str, Seen]) -> None:
    result = asyncio.run(load.measure_with_python(Call(server[0], b"{}"), 3, 0.0))
    assert result.answered == 3


def test_python_counts_refusals(server: tuple[str, Seen]) -> None:
    result = asyncio.run(load.measure_with_python(Call(server[0], b"bad"), 1, 0.1))
    assert result.failed == result.answered > 0
    assert result.per_second == 0


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_wrk_sends_the_same(server: tuple[str, Seen]) -> None:
    url, seen = server
    result = load.measure_with_wrk(Call(url, b"x", "text/csv"), connections=2, seconds=1)
    assert set(seen) == {b"xtext/csv"}
    assert 0 <= seen[b"xtext/csv"] - result.answered <= 2  # in flight when time was up
    assert result.failed == 0
    assert 0 < result.p50_ms <= result.p99_ms
    refused = load.measure_with_wrk(Call(url, b"bad"), connections=1, seconds=1)
    assert refused.failed == refused.answered > 0


def test_load_stays_on_this_machine() -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1"):
        Call("http://example.org:80/", b"")
