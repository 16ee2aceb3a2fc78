"""The service's log: one JSON object a line, on standard output."""

import asyncio
import sys
from datetime import UTC, datetime

import orjson

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
# Lines of requests are written together: to write each one alone would take longer than to
# answer its request.
DELAY_SECONDS = 0.1

_waiting: list[bytes] = []


def write(event: str, **fields: object) -> None:
    """Write one line: the time, the event's name, and what there is to say about it."""
    _waiting.append(_line(event, fields))
    flush()


def write_soon(event: str, **fields: object) -> None:
    """Write one line a moment later; call it from an event loop, and `flush` at its end."""
    if not _waiting:
        asyncio.get_running_loop().call_later(DELAY_SECONDS, flush)
    _waiting.append(_line(event, fields))


def flush() -> None:
    """Write out the lines that wait."""
    lines = b"".join(_waiting)
    _waiting.clear()
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def _line(event: str, fields: dict[str, object]) -> bytes:
    line = {"time": datetime.now(UTC), "event": event, **fields}
    return orjson.dumps(line, default=str, option=OPTIONS)
