"""What a worker gives back to the system."""

import ctypes
import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from app.operations import memory

RELEASED = """
import numpy as np
import onnxruntime
from app.operations import memory
before = memory.resident()
memory.release_code()
after = memory.resident()
assert np.linalg.det(np.eye(3)) == 1.0
print(before - after)
"""
pytestmark = pytest.mark.skipif(not memory.MAPPED.exists(), reason="Linux alone tells it")


def test_code_that_ran_at_the_import_goes_back_and_comes_again() -> None:
    run = subprocess.run([sys.executable, "-c", RELEASED], stdout=subprocess.PIPE, check=True)
    assert int(run.stdout) > 10_000_000  # of some 20 MB


def test_code_that_somebody_changed_in_memory_stays(tmp_path: Path) -> None:
    """As a debugger or a tracer does."""
    file = tmp_path / "code"
    file.write_bytes(bytes(mmap.PAGESIZE))
    access = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    with file.open("rb") as opened:
        code = mmap.mmap(opened.fileno(), mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=access)
    code[0] = 0xCC
    place = ctypes.addressof(ctypes.c_char.from_buffer(code))
    libc = ctypes.CDLL(None, use_errno=True)
    length = ctypes.c_size_t(mmap.PAGESIZE)
    assert libc.mprotect(ctypes.c_void_p(place), length, access & ~mmap.PROT_WRITE) == 0
    assert f"{place:x}-{place + mmap.PAGESIZE:x} r-xp" in memory.MAPPED.read_text()

    memory.release_code()

    assert code[0] == 0xCC
