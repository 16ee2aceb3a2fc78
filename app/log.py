"""The service's log: one JSON object a line, on standard output."""

import sys
from datetime import UTC, datetime

import orjson


def write(event: str, **fields: object) -> None:
    """Write one line: the time, the event's name, and what there is to say about it."""
    line = {"time": datetime.now(UTC), "event": event, **fields}
    sys.stdout.write(orjson.dumps(line, option=orjson.OPT_UTC_Z, default=str).decode() + "\n")
    sys.stdout.flush()
