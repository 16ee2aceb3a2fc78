"""Files of this machine."""

import fcntl
import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.storage import WILDCARDS, Entry, fixed_folder, is_hidden


class Local:
    """See `app.storage.Storage`."""

    def find(self, path: str) -> Sequence[Entry]:
        """List files; see there."""
        if Path(path).is_file():
            return [_entry(Path(path))]
        base = fixed_folder(path)
        if any(letter in path for letter in WILDCARDS):
            names = glob.glob(path, recursive=True)  # noqa: PTH207 (paths stay as they are written)
        else:
            names = glob.glob(f"{glob.escape(base)}**", recursive=True)  # noqa: PTH207
        files = [Path(name) for name in sorted(names) if not is_hidden(name.removeprefix(base))]
        return [_entry(file) for file in files if file.is_file()]

    def entry(self, path: str) -> Entry | None:
        """Look a file up."""
        file = Path(path)
        return _entry(file) if file.is_file() else None

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder."""
        return Path(path).is_dir()

    def open(self, path: str) -> BinaryIO:
        """Open a file."""
        return Path(path).open("rb")

    @contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """Write beside the file's place, then move there.

        A kill leaves `.NAME.partial`, which the next attempt writes over.

        Raises:
            BlockingIOError: another process is writing the same file.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.partial")
        with _locked(draft, path) as file:
            try:
                file.truncate(0)
                yield file
                file.flush()
                os.fsync(file.fileno())
                draft.replace(target)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise

    def remove(self, path: str) -> None:
        """Remove a file."""
        Path(path).unlink(missing_ok=True)


def _locked(draft: Path, path: str) -> BinaryIO:
    """Open a draft that no other process writes."""
    while True:
        file = draft.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise BlockingIOError(
                error.errno, "Another process is writing this file", path
            ) from error
        # Between the two calls another process may have moved it to its place.
        if draft.exists() and os.path.samestat(draft.stat(), os.fstat(file.fileno())):
            return file
        file.close()


def _entry(file: Path) -> Entry:
    status = file.stat()
    return Entry(str(file), status.st_size, status.st_mtime)
