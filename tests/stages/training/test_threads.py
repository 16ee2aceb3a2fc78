import subprocess
import sys
from collections.abc import Iterator

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from stages import arithmetic
from tests.conftest import ROOT
from tests.stages.training.test_search import fitted, pytestmark  # noqa: F401 - PyCaret's warnings


@pytest.fixture
def two_workers() -> Iterator[LocalCluster]:
    """A Dask scheduler with two workers, each a process of its own."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as started:
        yield started


def test_folds_on_a_cluster_give_the_same_result(two_workers: LocalCluster) -> None:
    address = two_workers.scheduler_address
    pipeline, board, rows = fitted("regression", blend=2, parallel=address)
    with Client(address) as client:
        computed = client.run_on_scheduler(
            lambda dask_scheduler: sum(
                prefix.state_counts["memory"] for prefix in dask_scheduler.task_prefixes.values()
            )
        )
    assert computed >= 3 * 2  # two candidates and their blend, two folds each
    here, same_board, _ = fitted("regression", blend=2)
    pd.testing.assert_frame_equal(board, same_board, check_exact=True)
    np.testing.assert_array_equal(pipeline.predict(rows), here.predict(rows))


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.training.threads.SCHEDULER_SECONDS", 0.5)
    with pytest.raises(
        ValueError, match=r"train\.parallel: no Dask scheduler answers at tcp://127"
    ):
        fitted("regression", parallel="tcp://127.0.0.1:9")


def test_a_cluster_without_workers_is_named() -> None:
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as empty,
        pytest.raises(ValueError, match=r"has no workers. Start one with `python -m stages worker"),
    ):
        fitted("regression", parallel=empty.scheduler_address)


def test_a_worker_that_computes_otherwise_is_refused() -> None:
    older = {"distributed.nanny.pre-spawn-environ": {"OPENBLAS_CORETYPE": "Prescott"}}
    with (
        dask.config.set(older),
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as one,
        pytest.raises(
            ValueError, match=r"OpenBLAS: Prescott instead of \w+.*`python -m stages worker tcp"
        ),
    ):
        fitted("regression", parallel=one.scheduler_address)


def test_a_worker_started_as_told_computes_under_the_cap() -> None:
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as empty:
        command = [sys.executable, "-m", "stages", "worker", empty.scheduler_address, "--no-nanny"]
        worker = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            with Client(empty.scheduler_address) as client:
                client.wait_for_workers(1, timeout=60)
                (state,) = client.run(arithmetic.state).values()
        finally:
            worker.terminate()
            worker.wait(30)
    assert state == arithmetic.STATE
