"""Files by path or by `s3://` URL: found, read, and written whole or not at all."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from app.settings import Settings

WILDCARDS = "*?["


@dataclass(frozen=True, slots=True)
class Entry:
    """A file.

    Attributes:
        path: where it is.
        size: in bytes.
        modified: when it was written, in seconds since 1970; S3 counts whole ones.
    """

    path: str
    size: int
    modified: float


class Storage(Protocol):
    """A place of files; every method raises OSError where it cannot do its work."""

    def find(self, path: str) -> Sequence[Entry]:
        """List the files that a path, a folder or a pattern names, sorted by path.

        In a folder, names that begin with a dot or an underscore are passed over, as in all
        data sets of many files; so are they for a pattern.
        """

    def entry(self, path: str) -> Entry | None:
        """Look a file up."""

    def is_folder(self, path: str) -> bool:
        """Whether there are files below a path."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading, anywhere in it."""

    def create(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Write a file. It appears at the end of the block, whole; after an exception, never."""

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""


def storage_of(path: str, settings: "Settings") -> Storage:
    """Give the storage that a path belongs to."""
    if path.startswith("s3://"):
        from app.storage.s3 import s3_of  # boto3 takes a third of a second to import

        return s3_of(settings)
    from app.storage.local import Local

    return Local()


def is_hidden(relative: str) -> bool:
    """Whether a path below a folder is none of its data."""
    return any(name.startswith((".", "_")) for name in relative.split("/"))


def fixed_folder(path: str) -> str:
    """The folder, with its slash, below which all files that a path or pattern names lie."""
    for position, letter in enumerate(path):
        if letter in WILDCARDS:
            return path[: path.rfind("/", 0, position) + 1]
    return path.rstrip("/") + "/"
