"""Keeps a worker small: memory that a large file needed goes back to the system."""

import ctypes

# glibc's names; other C libraries have neither the habit nor the remedy.
M_ARENA_MAX = -8
ARENAS = 2


def limit_arenas() -> None:
    """Keep malloc from giving each thread an arena of its own, which it would never return."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, ARENAS)


def use_malloc_for_arrow() -> None:
    """Take Arrow's memory from malloc as well; its own pools keep what they once had."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


def release() -> None:
    """Give freed memory back."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
