"""The memory that a worker has for requests: claimed before it is needed, then given back.

What is claimed are upper bounds, told from a body before it is unpacked;
tests/app/http/test_memory.py tries them with bodies that unpack to as much as they can.
"""

import sys
import threading

from app.errors import Problem
from app.operations import memory

# For what is imported with the first file, or comes back with it (memory.release_code), and for
# what malloc does not give back at once.
SLACK = 64 * 1024**2
UNSETTLED = 8 * 1024**2  # bytes more than before that are worth the milliseconds of giving back
LARGE = 4 * 1024**2  # bytes; after a smaller request there is little to give back


class Budget:
    """The memory of one worker.

    Args:
        limit: bytes that the worker may have resident in all; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._base = 0
        self._room = sys.maxsize
        self._claimed = 0
        self._claims = 0
        self._lock = threading.Lock()

    def claim(self) -> "Claim":
        """Begin a request, which claims nothing yet."""
        with self._lock:
            self._claims += 1
            if self._limit is not None and self._claims == 1:
                self._measure(self._limit)
        return Claim(self)

    def change(self, before: int, after: int) -> None:
        """Claim more or less.

        Raises:
            Problem: there is not so much; nothing has changed.
        """
        with self._lock:
            if after > before and self._claimed + after - before > self._room:
                raise _too_large(after, self._room) if after > self._room else _busy()
            self._claimed += after - before

    def end(self) -> None:
        """End a request."""
        with self._lock:
            self._claims -= 1

    def _measure(self, limit: int) -> None:
        """See what stays resident while no request is in work; the rest is for requests."""
        resident = memory.resident()
        # Only what malloc cannot give back is a new base: else it would creep up to the limit
        if resident > self._base + UNSETTLED:
            memory.release()
            self._base = resident = memory.resident()
        self._room = max(0, limit - resident - SLACK)


class Claim:
    """What one request claims; a context that gives it back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._kept = self._working = self._most = 0
        self._is_open = True

    def keep(self, size: int) -> None:
        """Claim so many bytes for what is kept: the body, and then the reply instead.

        Raises:
            Problem: 413 where this server never has so much, else 503.
        """
        self._budget.change(self._kept + self._working, size + self._working)
        self._kept = size

    def work(self, size: int) -> None:
        """Claim so many bytes for the next step, instead of those of the step before.

        Raises:
            Problem: as above.
        """
        self._budget.change(self._kept + self._working, self._kept + size)
        self._working = size
        self._most = max(self._most, size)

    def release(self) -> None:
        """Give all back, and free memory to the system; again does nothing."""
        if self._is_open:
            self._is_open = False
            self._budget.change(self._kept + self._working, 0)
            self._budget.end()
            if self._most > LARGE:
                # On a thread: it may take as long as many small answers.
                threading.Thread(target=memory.release, name="release").start()


def _too_large(size: int, room: int) -> Problem:
    return Problem(
        "too-large",
        f"To answer this request may take {_megabytes(size)} of memory; this server has "
        f"{_megabytes(room)} for requests (SERVE_MAX_MEMORY). Send the rows in several parts.",
        status=413,
    )


def _busy() -> Problem:
    return Problem(
        "busy",
        "The memory for large requests is taken (SERVE_MAX_MEMORY). Try again shortly.",
        status=503,
        headers={"Retry-After": "1"},
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
