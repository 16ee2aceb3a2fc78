"""Keeps a worker small: memory that a large file needed goes back to the system."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

# glibc's numbers; other C libraries neither do this nor have the function.
M_ARENA_MAX = -8
ARENAS = 2
# Of cgroups, version 2 and 1.
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def prepare() -> None:
    """Let what this process frees go back to the system; call it before Arrow is imported.

    Each thread would get an arena of malloc's of its own, which would never return; and Arrow
    would allocate beside malloc, where freed memory stays.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, ARENAS)
    # Read by Arrow's C++ parts, which pyarrow.set_memory_pool does not reach
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def release() -> None:
    """Give freed memory back."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def resident() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def available() -> int:
    """Bytes that the machine has, or the container where that has less."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # no container, or "max"
            sizes.append(int(file.read_text()))
    return min(sizes)
