from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from tests.stages.training.test_search import fitted, pytestmark  # noqa: F401 - PyCaret's warnings


@pytest.fixture
def dask() -> Iterator[LocalCluster]:
    """A Dask scheduler with two workers, each a process of its own."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as started:
        yield started


def test_folds_on_a_cluster_give_the_same_result(dask: LocalCluster) -> None:
    address = dask.scheduler_address
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
