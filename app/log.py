"""The service's log: one JSON object a line, on standard output."""

import sys
from datetime import UTC, datetime

import orjson

OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


def write(event: str, **fields: object) -> None:
    """Write one line: the time, the event's name, and what there is to say about it."""
    line = {"time": datetime.now(UTC), "event": event, **fields}
    out = sys.stdout.buffer
    out.write(orjson.dumps(line, default=str, option=OPTIONS))
    out.flush()
