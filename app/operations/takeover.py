"""The model in service, and its replacement by the version that `dvc.lock` names."""

import asyncio
import gc
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.errors import Problem
from app.model.model import Model
from app.model.store import fetch, locked_version
from app.operations import log, memory, metrics
from app.operations.pool import Work
from app.settings import Settings

# Without a model the service has nothing to do but to look for one.
RETRY_SECONDS = 5.0
# How soon a worker follows another one's `/reload`.
FOLLOW_SECONDS = 0.5


class Serving:
    """Holds the current model; requests take it once and keep it to their end.

    Each worker has its own. A reload reaches one of them, which leaves a mark in the model
    cache; the others see it and do the same.
    """

    def __init__(self, settings: Settings, work: Work) -> None:
        self._settings = settings
        self._work = work
        self._model: Model | None = None
        self._failure: dict[str, Any] | None = None
        self._updating = asyncio.Lock()
        self._mark: Path = settings.model_cache / ".reload"

    @property
    def model(self) -> Model:
        """The current model.

        Raises:
            Problem: there is none yet.
        """
        if self._model is None:
            reason = self._failure["detail"] if self._failure else "It is being loaded."
            raise Problem(
                "not-ready",
                f"No model is in service. {reason}",
                status=503,
                headers={"Retry-After": str(int(RETRY_SECONDS))},
            )
        return self._model

    @property
    def current(self) -> Model | None:
        """The current model, or None."""
        return self._model

    @property
    def failure(self) -> dict[str, Any] | None:
        """Why the last attempt to take a version over failed; None when it did not."""
        return self._failure

    async def reload(self) -> bool:
        """Update this worker and tell the others; see `update`."""
        changed = await self.update()
        if self._failure is None:
            await self._work.run(self._mark.touch)
        return changed

    async def update(self) -> bool:
        """Take over the locked version, if it is another one; requests go on meanwhile.

        Returns:
            Whether another model is in service now. On any failure the old one stays, and
            `failure` tells why.
        """
        async with self._updating:
            try:
                model = await self._work.run(self._load)
            except Exception as error:
                # Whatever it was, the old model must go on: so nothing may pass here.
                self._failed(error)
                return False
            self._failure = None
            if model is self._model:
                return False
            previous, self._model = self._model, model
        # The collector need never look at the model's objects again; what loading left over
        # goes back to the system.
        gc.collect()
        gc.freeze()
        memory.release()
        metrics.model_taken_over(model, previous)
        log.write("model", name=model.manifest.name, version=model.version)
        return True

    async def watch(self) -> None:
        """Update whenever another worker did, at the configured interval, or to get started."""
        mark = self._mark_time()
        updated = time.monotonic()
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            interval = RETRY_SECONDS if self._model is None else self._settings.watch_seconds
            is_due = interval and time.monotonic() - updated >= interval
            seen = self._mark_time()
            if is_due or seen != mark:
                mark = seen
                await self.update()
                updated = time.monotonic()

    def _mark_time(self) -> int:
        try:
            return self._mark.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _load(self) -> Model:
        """Resolve, fetch, verify, load, test."""
        settings = self._settings
        version = locked_version(settings.lock_file, settings.lock_stage, settings.lock_path)
        if self._model is not None and self._model.version == version:
            return self._model
        model = Model.load(fetch(version, settings), settings.cores)
        model.self_test()
        return model

    def _failed(self, error: Exception) -> None:
        detail = str(error) or type(error).__name__
        self._failure = {"detail": detail, "time": datetime.now(UTC).isoformat()}
        metrics.RELOADS.labels("failed").inc()
        log.write("model-refused", error=type(error).__name__, detail=detail)
