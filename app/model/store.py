"""Finds the locked model version and brings it here: `dvc.lock`, its remote, a local folder.

The layout is DVC 3's: an object lies at `files/md5/<first 2 digits>/<the rest>`, and a
directory is an object too, a JSON list of its files whose md5 ends in `.dir`.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from app.storage import objects_of

if TYPE_CHECKING:
    from app.settings import Settings

# Kept inside a version's folder: the directory object, whose md5 is the version.
LISTING = ".dir"
VERIFICATIONS = "verifications"  # what belongs to a version beside its folder
LEFT_OVER = re.compile(r"\.(discarded|[0-9a-f]{32})\.\w+", re.ASCII)
LEFT_OVER_SECONDS = 86_400  # a killed server leaves half a version behind; no pull takes so long
VERSION = re.compile(r"[0-9a-f]{32}", re.ASCII)


class StoreError(Exception):
    """The locked version cannot be had; the text says why and what to do."""


class MissingError(StoreError):
    """The remote has no such object."""


class AlteredError(StoreError):
    """An object or file is not the one that its md5 names."""


def locked_version(lock_file: Path, stage: str, path: str) -> str:
    """Read which model version is locked: the md5 of the stage's output, without `.dir`.

    Raises:
        StoreError: the file, the stage or the output is missing, or not what DVC 3 writes.
    """
    try:
        content = lock_file.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(
            f"{lock_file} does not exist. Run `dvc repro`, or set SERVE_LOCK_FILE."
        ) from error
    except OSError as error:
        raise StoreError(f"{lock_file} cannot be read: {error}") from error
    name = str(lock_file)
    return locked_output(parse_lock(content, name), name, stage, path)


def parse_lock(content: bytes | str, name: str) -> Any:
    """Parse a `dvc.lock`, which `name` stands for in messages.

    Raises:
        StoreError: it is not YAML.
    """
    try:
        return yaml.load(content, _Loader)  # noqa: S506 (a safe loader)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise StoreError(f"{name} cannot be read: {error}") from error


def locked_output(lock: Any, name: str, stage: str, path: str) -> str:
    """Read the md5, without `.dir`, of a folder that a stage writes.

    Args:
        lock: a parsed `dvc.lock`.
        name: what it is called in messages.
        stage: the stage's name.
        path: the folder, as the stage's output is named.

    Raises:
        StoreError: it has no such folder.
    """
    try:
        outs = lock["stages"][stage]["outs"]
        (entry,) = [out for out in outs if out["path"] == path]
        md5 = entry["md5"].removesuffix(".dir")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{name} has no output {path!r} of a stage {stage!r}. Run `dvc repro`, or set "
            "SERVE_LOCK_STAGE and SERVE_LOCK_PATH."
        ) from error
    if not VERSION.fullmatch(md5) or not entry["md5"].endswith(".dir"):
        raise StoreError(f"{name}: {path!r} has md5 {entry['md5']!r}, not a directory's.")
    return str(md5)


def fetch(version: str, settings: "Settings") -> Path:
    """Give the folder that holds a version, every byte of it verified.

    What the cache holds is verified again; what it lacks, or holds changed, is pulled from
    the remote. Safe when several processes do it at once.

    Raises:
        StoreError: the remote does not give it, or gives something else.
    """
    if (folder := cached(version, settings)) is not None:
        return folder
    work = workplace(version, settings)
    try:
        return place(download(version, work, Remote(settings)), settings)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def cached(version: str, settings: "Settings") -> Path | None:
    """Give a version's folder, verified, if the cache holds it unchanged."""
    folder = settings.model_cache / version
    try:
        verify(folder)
    except StoreError:
        return None
    return folder


def workplace(version: str, settings: "Settings") -> Path:
    """Make a folder for a version that is being pulled: no one ever sees half a version."""
    settings.model_cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{version}.", dir=settings.model_cache))


def download(version: str, work: Path, remote: "Remote") -> Path:
    """Write a version's verified files to a folder of its name in `work`, and give that.

    Raises:
        StoreError: the remote does not give it, or gives something else.
    """
    folder = work / version
    folder.mkdir()
    listing = remote.read(version, ".dir")
    (folder / LISTING).write_bytes(listing)
    for relpath, md5 in _entries(listing, version):
        target = folder / relpath
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(remote.read(md5))
    return folder


def place(pulled: Path, settings: "Settings") -> Path:
    """Move a version that was pulled into the cache, in place of one that is damaged."""
    folder = settings.model_cache / pulled.name
    if folder.exists() and cached(pulled.name, settings) is None:
        _discard(folder)
    try:
        pulled.rename(folder)
    except OSError:
        verify(folder)  # another process was faster
    return folder


