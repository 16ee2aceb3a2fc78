"""The model in service, and its replacement by the version that `dvc.lock` names."""

import asyncio
import contextlib
import gc
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.errors import Problem
from app.model.manifest import Manifest
from app.model.model import Model
from app.model.store import StoreError, cached, locked_version, prune
from app.model.verification import is_kept
from app.operations import log, memory, metrics
from app.operations.pull import Puller
from app.settings import Settings

# Without a model the service has nothing to do but to look for one.
RETRY_SECONDS = 5.0
# How long the start of the server waits for S3; the pull goes on after that.
PULL_PATIENCE_SECONDS = 3.0
# How soon a worker follows another one's `/reload`.
FOLLOW_SECONDS = 0.5


class ModelInService:
    """Holds the current model; requests take it once and keep it to their end.

    Each worker has its own. A reload reaches one of them, which leaves a mark in the model
    cache, and in the folder that the workers of one server share; the others see either and do
    the same.

    Attributes:
        current: the model; None until one could be loaded.
        manifest: its manifest.
        failure: why the last attempt to take a version over failed; None when it did not.
    """

    def __init__(self, settings: Settings) -> None:
        self.current: Model | None = None
        self.manifest: Manifest | None = None
        self.failure: dict[str, Any] | None = None
        self._settings = settings
        self._puller = Puller(settings)
        self._updating = asyncio.Lock()
        self._activity = "It is being loaded."
        self._pulls_or_tried, self._tried = asyncio.Event(), asyncio.Event()
        folders = (settings.model_cache, metrics.shared_folder())
        self._marks = [folder / ".reload" for folder in folders if folder is not None]

    def none_yet(self) -> Problem:
        """Say that there is no model, and why."""
        reason = self.failure["detail"] if self.failure else self._activity
        return Problem(
            "not-ready",
            f"No model is in service. {reason}",
            status=503,
            headers={"Retry-After": str(int(RETRY_SECONDS))},
        )

    async def reload(self) -> bool:
        """Update this worker and tell the others; see `update`."""
        changed = await self.update()
        if self.failure is None:
            await asyncio.to_thread(self._tell_others)
        return changed

    async def update(self) -> bool:
        """Take over the locked version, if it is another one; requests go on meanwhile.

        Returns:
            Whether another model is in service now. On any failure the old one stays, and
            `failure` tells why.
        """
        async with self._updating:
            try:
                loaded = await self._load()
            except Exception as error:
                # Whatever it was, the old model must stay in service: every error is caught here.
                self._failed(error)
                return False
            self.failure = None
            if loaded is None:
                return False
            model, manifest = loaded
            previous, self.current, self.manifest = self.current, model, manifest
        # The garbage collector need not look at the model's objects again; memory that only
        # loading needed goes back to the system.
        gc.collect()
        gc.freeze()
        memory.release()
        await asyncio.to_thread(self._prune, model, previous)
        metrics.model_taken_over(model, previous)
        log.write("model", name=model.interface.name, version=model.version)
        return True

    async def start(self) -> None:
        """Wait until `watch` took the first version over or refused it, but not long for S3."""
        await self._pulls_or_tried.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), PULL_PATIENCE_SECONDS)

    def stop(self) -> None:
        """Pull nothing any more: the server ends."""
        self._puller.stop()

    async def watch(self) -> None:
        """Update now, then whenever another worker did, at the interval, or to get started."""
        mark = self._mark_times()
        await self.update()
        self._pulls_or_tried.set()
        self._tried.set()
        updated = time.monotonic()
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            interval = RETRY_SECONDS if self.current is None else self._settings.watch_seconds
            is_due = interval and time.monotonic() - updated >= interval
            latest_mark = self._mark_times()
            if is_due or latest_mark != mark:
                mark = latest_mark
                await self.update()
                updated = time.monotonic()

    def _tell_others(self) -> None:
        for mark in self._marks:
            try:
                mark.touch()
            except OSError as error:  # a cache may be read-only; the update is done all the same
                log.write("reload-not-told", mark=str(mark), error=str(error))

    def _mark_times(self) -> list[int]:
        return [mark.stat().st_mtime_ns if mark.exists() else 0 for mark in self._marks]

    async def _load(self) -> tuple[Model, Manifest] | None:
        """Find the locked version, bring it here, open and test it; None where it is current."""
        settings = self._settings
        version = await asyncio.to_thread(
            locked_version, settings.lock_file, settings.lock_stage, settings.lock_path
        )
        if self.current is not None and self.current.version == version:
            return None
        folder = await asyncio.to_thread(self._kept, version)
        if folder is None:
            self._activity = f"Version {version} is being pulled from {settings.remote}."
            self._pulls_or_tried.set()
            await self._puller.pull(version)
            folder = await asyncio.to_thread(self._kept, version)
        if folder is None:
            raise StoreError(f"Version {version} was pulled, and changed or removed at once.")
        return await asyncio.to_thread(self._open, folder)

    def _kept(self, version: str) -> Path | None:
        """Give a version's folder, verified, and signed where that is asked for; no S3."""
        folder = cached(version, self._settings)
        if folder and self._settings.trusted_keys and not is_kept(folder, self._settings):
            return None
        return folder

    def _open(self, folder: Path) -> tuple[Model, Manifest]:
        model, manifest = Model.load(folder, self._settings.cores), Manifest.read(folder)
        model.self_test(manifest.example, manifest.parity.tolerance)
        return model, manifest

    def _prune(self, current: Model, previous: Model | None) -> None:
        """Remove versions from the cache that were not served for long."""
        used = [current.version, *([previous.version] if previous else [])]
        try:
            removed = prune(used, self._settings)
        except OSError as error:  # a cache may be read-only, or another server is at it, too
            log.write("cache-not-pruned", error=str(error))
        else:
            if removed:
                log.write("cache-pruned", versions=removed)

    def _failed(self, error: Exception) -> None:
        detail = str(error) or type(error).__name__
        self.failure = {"detail": detail, "time": datetime.now(UTC).isoformat()}
        metrics.RELOADS.labels("failed").inc()
        log.write("model-refused", error=type(error).__name__, detail=detail)
