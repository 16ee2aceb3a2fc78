"""Background tasks that are started again when they end, and say so."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from app.operations import log, metrics

RESTART_SECONDS = 1.0


class Supervisor:
    """Keeps the background tasks of one worker alive.

    Attributes:
        failures: of each task that ended by itself since the start: the last error, when, and
            how often.
    """

    def __init__(self) -> None:
        self.failures: dict[str, dict[str, Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Start a task that is to run until `stop`."""
        self._tasks.append(asyncio.create_task(self._keep(name, work), name=name))

    async def stop(self) -> None:
        """End all tasks, and wait until they have."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
                error = "it ended"
            except Exception as failure:
                # Whatever it was, the task must go on.
                error = f"{type(failure).__name__}: {failure}"
            times = self.failures.get(name, {}).get("times", 0) + 1
            now = datetime.now(UTC).isoformat()
            self.failures[name] = {"error": error, "time": now, "times": times}
            metrics.RESTARTS.labels(name).inc()
            log.write("task-restarted", task=name, error=error, times=times)
            await asyncio.sleep(RESTART_SECONDS)
