from pathlib import Path

import numpy as np

from app.drift.counting import Counting, joined, sample
from app.drift.reference import Reference, category, number
from app.model.manifest import Manifest
from app.model.runtime import Packed
from tests.app.conftest import write_model
from tests.app.drift.conftest import answers, reference, rows


def test_every_row_is_counted_once_in_every_column(counting: Counting) -> None:
    packed = rows(1, 777)
    counts = counting.count(packed, answers(packed))
    assert len(counts) == counting.cells
    assert [counts[begin:end].sum() for begin, end in counting.places] == [777] * 5


def test_the_rows_of_training_give_the_reference_again(counting: Counting) -> None:
    packed = rows(0, 20_000)
    counts = counting.count(packed, answers(packed))
    for column, (begin, end) in zip(counting.reference.columns, counting.places, strict=True):
        assert counts[begin:end].tolist() == list(column.counts)


def test_missing_and_unseen_have_cells_of_their_own(counting: Counting) -> None:
    nothing = Packed(np.full((1, 3), np.nan), np.array([[4]]))
    unseen = Packed(np.zeros((2, 3)), np.array([[3], [3]]))
    both, said = joined([(nothing, np.array([np.nan])), (unseen, np.zeros(2))])
    counts = counting.count(both, said)
    last_two = [counts[end - 2 : end].tolist() for _, end in counting.places]
    assert last_two == [[0, 1], [2, 1], [0, 1], [0, 1], [0, 1]]


def test_labels_are_counted(tmp_path: Path) -> None:
    manifest = Manifest.read(write_model(tmp_path / "model", "classification"))
    counting = Counting(reference("classification"), manifest)
    labels = np.array(["high", "low", "high"], object)
    begin, end = counting.places[-1]
    counts = counting.count(rows(1, 3), labels)[begin:end]
    told = dict(zip(counting.reference.columns[-1].labels, counts.tolist(), strict=True))
    assert told == {"low": 1, "high": 2, "middle": 0, "others": 0, "unseen": 0, "missing": 0}


def test_a_sample_is_spread_over_the_rows() -> None:
    packed = rows(1, 10_000)
    few, said = sample(packed, np.arange(10_000), 1_000)
    assert len(few) == len(said) == 1_000
    assert said[[0, -1]].tolist() == [0, 9_990]
    assert few.numeric.base is None  # the large array can go


def test_columns_of_one_value_of_none_and_of_many() -> None:
    same = number("same", np.full(100, 7.0))
    absent = number("absent", np.full(100, np.nan))
    codes = np.concatenate([np.repeat(np.arange(30), 10), np.arange(30, 60), [60, 61]])
    many = category("many", [f"v{i}" for i in range(60)], codes)
    assert same.counts[-2:] == (0, 0)
    assert sum(same.counts) == 100
    assert absent.counts == (0, 0, 100)
    assert many.cells == 20 + 3
    assert many.counts[20:] == (10 * 10 + 30, 30, 1)  # others, seen once, missing
    Reference(columns=(same, absent, many)).model_dump_json()
