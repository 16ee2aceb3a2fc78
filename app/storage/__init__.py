"""Files by path or by URL of a bucket: found, read, and written whole or not at all."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from app.settings import Settings

WILDCARDS = "*?["
S3 = "s3://"
GOOGLE = "gs://"
AZURE = ("az://", "azure://")  # the second is how DVC writes it


@dataclass(frozen=True, slots=True)
class Entry:
    """A file.

    Attributes:
        path: where it is.
        size: in bytes.
        modified: when it was written, in seconds since 1970; some storages count whole ones.
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


class Objects(Storage, Protocol):
    """A storage of objects, as a DVC remote is read and written.

    Attributes:
        address: where it is, for messages.
    """

    address: str

    def pieces(self, path: str) -> Iterator[bytes]:
        """Read an object in one request, piece by piece.

        Raises:
            FileNotFoundError: it is not there; like the next one, says what to check.
            OSError: it cannot be had.
        """

    def put(self, path: str, content: bytes) -> None:
        """Write an object in one request."""


def storage_of(path: str, settings: "Settings") -> Storage:
    """Give the storage that a path belongs to.

    Raises:
        OSError: it cannot be used; see `objects_of`.
    """
    if path.startswith((S3, GOOGLE, *AZURE)):
        return objects_of(path, settings)
    from app.storage.local import Local

    return Local()


def objects_of(url: str, settings: "Settings") -> Objects:
    """Give the storage that the URL of a bucket, or of anything in it, belongs to.

    Raises:
        OSError: its library is not installed, or its settings are wrong.
    """
    # Each library is loaded only where it is used: boto3 takes a third of a second to import,
    # and what the others need is optional.
    if url.startswith(S3):
        from app.storage.s3 import s3_of

        return s3_of(settings)
    try:
        from app.storage.clouds import cloud_of
    except ModuleNotFoundError as error:
        raise OSError(
            f"{url} needs the package {error.name}: pip install -r app/requirements-clouds.txt"
        ) from error
    return cloud_of("/".join(url.split("/", 3)[:3]), settings)


def is_hidden(relative: str) -> bool:
    """Whether a path below a folder is none of its data."""
    return any(name.startswith((".", "_")) for name in relative.split("/"))


def fixed_folder(path: str) -> str:
    """The folder, with its slash, below which all files that a path or pattern names lie."""
    for position, letter in enumerate(path):
        if letter in WILDCARDS:
            return path[: path.rfind("/", 0, position) + 1]
    return path.rstrip("/") + "/"
