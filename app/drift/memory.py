"""The latest answers by request, until the truth about them is known.

A ring in a file of a fixed size, mapped into memory and shared by all workers: of each answer a
key made of its request's id and its row, its value, and a mark of its model version.
"""

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.model.runtime import Floats
from app.storage.shared import SharedFile

Keys = npt.NDArray[np.uint64]

ROW = np.dtype([("key", np.uint64), ("value", np.float64), ("version", np.uint32)])
ODD = np.uint64(0x9E3779B97F4A7C15)  # sends the rows of one request far from each other


def row_keys(request_ids: Sequence[str], which: npt.ArrayLike, rows: npt.ArrayLike) -> Keys:
    """Keys of rows of several requests.

    Args:
        request_ids: the ids.
        which: for each row the place of its request's id.
        rows: its number in the request, from 1.
    """
    digests = [hashlib.blake2b(one.encode(), digest_size=8).digest() for one in request_ids]
    bases = np.frombuffer(b"".join(digests), np.uint64)
    with np.errstate(over="ignore"):
        keys: Keys = bases[np.asarray(which)] + np.asarray(rows, np.uint64) * ODD
    return keys


def mark(version: str) -> int:
    """A version in four bytes."""
    return zlib.crc32(version.encode())


class Memory:
    """The answers; 20 bytes each."""

    def __init__(self, path: Path, size: int) -> None:
        """Open the file, or begin one where there is none of this size."""
        self._size = size
        self._file = SharedFile(path, 8 + size * ROW.itemsize)
        self._next = self._file.view(np.uint64, 0, (1,))
        self._rows = self._file.view(ROW, 8, (size,))

    def close(self) -> None:
        """Close the file."""
        del self._next, self._rows
        self._file.close()

    def add(self, keys: Keys, values: Floats, version: int) -> None:
        """Remember answers, in place of the oldest.

        Args:
            keys: shape (rows,).
            values: numbers, or indices of classes; shape (rows,).
            version: its mark.
        """
        keys, values = keys[-self._size :], values[-self._size :]
        with self._file.locked():
            first = int(self._next[0])
            places = (first + np.arange(len(keys))) % self._size
            self._rows["key"][places] = keys
            self._rows["value"][places] = values
            self._rows["version"][places] = version
            self._next[0] = (first + len(keys)) % self._size

    def take(self, keys: Keys, version: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Give answers, and forget them: the truth is told once.

        Args:
            keys: shape (rows,), each once.
            version: the mark of the version whose answers are looked for.

        Returns:
            The values, arbitrary where there is none; and where there are any. Shape (rows,).
        """
        with self._file.locked():
            stored = np.array(self._rows["key"])
            order = np.argsort(stored, kind="stable")
            places = order[np.searchsorted(stored, keys, "right", sorter=order) - 1]
            is_remembered = (stored[places] == keys) & (self._rows["version"][places] == version)
            values = np.array(self._rows["value"][places])
            self._rows["key"][places[is_remembered]] = 0
        return values, is_remembered
