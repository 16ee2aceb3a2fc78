"""The one arithmetic in which every stage and worker computes, whatever the processor offers.

NumPy, OpenBLAS and the C library each choose their code by the processor, and each choice adds and
rounds in an order of its own. Here all three are held to what every x86-64 processor with SSE4.2
has, on one thread. It costs up to a third of the time of large matrix products, and none where
trees are grown (docs/reproducibility.md). All of them read their settings before NumPy is imported,
the C library even before Python starts: so this module imports no library, and a process that lacks
the settings is replaced by one that has them.
"""

import math
import os
import platform
import sys
from collections.abc import Mapping
from typing import NoReturn

CAP: Mapping[str, str] = {
    # All that NumPy 1.26 has code for beyond SSE4.2; what a processor lacks may stand here too
    "NPY_DISABLE_CPU_FEATURES": (
        "AVX F16C FMA3 AVX2 AVX512F AVX512CD AVX512_KNL AVX512_KNM AVX512_SKX AVX512_CLX "
        "AVX512_CNL AVX512_ICL"
    ),
    "OPENBLAS_CORETYPE": "Nehalem",
    # exp, log, sin, ... without fused multiply-add; glibc before 2.33 knows the longer names
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-FMA_Usable,-FMA4_Usable",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # No bit depends on it. Threads of a booster wait for one another at each split of a tree, and
    # by default keep their cores busy meanwhile: beside other work that takes 20 times as long
    "GOMP_SPINCOUNT": "1000",
    "PYTHONHASHSEED": "0",  # the order of sets of text
}
# Numbers at which glibc's code with fused multiply-add differs from that without
PROBES = (
    (math.exp, "0x1.ef2c4e8b830a1p-1", "0x1.50b0dc0ca39d2p+1"),
    (math.log, "0x1.9db106d381a35p+3", "0x1.4799ea8b608ffp+1"),
    (math.sin, "0x1.81dd42725c189p+1", "0x1.037436659adc4p-3"),
    (math.atan, "0x1.b647a620b3456p-2", "0x1.9e1f14214a6dep-2"),
)
OUTPUTS = "model/candidate, reports, model/final and model/serving"
# What `state` gives under the cap
STATE: Mapping[str, str] = {
    "machine": "Linux x86_64",
    "NumPy": "SSE SSE2 SSE3 SSSE3 SSE41 POPCNT SSE42",
    "OpenBLAS": "Nehalem",
    "elementary functions": "glibc's, not fused",
    "threads": "1",
}


def launch(*arguments: str) -> NoReturn:
    """Replace this process by Python with these arguments, under the cap."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **CAP})  # noqa: S606


def is_set() -> bool:
    """Whether this process was started with the settings of the cap; not yet that they took."""
    return all(os.environ.get(name) == value for name, value in CAP.items())


def state() -> dict[str, str]:
    """How this process computes, part by part; equal states give equal bits."""
    import scipy.linalg  # noqa: F401 - it brings an OpenBLAS of its own
    from numpy.core import _multiarray_umath as umath
    from threadpoolctl import threadpool_info

    features = [*umath.__cpu_baseline__, *umath.__cpu_dispatch__]
    pools = threadpool_info()
    kernels = {str(pool["architecture"]) for pool in pools if pool["user_api"] == "blas"}
    plain = all(f(float.fromhex(x)) == float.fromhex(value) for f, x, value in PROBES)
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "NumPy": " ".join(name for name in features if umath.__cpu_features__[name]),
        "OpenBLAS": " ".join(sorted(kernels)),
        "elementary functions": "glibc's, not fused" if plain else "others",
        "threads": " ".join(sorted({str(pool["num_threads"]) for pool in pools})),
    }


def differences(there: Mapping[str, str], here: Mapping[str, str] = STATE) -> str:
    """What of one state is otherwise in another, in words; empty where nothing is."""
    return "; ".join(
        f"{part}: {there.get(part)} instead of {value}"
        for part, value in here.items()
        if there.get(part) != value
    )


def report(name: str) -> None:
    """Say in one line that the cap took; or warn that it did not, and where the lock may differ.

    Args:
        name: of the stage, whose libraries are loaded: what is not loaded cannot be asked.
    """
    unlike = differences(state())
    if not unlike:
        print(f"{name}: computes on one thread, and only as every x86-64 processor can", flush=True)
        return
    print(
        f"{name}: WARNING: this machine does not compute as others do ({unlike}). The outputs are "
        f"sound, but dvc.lock may differ from one made elsewhere, in {OUTPUTS}. Linux on an x86-64 "
        "processor, with the pinned libraries, gives everywhere the same bits.",
        file=sys.stderr,
        flush=True,
    )
