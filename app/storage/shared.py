"""A file of a fixed size that several processes map into memory and change in place."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class SharedFile:
    """The file, and the lock under which it is read and changed."""

    def __init__(self, path: Path, size: int) -> None:
        """Open the file, or begin one, of zeros, where there is none of this size.

        Its room on the disk is taken now: a write into memory for which there is none would end
        the process.

        Args:
            path: the file.
            size: in bytes.

        Raises:
            OSError: there is no room, or the folder cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self.locked():
                if os.fstat(self._file).st_size != size:
                    os.ftruncate(self._file, 0)
                os.posix_fallocate(self._file, 0, size)
        except BaseException:
            self.close()
            raise

    def view(self, dtype: npt.DTypeLike, offset: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """A part of the file as an array; what is put there is in the file at once."""
        # A plain view: a memmap makes another one of itself at every step
        return np.asarray(np.memmap(self._path, dtype, "r+", offset, shape))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file alone, among all processes that lock it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file; arrays that are left keep their part of it."""
        os.close(self._file)