def prune(used: Sequence[str], settings: "Settings") -> list[str]:
    """Remove the versions from the cache that were used least lately, and what pulls left behind.

    Args:
        used: those in use: the latest first. They stay.
        settings: say how many stay in all.

    Returns:
        What was removed.

    Raises:
        OSError: the cache cannot be changed.
    """
    cache = settings.model_cache
    os.utime(cache / used[0])
    left_over = time.time() - LEFT_OVER_SECONDS
    folders = [folder for folder in cache.iterdir() if folder.is_dir()]
    for folder in folders:
        if LEFT_OVER.fullmatch(folder.name) and folder.stat().st_mtime < left_over:
            shutil.rmtree(folder)
    versions = [folder for folder in folders if VERSION.fullmatch(folder.name)]
    versions.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    keep = {*used, *(folder.name for folder in versions[: settings.keep_versions])}
    removed = [folder for folder in versions if folder.name not in keep]
    for folder in removed:
        _discard(folder)
        shutil.rmtree(cache / VERIFICATIONS / folder.name, ignore_errors=True)
    return [folder.name for folder in removed]


def verify(folder: Path) -> None:
    """Check a version's folder, listing and files, against the md5 that is its name.

    Raises:
        StoreError: a file is missing or changed.
    """
    try:
        listing = (folder / LISTING).read_bytes()
        _check(listing, folder.name, f"{folder / LISTING}")
        for relpath, md5 in _entries(listing, folder.name):
            _check((folder / relpath).read_bytes(), md5, f"{folder / relpath}")
    except OSError as error:
        raise StoreError(f"{folder} is not complete: {error}") from error


def _discard(folder: Path) -> None:
    discarded = Path(tempfile.mkdtemp(prefix=".discarded.", dir=folder.parent))
    folder.rename(discarded / folder.name)
    shutil.rmtree(discarded)


def _entries(listing: bytes, version: str) -> list[tuple[PurePosixPath, str]]:
    """List (path, md5) of a directory object."""
    try:
        entries = [(PurePosixPath(entry["relpath"]), entry["md5"]) for entry in json.loads(listing)]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"Version {version}: its listing is not a DVC directory.") from error
    for path, md5 in entries:
        if path.is_absolute() or ".." in path.parts or path.parts in ((), (LISTING,)):
            raise StoreError(f"Version {version}: its listing names a path outside: {str(path)!r}.")
        if not isinstance(md5, str) or not VERSION.fullmatch(md5):
            raise StoreError(f"Version {version}: {str(path)!r} has no md5.")
    return entries


def _check(content: bytes, md5: str, name: str) -> None:
    actual = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if actual != md5:
        raise AlteredError(
            f"{name} has md5 {actual} instead of {md5}: it was changed after it was pushed. "
            "Remove that object or file, then `dvc push` again."
        )


class Remote:
    """A DVC remote.

    Args:
        settings: say where it is, and with which key.
        progress: called for every piece of an object that came.

    Raises:
        StoreError: the settings are wrong, or a package is not installed.
    """

    def __init__(self, settings: "Settings", progress: Callable[[], object] = lambda: None) -> None:
        self._url = settings.remote.rstrip("/")
        self._progress = progress
        try:
            self._objects = objects_of(self._url, settings)
        except OSError as error:
            raise StoreError(str(error)) from error

    def read(self, md5: str, suffix: str = "") -> bytes:
        """Read and verify one of DVC's objects."""
        key = f"files/md5/{md5[:2]}/{md5[2:]}{suffix}"
        content = self.get(key)
        _check(content, md5, f"{self._url}/{key} at {self._objects.address}")
        return content

    def put(self, key: str, content: bytes) -> None:
        """Write an object beside those of DVC.

        Raises:
            StoreError: the remote does not take it.
        """
        try:
            self._objects.put(f"{self._url}/{key}", content)
        except OSError as error:
            raise StoreError(str(error)) from error

    def get(self, key: str) -> bytes:
        """Read an object by its key below the remote.

        Raises:
            MissingError: it is not there.
            StoreError: the remote does not give it.
        """
        where = f"{self._url}/{key} at {self._objects.address}"
        content = bytearray()
        try:
            for piece in self._objects.pieces(f"{self._url}/{key}"):
                content += piece
                self._progress()
        except FileNotFoundError as error:
            raise MissingError(f"Cannot read {where}: {error}") from error
        except OSError as error:
            raise StoreError(f"Cannot read {where}: {error}") from error
        return bytes(content)


# libyaml's loader where PyYAML was built with it: ten times as fast, the same result.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
