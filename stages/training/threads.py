"""Which threads and processes compute: one thread for each fit, folds side by side."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import joblib
from threadpoolctl import threadpool_limits

from stages import arithmetic

if TYPE_CHECKING:
    from distributed import Client

SCHEDULER_SECONDS = 10


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for each estimator, so that no result depends on the number of cores.

    Folds may still run side by side. Memory mapping is off: PyCaret changes arrays in place
    and dies on read-only ones.
    """
    with threadpool_limits(1), joblib.parallel_config(max_nbytes=None):
        yield


def quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call on one thread, and without what the libraries have to say of each fit."""
    with (
        one_thread(),
        joblib.parallel_config("sequential"),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        return function(*arguments)


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
                f"with `python -m stages worker {scheduler}`."
            )
        refuse_other_arithmetic(client, scheduler)
        with joblib.parallel_config("dask"):
            yield


def refuse_other_arithmetic(client: "Client", scheduler: str) -> None:
    """Raise ValueError where a worker does not compute as this process does."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(arithmetic)  # workers need the libraries alone
    try:
        states = client.run(arithmetic.state)
    finally:
        cloudpickle.unregister_pickle_by_value(arithmetic)
    here = arithmetic.state()
    for worker, state in states.items():
        unlike = arithmetic.differences(state, here)
        if unlike:
            raise ValueError(
                f"train.parallel: the Dask worker {worker} does not compute as this process does "
                f"({unlike}), so the result would depend on where a fold runs. Start it under the "
                f"same cap: `python -m stages worker {scheduler}`, in this project's folder and "
                "environment."
            )
