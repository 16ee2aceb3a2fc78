"""Around every request: its key, its id, what it leaves for the log and the metrics, errors."""

import hmac
import random
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Problem
from app.http.problems import compressed, problem_reply
from app.operations import log
from app.operations.requests import Ended

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
Endpoint = Callable[[Request], Awaitable[Response]]

# For the log, when the client went away and no status can reach it: nginx's number for that.
CLIENT_CLOSED = 499


@dataclass(slots=True)
class Trace:
    """What a route is told of its request, and tells the log and the metrics."""

    request_id: str = ""
    version: str = ""
    rows: int = 0


class Observe:
    """ASGI middleware; of what clients sent it records counts and sizes alone.

    Args:
        app: what it wraps.
        routes: paths that may be named; all others are "other".
        guarded: the paths that need the API key, where the server has one.
        direct: endpoints by method and path that are called without the framework's own
            routing, which takes as long as a prediction.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: frozenset[str],
        guarded: frozenset[str],
        direct: Mapping[tuple[str, str], Endpoint],
    ) -> None:
        self._app = app
        self._routes = routes
        self._guarded = guarded
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        trace = scope["trace"] = Trace(request_id.decode())
        status = 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        endpoint = self._direct.get((scope["method"], scope["path"]))
        try:
            if scope["path"] in self._guarded:
                _check_key(scope)
            if endpoint is None:
                await self._app(scope, receive, send_observed)
            else:
                reply = await endpoint(Request(scope, receive))
                await reply(scope, receive, send_observed)
        except Problem as problem:
            problem = compressed(Request(scope), problem)
            await problem_reply(problem)(scope, receive, send_observed)
        except ClientDisconnect:
            status = CLIENT_CLOSED
        except Exception as error:
            log.write(
                "failure",
                request_id=trace.request_id,
                error=type(error).__name__,
                # Without the message, which may quote what the client sent.
                traceback="".join(traceback.format_tb(error.__traceback__)),
            )
            if status:  # half a reply is out: only closing the connection tells the client
                raise
            internal = Problem(
                "internal-error",
                f"The server failed; its log tells why, under request id {trace.request_id}.",
                status=500,
            )
            await problem_reply(internal)(scope, receive, send_observed)
        path = scope["path"]
        is_known = path in self._routes
        scope["app"].state.service.requests.add(
            Ended(
                time.time(),
                trace.request_id,
                scope["method"] if is_known else "other",
                path if is_known else "other",
                status,
                time.perf_counter() - started,
                trace.rows,
                trace.version,
            )
        )


def _check_key(scope: Scope) -> None:
    """Let a request pass that has the key in its header `X-API-Key`, or that needs none.

    Raises:
        Problem: 401 without a key, 403 with a wrong one.
    """
    key: bytes | None = scope["app"].state.service.key
    if key is None:
        return
    sent = next((value for name, value in scope["headers"] if name == b"x-api-key"), None)
    if sent is None:
        raise Problem(
            "key-required",
            "Send the key in the header X-API-Key.",
            status=401,
            headers={"WWW-Authenticate": "ApiKey"},
        )
    if not hmac.compare_digest(sent, key):
        raise Problem("wrong-key", "The key in X-API-Key is not this server's.", status=403)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return bytes(value)
    # It need not be hard to guess, and the system's own random source takes ten times as long.
    return b"%016x" % random.getrandbits(64)
