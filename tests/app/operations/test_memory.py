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
FREED = """
import threading
import numpy as np
from app.operations import memory
memory.prepare()
def work():
    for size in (3_000_000, 2_500_000) + 20 * (250_000,):  # numbers of 8 bytes
        arrays = [np.ones(size)] if size > 1_000_000 else [np.ones(size) for _ in range(20)]
        del arrays
    ready.set()
    over.wait()
ready, over = threading.Event(), threading.Event()
before = memory.resident()
threading.Thread(target=work).start()
ready.wait()
memory.release()
print(memory.resident() - before)
over.set()
"""
pytestmark = pytest.mark.skipif(not memory.MAPPED.exists(), reason="Linux alone tells it")


def test_code_that_ran_at_the_import_goes_back_and_comes_again() -> None:
    run = subprocess.run([sys.executable, "-c", RELEASED], stdout=subprocess.PIPE, check=True)
    assert int(run.stdout) > 20_000_000  # of some 30 MB


def test_what_a_thread_freed_goes_back_while_the_thread_lives() -> None:
    run = subprocess.run([sys.executable, "-c", FREED], stdout=subprocess.PIPE, check=True)
    assert int(run.stdout) < 10_000_000  # of 40 MB


@pytest.mark.parametrize(("executable", "mode"), [(mmap.PROT_EXEC, "r-xp"), (0, "r--p")])
def test_what_was_changed_in_memory_stays(executable: int, mode: str, tmp_path: Path) -> None:
    """Code as by a debugger, constants as by the loader, which fills in addresses."""
    file = tmp_path / "code"
    file.write_bytes(bytes(mmap.PAGESIZE))
    access = mmap.PROT_READ | mmap.PROT_WRITE | executable
    with file.open("rb") as opened:
        code = mmap.mmap(opened.fileno(), mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=access)
    code[0] = 0xCC
    place = ctypes.addressof(ctypes.c_char.from_buffer(code))
    libc = ctypes.CDLL(None, use_errno=True)
    length = ctypes.c_size_t(mmap.PAGESIZE)
    assert libc.mprotect(ctypes.c_void_p(place), length, access & ~mmap.PROT_WRITE) == 0
    assert f"{place:x}-{place + mmap.PAGESIZE:x} {mode}" in memory.MAPPED.read_text()

    memory.release_code()

    assert code[0] == 0xCC
