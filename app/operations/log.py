"""The service's log: one JSON object a line, on standard output.

A thread of its own writes the lines out, so that nothing waits for whoever reads them. Where
nobody does, or the disk is full, lines are dropped and counted; the service goes on.
"""

import atexit
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import orjson

STANDARD_OUTPUT = 1
OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
# Lines wait for each other: writing each one out would cost more than its answer.
PATIENCE_SECONDS = 0.1
MAX_WAITING = 4 * 1024**2  # bytes
# How long the end of the service waits for its last lines.
FLUSH_SECONDS = 1.0


def write(event: str, **fields: object) -> None:
    """Write one line a moment later: the time, the event's name, what there is to say of it."""
    write_all([{"time": datetime.now(UTC), "event": event, **fields}])


def write_all(lines: Iterable[Mapping[str, object]]) -> None:
    """Write lines, each with its time and event, a moment later."""
    _writer.add([orjson.dumps(line, default=str, option=OPTIONS) for line in lines])


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Wait until the lines so far are written or dropped, but not longer than that."""
    _writer.flush(seconds)


def on_dropped(count: Callable[[int], object]) -> None:
    """Have the lines counted that are dropped from now on."""
    _writer.count = count


class Handler(logging.Handler):
    """Takes the records of Python's own logging, such as Uvicorn's, into this log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; of an exception its type and place, for it may quote a client."""
        fields: dict[str, object] = {"level": record.levelname.lower()}
        if record.exc_info and record.exc_info[0]:
            fields["error"] = record.exc_info[0].__name__
            fields["traceback"] = "".join(traceback.format_tb(record.exc_info[2]))
        write("server", message=record.getMessage().strip(), **fields)


class _Writer:
    """Holds the lines that wait, and the thread that writes them."""

    def __init__(self) -> None:
        self.count: Callable[[int], object] = lambda lines: None
        self._lines: list[bytes] = []
        self._size = 0
        self._busy = False
        self._cut = False
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, lines: Sequence[bytes]) -> None:
        dropped = 0
        with self._lock:
            for line in lines:
                if self._size + len(line) <= MAX_WAITING:
                    self._lines.append(line)
                    self._size += len(line)
                else:
                    dropped += 1
            if self._thread is None:
                # A daemon: one that waits for a reader must not keep the process.
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
                atexit.register(self.flush, FLUSH_SECONDS)
        if not self._wake.is_set():
            self._wake.set()
        if dropped:
            self.count(dropped)

    def flush(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (self._lines or self._busy) and time.monotonic() < deadline:
            time.sleep(PATIENCE_SECONDS / 10)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(PATIENCE_SECONDS)
            self._wake.clear()
            with self._lock:
                lines, self._lines, self._busy = self._lines, [], True
            try:
                self._write_out(b"".join(lines))
            except OSError:  # a full disk, a closed pipe: perhaps the next ones can be written
                self.count(len(lines))
            with self._lock:
                self._size -= sum(map(len, lines))
                self._busy = False

    def _write_out(self, content: bytes) -> None:
        if self._cut:
            content = b"\n" + content
        while content:
            try:
                written = os.write(STANDARD_OUTPUT, content)
            except BlockingIOError:  # another process made the pipe one that does not wait
                time.sleep(PATIENCE_SECONDS)
                continue
            self._cut = content[written - 1 : written] != b"\n"
            content = content[written:]


_writer = _Writer()
