"""Which threads and processes compute: one thread for each fit, folds side by side."""

from collections.abc import Iterator
from contextlib import contextmanager

import joblib
from threadpoolctl import threadpool_limits

SCHEDULER_SECONDS = 10


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for each estimator, so that no result depends on the number of cores.

    Folds may still run side by side. Memory mapping is off: PyCaret changes arrays in place
    and dies on read-only ones.
    """
    with threadpool_limits(1), joblib.parallel_config(max_nbytes=None):
        yield


@contextmanager
def cluster(scheduler: str | None) -> Iterator[None]:
    """Compute folds on a Dask cluster, whose workers have this environment and one thread each.

    PyCaret's own `FugueBackend` cannot be installed beside DVC: their dependencies exclude each
    other. joblib, which runs PyCaret's folds, knows Dask itself.

    Args:
        scheduler: its address, or None to stay on this machine.

    Raises:
        ValueError: no scheduler answers there, or it has no workers.
    """
    if scheduler is None:
        yield
        return
    from distributed import Client

    try:
        client = Client(scheduler, timeout=SCHEDULER_SECONDS, set_as_default=True)
    except OSError as error:
        raise ValueError(
            f"train.parallel: no Dask scheduler answers at {scheduler}. Start one with "
            "`dask scheduler`, or set the key to null."
        ) from error
    with client:
        if not client.ncores():
            raise ValueError(
                f"train.parallel: the Dask scheduler at {scheduler} has no workers. Start one "
                f"with `dask worker {scheduler} --nthreads 1`."
            )
        with joblib.parallel_config("dask"):
            yield
