"""Keeps a worker small: memory that a large file needed goes back to the system."""

import ctypes
import mmap
import os
import re
from contextlib import suppress
from pathlib import Path

# glibc's numbers; other C libraries neither do this nor have the function.
M_ARENA_MAX, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -8, -1, -3
ARENAS = 2
# Left to itself, malloc keeps up to 64 MB of each arena once such large arrays were freed, and
# what `release` asks for does not reach the end of an arena that a thread has.
KEPT_BYTES = 4 * 1024**2
HEAP_BYTES = 2 * KEPT_BYTES  # what is larger comes from the system, and goes back to it
# Of cgroups, version 2 and 1.
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# In Linux's list of what a process has in memory: the code or the constants of a library, from
# their first byte to their last, none of which this process changed.
MAPPED = Path("/proc/self/smaps")
UNCHANGED = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-[-x]p \S+ \S+ [1-9][^\n]*\n"
    r"(?:[A-Z]\w+:[^\n]*\n)*?Anonymous: +0 kB$",
    re.MULTILINE,
)


def prepare() -> None:
    """Let what this process frees go back to the system; call it before Arrow is imported.

    Each thread would get an arena of malloc's of its own, which would never return; and Arrow
    would allocate beside malloc, where freed memory stays.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, ARENAS)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_MMAP_THRESHOLD, HEAP_BYTES)
    # Read by Arrow's C++ parts, which pyarrow.set_memory_pool does not reach
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def release() -> None:
    """Give freed memory back."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def release_code() -> None:
    """Give back the code and constants of libraries; call it when all are imported.

    Most of them serve the import and never again. What is needed again comes back by itself,
    from the system's copy of the file.
    """
    if not MAPPED.exists():  # not Linux
        return
    libc = ctypes.CDLL(None)
    for start, end in UNCHANGED.findall(MAPPED.read_text()):
        begin = int(start, 16)
        libc.madvise(
            ctypes.c_void_p(begin), ctypes.c_size_t(int(end, 16) - begin), mmap.MADV_DONTNEED
        )


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
