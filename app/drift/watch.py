"""Counts what a worker answers, beside its requests."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.drift.counting import Counting, joined, sample
from app.drift.memory import Memory, mark, row_keys
from app.drift.outcomes import SUMS, describe, sums
from app.drift.reference import Reference
from app.drift.report import report
from app.drift.rings import Rings
from app.errors import Problem
from app.model.manifest import Manifest
from app.model.model import verify
from app.model.runtime import Packed

FOLDER = ".drift"  # in the model cache
INTERVAL_SECONDS = 1.0
# Of one request, so that a large file costs no more than its share; a sample tells the same.
ROWS_PER_REQUEST = 1_000
# Requests of a second that are remembered, and counted, which costs more; what comes beyond is not.
# More would tell nothing more, and cost a busy server its time.
MAX_WAITING = 500
MAX_WAITING_ROWS = 20_000
MAX_COUNTED = 100
KEPT_SECONDS = 14 * 86_400  # the counts of a version that is no longer served


@dataclass(frozen=True, slots=True)
class Truth:
    """What turned out to be true.

    Attributes:
        request_id: of the request that was answered before.
        row: of that request, from 1.
        value: a number, or the place of a label among the classes, -1 for another label.
    """

    request_id: str
    row: int
    value: float


class _Answered(NamedTuple):
    version: str
    request_id: str
    rows: Packed
    answers: npt.NDArray[Any]
    first: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Counted:
    manifest: Manifest
    counting: Counting
    rings: Rings
    outcomes: Rings


class Watch:
    """Counts rows and answers of the versions that a worker serves.

    `add` is called for every reply; all else happens on other threads.
    """

    def __init__(self, cache: Path, remembered: int) -> None:
        """Make one.

        Args:
            cache: the model cache, where its files are kept as well.
            remembered: how many answers wait for their truth; the oldest are forgotten.
        """
        self._cache = cache
        self._remembered = remembered
        self._memory: Memory | None = None
        self._waiting: deque[_Answered] = deque()
        self._waiting_rows = 0
        self._lock = threading.Lock()
        self._versions: dict[str, _Counted | None] = {}

    def add(self, version: str, request_id: str, rows: Packed, answers: npt.NDArray[Any]) -> None:
        """Note a reply."""
        if len(self._waiting) >= MAX_WAITING or self._waiting_rows >= MAX_WAITING_ROWS:
            return
        first = answers
        if len(rows) > ROWS_PER_REQUEST:
            first = answers[:ROWS_PER_REQUEST].copy()  # the large array can go
            rows, answers = sample(rows, answers, ROWS_PER_REQUEST)
        self._waiting_rows += len(rows)
        self._waiting.append(_Answered(version, request_id, rows, answers, first))

    async def run(self) -> None:
        """Count what waits, again and again."""
        await asyncio.to_thread(self._remove_old)
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            if self._waiting:
                await asyncio.to_thread(self.count)

    def count(self) -> None:
        """Count what waits."""
        with self._files():
            while self._waiting:
                self._count_some()

    def tell(self, version: str, truths: Sequence[Truth]) -> int:
        """Join truths with the answers of a version; each is told once.

        Returns:
            How many were joined; of the others no answer is remembered, or another version's.
        """
        self.count()
        # The last word counts where one answer is spoken of twice
        last = [*{(one.request_id, one.row): one for one in truths}.values()]
        with self._files():
            counted = self._counted(version)
            if counted is None or self._memory is None or not last:
                return 0
            ids = [one.request_id for one in last]
            keys = row_keys(ids, np.arange(len(last)), [one.row for one in last])
            answers, is_remembered = self._memory.take(keys, mark(version))
            values = np.array([one.value for one in last])[is_remembered]
            if is_remembered.any():
                added = sums(counted.manifest, answers[is_remembered], values)
                counted.outcomes.add(added, time.time())
        return int(is_remembered.sum())

    def report(self, version: str, *, with_counts: bool) -> dict[str, Any] | None:
        """Compare the last hour, day and week with training; None where nothing is known of it.

        See `app.drift.report.report`.
        """
        self.count()
        with self._files():
            counted = self._counted(version)
            if counted is None:
                return None
            now = time.time()
            windows, outcomes = counted.rings.windows(now), counted.outcomes.windows(now)
        told = report(counted.counting, windows, with_counts=with_counts)
        return told | {"truth": describe(counted.manifest, outcomes)}

    def close(self) -> None:
        """Count what waits and close the files."""
        with suppress(Problem):  # the task has said it, once a second
            self.count()
        for counted in self._versions.values():
            if counted is not None:
                counted.rings.close()
                counted.outcomes.close()
        self._versions.clear()
        if self._memory is not None:
            self._memory.close()

    @contextmanager
    def _files(self) -> Iterator[None]:
        """Use the files, alone among the threads of this worker.

        Raises:
            Problem: they cannot be had, say on a full disk.
        """
        with self._lock:
            try:
                yield
            except OSError as error:
                raise Problem(
                    "no-drift",
                    f"Nothing can be counted: {error}. Make room in SERVE_MODEL_CACHE, let the "
                    "server write there, or set SERVE_DRIFT to false.",
                    status=503,
                ) from error

    def _count_some(self) -> None:
        """Count the requests of one version."""
        version = self._waiting[0].version
        parts: list[_Answered] = []
        while self._waiting and self._waiting[0].version == version:
            parts.append(self._waiting.popleft())
            self._waiting_rows -= len(parts[-1].rows)
        counted = self._counted(version)
        if counted is None:
            return
        counted_parts = parts[:: -(-len(parts) // MAX_COUNTED)]
        rows, answers = joined([(one.rows, one.answers) for one in counted_parts])
        counted.rings.add(counted.counting.count(rows, answers), time.time())
        self._remember(version, counted, parts)

    def _remember(self, version: str, counted: _Counted, parts: Sequence[_Answered]) -> None:
        if not self._remembered:
            return
        if self._memory is None:
            self._memory = Memory(self._cache / FOLDER / "answers", self._remembered)
        sizes = np.array([len(one.first) for one in parts])
        which = np.repeat(np.arange(len(parts)), sizes)
        rows = np.arange(1, len(which) + 1) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        keys = row_keys([one.request_id for one in parts], which, rows)
        first = counted.counting.numbers(np.concatenate([one.first for one in parts]))
        self._memory.add(keys, first, mark(version))

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
        counts = self._cache / FOLDER / version
        outcomes = Rings(counts.with_name(f"{version}.truth"), SUMS, np.float64)
        return _Counted(manifest, counting, Rings(counts, counting.cells), outcomes)

    def _remove_old(self) -> None:
        """Remove the counts of versions that are long gone."""
        for path in (self._cache / FOLDER).glob("*"):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
