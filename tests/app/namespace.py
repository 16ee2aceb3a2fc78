"""File systems that only one process sees: full ones, and such that cannot be written."""

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

# Linux's numbers, of <sched.h> and <sys/mount.h>.
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18

Prepare = Callable[[], None]


def small_folder(folder: Path, size: int) -> Prepare:
    """What a new process does to have a file system of so many bytes at a folder."""

    def prepare() -> None:
        _own_mounts()
        _mount(b"tmpfs", folder, b"tmpfs", 0, b"size=%d" % size)

    return prepare


def read_only(folder: Path) -> Prepare:
    """What a new process does to see a folder that cannot be written."""

    def prepare() -> None:
        _own_mounts()
        _mount(os.fsencode(folder), folder, None, MS_BIND, None)
        _mount(None, folder, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None)

    return prepare


def skip_without_namespaces() -> None:
    """Skip a test where the system lets nobody have mounts of their own."""
    try:
        subprocess.run(["true"], preexec_fn=_own_mounts, check=True)
    except subprocess.SubprocessError:
        pytest.skip("this system allows no user namespaces")


def fill(process: int, folder: Path) -> None:
    """Fill the file system that a process sees at a folder."""
    with (Path(f"/proc/{process}/root") / folder.relative_to("/") / "fill").open("wb", 0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def _own_mounts() -> None:
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _mount(None, Path("/"), None, MS_REC | MS_PRIVATE, None)


def _mount(
    source: bytes | None, target: Path, kind: bytes | None, flags: int, data: bytes | None
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, os.fsencode(target), kind, ctypes.c_ulong(flags), data):
        raise OSError(ctypes.get_errno(), f"mount at {target}")
