"""Bounded work beside the event loop: files are read and scored on threads of their own."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from app.errors import Problem

P = ParamSpec("P")
T = TypeVar("T")


class Work:
    """Admits so many requests and no more, and runs their blocking parts."""

    def __init__(self, max_concurrent: int, threads: int) -> None:
        self._free = max_concurrent
        self._limit = max_concurrent
        # More jobs at once than cores would only cost memory.
        self._pool = ThreadPoolExecutor(threads, "work")

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a place while a body is received and answered.

        Raises:
            Problem: all places are taken.
        """
        if not self._free:
            raise Problem(
                "busy",
                f"All {self._limit} places for large requests are taken. Try again shortly.",
                status=503,
                headers={"Retry-After": "1"},
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function on a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """End the threads, once they have finished."""
        self._pool.shutdown()
