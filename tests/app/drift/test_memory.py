from pathlib import Path

import numpy as np

from app.drift.memory import Memory, mark, row_keys

MINE, OTHER = mark("a" * 32), mark("b" * 32)


def keys(request_id: str, rows: int) -> np.ndarray:
    return row_keys([request_id], np.zeros(rows, int), np.arange(1, rows + 1))


def test_an_answer_is_given_once_to_whoever_names_it(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "answers", 100)
    memory.add(keys("one", 3), np.array([1.0, 2.0, 3.0]), MINE)
    memory.add(keys("two", 1), np.array([4.0]), OTHER)
    values, found = memory.take(np.append(keys("one", 2)[1:], keys("never", 1)), MINE)
    assert found.tolist() == [True, False]
    assert values[0] == 2.0
    assert memory.take(keys("one", 3), MINE)[1].tolist() == [True, False, True]
    assert memory.take(keys("two", 1), MINE)[1].tolist() == [False]  # another version's


def test_the_oldest_are_forgotten_and_the_file_keeps_its_size(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "answers", 10)
    size = (tmp_path / "answers").stat().st_size
    for number in range(7):
        memory.add(keys(f"r{number}", 2), np.array([number, number + 0.5]), MINE)
    assert memory.take(keys("r1", 2), MINE)[1].tolist() == [False, False]
    assert memory.take(keys("r2", 2), MINE)[0].tolist() == [2, 2.5]
    memory.add(keys("many", 25), np.arange(25.0), MINE)
    assert memory.take(keys("many", 25), MINE)[1].tolist() == [False] * 15 + [True] * 10
    assert (tmp_path / "answers").stat().st_size == size


def test_another_process_finds_them(tmp_path: Path) -> None:
    Memory(tmp_path / "answers", 10).add(keys("one", 1), np.array([7.0]), MINE)
    values, found = Memory(tmp_path / "answers", 10).take(keys("one", 1), MINE)
    assert (values.tolist(), found.tolist()) == ([7.0], [True])
