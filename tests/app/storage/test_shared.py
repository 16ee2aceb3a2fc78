"""A file that several processes share: changed in place, and never the end of one of them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.storage.shared import SharedFile
from tests.app.namespace import skip_without_namespaces, small_folder
from tests.conftest import ROOT

# Writes every page of a file that the disk has no room for
WRITES = """
import sys
from pathlib import Path
from app.storage.shared import SharedFile

SharedFile(Path(sys.argv[1]), 1024**2).view("u1", 0, (1024**2,))[:] = 1
"""


def test_what_one_writes_another_reads(tmp_path: Path) -> None:
    one, other = (SharedFile(tmp_path / "deep" / "file", 80) for _ in range(2))
    numbers, seen = (file.view(np.int64, 16, (8,)) for file in (one, other))
    assert seen.tolist() == [0] * 8
    with one.locked():
        numbers[3] = 7
    assert seen.tolist() == [0, 0, 0, 7, 0, 0, 0, 0]
    one.close()
    other.close()


def test_a_file_of_another_size_begins_anew(tmp_path: Path) -> None:
    first = SharedFile(tmp_path / "file", 80)
    first.view(np.int64, 0, (10,))[:] = 1
    first.close()
    again = SharedFile(tmp_path / "file", 160)
    assert again.view(np.int64, 0, (20,)).tolist() == [0] * 20
    again.close()


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    skip_without_namespaces()
    done = subprocess.run(
        [sys.executable, "-c", WRITES, str(tmp_path / "file")],
        cwd=ROOT,
        preexec_fn=small_folder(tmp_path, 256 * 1024),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "OSError: [Errno 28] No space left on device",
    )


def test_a_file_that_cannot_be_had_is_not_left_open(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(OSError, match=r"File too large|Invalid argument|No space left"):
        SharedFile(tmp_path / "file", 2**62)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
