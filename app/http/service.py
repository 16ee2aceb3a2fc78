"""What the routes share: the settings, the model in service, the work beside the loop."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from app.errors import Problem
from app.formats.upload import warm_up
from app.operations import log, memory
from app.operations.pool import Work
from app.operations.takeover import Serving
from app.settings import Settings

# Imports hold the interpreter; the first answers come before them.
WARM_UP_SECONDS = 1.0


class Service:
    """One worker's parts, alive as long as the application."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.work = Work(settings.max_concurrent, settings.cores)
        self.serving = Serving(settings, self.work)
        key = settings.api_key
        self._key = key.get_secret_value().encode() if key else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the model and keep it up to date, until the end."""
        memory.limit_arenas()
        await self.serving.update()
        tasks = [
            asyncio.create_task(self.serving.watch()),
            asyncio.create_task(self._warm_up()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self.work.close()
            log.flush()

    async def _warm_up(self) -> None:
        await asyncio.sleep(WARM_UP_SECONDS)
        await self.work.run(warm_up, self.settings.cores)

    def check_key(self, request: Request, *, needs_one: bool = False) -> None:
        """Let a request pass that has the key, or that needs none.

        Args:
            request: its header `X-API-Key` holds the key.
            needs_one: refuse where the server has no key at all.

        Raises:
            Problem: 401 without a key, 403 with a wrong one.
        """
        if self._key is None:
            if needs_one:
                raise Problem(
                    "no-key-configured",
                    "This server was started without SERVE_API_KEY, so it takes no such orders.",
                    status=403,
                )
            return
        given = request.headers.get("x-api-key")
        if given is None:
            raise Problem(
                "key-required",
                "Send the key in the header X-API-Key.",
                status=401,
                headers={"WWW-Authenticate": "ApiKey"},
            )
        if not hmac.compare_digest(given.encode("latin-1"), self._key):
            raise Problem("wrong-key", "The key in X-API-Key is not this server's.", status=403)
