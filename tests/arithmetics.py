"""Processors to compute on: this one, this one with older code, and an emulated one without AVX."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stages.arithmetic import CAP
from tests.conftest import ROOT

# A caller's environment in which NumPy and OpenBLAS take the code of an older processor
OLDER = {"OPENBLAS_CORETYPE": "Sandybridge", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"}
OLDEST = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "AVX F16C FMA3 AVX2"}
# A processor of 2008: SSE4.2, no AVX, no fused multiply-add, other caches. Debian: qemu-user
EMULATOR = shutil.which("qemu-x86_64")
NEHALEM = ("-cpu", "Nehalem")


def python(
    *arguments: str, folder: Path, settings: Mapping[str, str], emulated: bool = False
) -> str:
    """Run Python in a folder under settings of its own; what it prints on standard output."""
    emulator = [EMULATOR, *NEHALEM] if emulated and EMULATOR else []
    inherited = {name: value for name, value in os.environ.items() if name not in CAP}
    done = subprocess.run(
        [*emulator, sys.executable, *arguments],
        cwd=folder,
        env={
            **inherited,
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": "",
            **settings,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
