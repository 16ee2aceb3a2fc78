"""Counts what a worker answers, beside its requests."""

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from app.drift.counting import Counting, joined, sample
from app.drift.reference import Reference
from app.drift.report import report
from app.drift.rings import Rings
from app.model.manifest import Manifest
from app.model.model import verify
from app.model.runtime import Packed

FOLDER = ".drift"  # in the model cache
INTERVAL_SECONDS = 1.0
# Of one request, so that a large file costs no more than its share; a sample tells the same.
ROWS_PER_REQUEST = 1_000
# Rows that wait to be counted; what comes beyond is not counted.
MAX_WAITING = 10_000
TOGETHER = 500  # requests counted in one go, so that no other thread waits long
KEPT_SECONDS = 14 * 86_400  # the counts of a version that is no longer served


@dataclass(frozen=True, slots=True)
class _Answered:
    version: str
    rows: Packed
    answers: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Counted:
    counting: Counting
    rings: Rings


class Watch:
    """Counts rows and answers of the versions that a worker serves.

    `add` is called for every reply; all else happens on other threads.
    """

    def __init__(self, cache: Path) -> None:
        """Make one for the versions of a model cache, where its files are kept as well."""
        self._cache = cache
        self._waiting: deque[_Answered] = deque()
        self._waiting_rows = 0
        self._lock = threading.Lock()
        self._versions: dict[str, _Counted | None] = {}

    def add(self, version: str, rows: Packed, answers: npt.NDArray[Any]) -> None:
        """Note a reply."""
        if len(rows) > ROWS_PER_REQUEST:
            rows, answers = sample(rows, answers, ROWS_PER_REQUEST)
        if self._waiting_rows < MAX_WAITING:
            self._waiting_rows += len(rows)
            self._waiting.append(_Answered(version, rows, answers))

    async def run(self) -> None:
        """Count what waits, again and again."""
        await asyncio.to_thread(self._remove_old)
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            if self._waiting:
                await asyncio.to_thread(self.count)

    def count(self) -> None:
        """Count what waits."""
        with self._lock:
            while self._waiting:
                self._count_some()

    def report(self, version: str, *, with_counts: bool) -> dict[str, Any] | None:
        """Compare the last hour, day and week with training; None where nothing is known of it.

        See `app.drift.report.report`.
        """
        self.count()
        with self._lock:
            counted = self._counted(version)
            if counted is None:
                return None
            windows = counted.rings.windows(time.time())
        return report(counted.counting, windows, with_counts=with_counts)

    def close(self) -> None:
        """Count what waits and close the files."""
        self.count()
        for counted in self._versions.values():
            if counted is not None:
                counted.rings.close()
        self._versions.clear()

    def _count_some(self) -> None:
        """Count a few requests of one version."""
        version = self._waiting[0].version
        parts: list[tuple[Packed, npt.NDArray[Any]]] = []
        while self._waiting and len(parts) < TOGETHER and self._waiting[0].version == version:
            one = self._waiting.popleft()
            self._waiting_rows -= len(one.rows)
            parts.append((one.rows, one.answers))
        counted = self._counted(version)
        if counted is not None:
            counted.rings.add(counted.counting.count(*joined(parts)), time.time())

    def _counted(self, version: str) -> _Counted | None:
        if version not in self._versions:
            self._versions[version] = self._open(version)
        return self._versions[version]

    def _open(self, version: str) -> _Counted | None:
        folder = self._cache / version
        manifest = Manifest.read(folder)
        if manifest.reference is None:
            return None
        path = folder / manifest.reference.file
        verify(path.read_bytes(), path.name, manifest.reference.sha256, version)
        counting = Counting(Reference.read(path), manifest)
        return _Counted(counting, Rings(self._cache / FOLDER / version, counting.cells))

    def _remove_old(self) -> None:
        """Remove the counts of versions that are long gone."""
        for path in (self._cache / FOLDER).glob("*"):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
