"""What the routes of one worker share: settings, the model in service, threads."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module

from app.drift.watch import Watch
from app.formats.registry import FILES
from app.operations import log, memory, metrics
from app.operations.budget import Budget
from app.operations.requests import Requests
from app.operations.supervise import Supervisor
from app.operations.takeover import ModelInService
from app.settings import Settings

# An import stops all threads for a moment; the first requests are answered before it.
WARM_UP_SECONDS = 1.0
# Of the machine's memory, for all workers.
MEMORY_SHARE = 0.8


class Service:
    """One worker's parts, alive as long as the application.

    Attributes:
        settings: see there.
        limits: the same settings' limits of a table.
        key: the API key, or None where there is none.
        in_service: the model.
        budget: the memory for large requests.
        places: one for each large request that may be answered at once.
        threads: where files are read and answered, beside the event loop.
        background: what keeps the worker's own tasks alive.
        requests: writes and counts those that ended.
        watch: counts what is answered, unless that is turned off.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.key = settings.api_key.get_secret_value().encode() if settings.api_key else None
        self.in_service = ModelInService(settings)
        self.places = asyncio.Semaphore(settings.max_concurrent)
        share = int(MEMORY_SHARE * memory.available() / settings.workers)
        self.budget = Budget(settings.max_memory or share)
        # More jobs at once than cores would only cost memory.
        self.threads = ThreadPoolExecutor(settings.cores, "files")
        self.background = Supervisor()
        self.requests = Requests(access_log=settings.access_log)
        self.watch: Watch | None = None
        if settings.drift:
            self.watch = Watch(settings.model_cache, settings.remembered_answers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the model and keep it up to date, until the end."""
        memory.prepare()
        log.on_dropped(metrics.DROPPED.inc)
        self.background.start("watch", self.in_service.watch)
        # A model that is here answers the first request; a long pull goes on behind the port.
        await self.in_service.start()
        if self.watch is not None:
            self.background.start("drift", self.watch.run)
        warming_up = asyncio.create_task(self._warm_up())
        try:
            yield
        finally:
            warming_up.cancel()
            self.in_service.stop()
            await self.background.stop()
            self.threads.shutdown()
            if self.watch is not None:
                await asyncio.to_thread(self.watch.close)
            self.requests.flush()
            log.flush()

    async def _warm_up(self) -> None:
        await asyncio.sleep(WARM_UP_SECONDS)
        await asyncio.to_thread(warm_up, self.settings.cores)


def warm_up(cores: int) -> None:
    """Import what files need, before the first one comes; let Arrow use so many cores."""
    import pyarrow as pa  # takes long

    pa.set_cpu_count(cores)
    for source in FILES:
        import_module(source.module)
    memory.release()
    memory.release_code()
