"""Counts of the last hour, day and week, in a small file that all workers share.

Each window is a ring of slots; the oldest slot is used again. The file is mapped into memory and
changed in place under a lock, so that counts are those of all workers, and outlast them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.storage.shared import SharedFile

# Seconds of a slot, and how many there are.
RINGS = {"hour": (600, 6), "day": (10_800, 8), "week": (86_400, 7)}
SLOTS = sum(count for _, count in RINGS.values())


class Rings:
    """Counts of `cells` cells in all windows: 84 bytes a cell; sums take twice as much."""

    def __init__(self, path: Path, cells: int, dtype: npt.DTypeLike = np.uint32) -> None:
        """Open the file, or begin one where there is none of this size.

        Args:
            path: the file.
            cells: how many there are.
            dtype: of what is added up.
        """
        self._file = SharedFile(path, SLOTS * (8 + np.dtype(dtype).itemsize * cells))
        self._slots = self._file.view(np.int64, 0, (SLOTS,))  # zero in a new file: no time has it
        self._counts = self._file.view(dtype, 8 * SLOTS, (SLOTS, cells))

    def close(self) -> None:
        """Close the file."""
        del self._slots, self._counts
        self._file.close()

    def add(self, counts: npt.NDArray[Any], now: float) -> None:
        """Add counts.

        Args:
            counts: shape (cells,).
            now: seconds since 1970.
        """
        with self._file.locked():
            first = 0
            for seconds, slots in RINGS.values():
                number = int(now // seconds)
                place = first + number % slots
                if self._slots[place] != number:
                    self._slots[place] = number
                    self._counts[place] = 0
                self._counts[place] += counts.astype(self._counts.dtype)
                first += slots

    def windows(self, now: float) -> dict[str, npt.NDArray[Any]]:
        """The counts of each window, shape (cells,)."""
        recent = {}
        wide = np.int64 if self._counts.dtype.kind == "u" else np.float64
        with self._file.locked():
            first = 0
            for name, (seconds, slots) in RINGS.items():
                places = slice(first, first + slots)
                is_recent = self._slots[places] > int(now // seconds) - slots
                recent[name] = self._counts[places][is_recent].sum(axis=0, dtype=wide)
                first += slots
        return recent
