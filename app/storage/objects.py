"""What the storages of objects share: names, patterns, an object as a file."""

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from typing import Any, BinaryIO

from app.storage import WILDCARDS, Entry, fixed_folder, is_hidden

READ = 8 * 1024**2  # bytes asked for in one go
PIECE = 65_536  # bytes of one request's answer that are told as progress
# What a pull of a model is told, whatever the storage
NO_BUCKET = "the bucket does not exist; check SERVE_REMOTE"
NO_OBJECT = "the object is not there; run `dvc push` where the model was made"


def split(path: str) -> tuple[str, str]:
    """Split a URL into its bucket and its key."""
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, key


def named(path: str, below: Iterable[Entry]) -> list[Entry]:
    """Choose what a folder or a pattern names.

    Args:
        path: the folder's URL, or the pattern.
        below: all objects below its `fixed_folder`.
    """
    base = fixed_folder(path)
    entries = [one for one in below if not is_hidden(one.path.removeprefix(base))]
    if not any(letter in path for letter in WILDCARDS):
        return entries
    matches = re.compile(_pattern(path)).fullmatch
    return [one for one in entries if matches(one.path)]


class ObjectStorage(ABC):
    """What is the same in every storage of objects; see `app.storage.Storage`."""

    @abstractmethod
    def entry(self, path: str) -> Entry | None:
        """Look an object up."""

    @abstractmethod
    def read(self, path: str, start: int, end: int) -> bytes:
        """Read a range of an object's bytes."""

    @abstractmethod
    def below(self, folder: str) -> Iterator[Entry]:
        """List all objects whose path begins with a folder's, which ends with a slash."""

    def find(self, path: str) -> Sequence[Entry]:
        """List objects; see there."""
        if (single := self.entry(path)) is not None:
            return [single]
        return named(path, self.below(fixed_folder(path)))

    def is_folder(self, path: str) -> bool:
        """Whether objects have the path, with a slash, as the start of their keys."""
        return next(self.below(path.rstrip("/") + "/"), None) is not None

    def open(self, path: str) -> BinaryIO:
        """Open an object; it is read in pieces, each asked for again where a request fails."""
        entry = self.entry(path)
        if entry is None:
            raise FileNotFoundError(2, "There is no such object", path)
        return io.BufferedReader(Reader(self, entry), READ)


class Reader(io.RawIOBase):
    """An object as a file."""

    def __init__(self, storage: ObjectStorage, entry: Entry) -> None:
        self._storage = storage
        self._entry = entry
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; see `io.IOBase`."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._entry.size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next."""
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read the rest; the inherited method asks for 8 KiB after 8 KiB."""
        return self._next(self._entry.size)

    def _next(self, size: int) -> bytes:
        end = min(self._position + size, self._entry.size)
        if end <= self._position:
            return b""
        data = self._storage.read(self._entry.path, self._position, end)
        self._position += len(data)
        return data


def _pattern(path: str) -> str:
    """A shell pattern as a regular expression: `*` ends at a slash, `**/` does not."""
    pieces = re.split(r"(\*\*/|\*)", path)
    meaning = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return "".join(
        meaning.get(piece) or translate(piece).removeprefix("(?s:").removesuffix(r")\Z")
        for piece in pieces
    )
