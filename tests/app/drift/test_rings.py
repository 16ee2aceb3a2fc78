import multiprocessing
from pathlib import Path

import numpy as np

from app.drift.rings import SLOTS, Rings

NOW = 1_700_000_000.0
HOUR, DAY = 3_600, 86_400


def test_counts_leave_the_windows_one_after_the_other(tmp_path: Path) -> None:
    rings = Rings(tmp_path / "counts", 3)
    rings.add(np.array([1, 2, 3]), NOW)
    rings.add(np.array([10, 0, 0]), NOW + 300)

    def totals(later: float) -> list[int]:
        return [int(counts.sum()) for counts in rings.windows(NOW + later).values()]

    assert rings.windows(NOW + 300)["hour"].tolist() == [11, 2, 3]
    assert totals(300) == [16, 16, 16]
    assert totals(2 * HOUR) == [0, 16, 16]
    assert totals(2 * DAY) == [0, 0, 16]
    assert totals(9 * DAY) == [0, 0, 0]
    rings.add(np.array([1, 1, 1]), NOW + 9 * DAY)  # into slots that were used before
    assert totals(9 * DAY) == [3, 3, 3]


def test_they_outlast_a_restart_and_stay_small(tmp_path: Path) -> None:
    rings = Rings(tmp_path / "counts", 24)
    rings.add(np.ones(24, np.int64), NOW)
    rings.close()
    assert Rings(tmp_path / "counts", 24).windows(NOW)["day"].sum() == 24
    assert (tmp_path / "counts").stat().st_size == SLOTS * (8 + 4 * 24) < 2_200
    assert Rings(tmp_path / "counts", 25).windows(NOW)["day"].sum() == 0  # another model's file


def add_many(path: Path) -> None:
    rings = Rings(path, 4)
    for _ in range(500):
        rings.add(np.array([1, 0, 0, 1]), NOW)


def test_the_counts_of_several_processes_add_up(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_many, args=(tmp_path / "counts",)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Rings(tmp_path / "counts", 4).windows(NOW)["week"].tolist() == [1500, 0, 0, 1500]
