"""One-hot columns or means of the target: what a quick trial on the table says."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.proposals.column import Column, read_column
from lifecycle.proposals.encoding import encoded_columns, propose_encoding

ROWS = 3_000
ONE_HOT, BY_TARGET, LARGE_BY_TARGET = -1, 2, 25


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def categories(name: str, codes: Iterable[int]) -> Column:
    return read_column(name, pd.Series([f"v{code}" for code in codes], dtype=object))


def days() -> Column:
    moments = pd.date_range("2020-01-01", periods=ROWS).astype(str)
    return read_column("day", pd.Series(moments, dtype=object))


def numbers(name: str, values: Any) -> Column:
    return read_column(name, pd.Series(values, dtype="float64"))


def test_category_that_says_how_much_is_encoded_by_the_target(
    generator: np.random.Generator,
) -> None:
    country, year = generator.integers(0, 100, ROWS), generator.uniform(0, 1, ROWS)
    people = np.exp(generator.normal(0, 2, 100))[country] * (1 + year)
    features = [categories("country", country), numbers("year", year)]
    encoding = propose_encoding(features, numbers("people", people), 0, None)
    assert encoding.value in (BY_TARGET, LARGE_BY_TARGET)
    assert "less so than with a column for each of 100" in encoding.reason
    assert encoded_columns(features, encoding.value) == (2, 2)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_category_whose_means_are_chance_gets_columns(
    generator: np.random.Generator, classes: int
) -> None:
    features = [
        categories("nothing", generator.integers(0, 600, ROWS)),
        numbers("much", (much := generator.normal(0, 1, ROWS))),
    ]
    noisy = much + generator.normal(0, 1, ROWS)
    if classes:
        target = categories("target", np.digitize(noisy, [0.0, 1.0][: classes - 1]).tolist())
    else:
        target = numbers("target", noisy)
    encoding = propose_encoding(features, target, classes, None)
    assert encoding.value == ONE_HOT
    assert encoded_columns(features, encoding.value) == (1 + features[0].distinct, 4)


def test_groups_of_the_holdout_are_new_in_the_trial_too(generator: np.random.Generator) -> None:
    """What is known of a shop says nothing of the next one, and by chance it would."""
    shop = generator.integers(0, 150, ROWS)
    target = numbers("sales", generator.normal(0, 5, 150)[shop] + generator.normal(0, 1, ROWS))
    features = [categories("town", shop), numbers("size", generator.normal(0, 1, ROWS))]
    assert propose_encoding(features, target, 0, None).value != ONE_HOT
    assert propose_encoding(features, target, 0, categories("shop", shop)).value == ONE_HOT


def test_later_rows_are_judged_where_time_parts_them(generator: np.random.Generator) -> None:
    """What holds of the older rows is turned about in later ones, before the holdout begins."""
    kind, late = generator.integers(0, 100, ROWS), np.arange(ROWS) >= 0.64 * ROWS
    target = numbers("target", np.where(late, -1, 1) * generator.normal(0, 5, 100)[kind])
    features = [categories("kind", kind), numbers("late", late)]
    assert propose_encoding(features, target, 0, None).value != ONE_HOT
    assert propose_encoding(features, target, 0, days()).value == ONE_HOT


def test_rows_of_the_holdout_say_nothing_where_time_parts_it(
    generator: np.random.Generator,
) -> None:
    kind = categories("kind", generator.integers(0, 100, ROWS))
    moves = np.where(np.arange(ROWS) >= 0.8 * ROWS, generator.normal(0, 100, ROWS), 1.0)
    target = generator.normal(0, 5, 100)[pd.factorize(kind.values)[0]]
    plain, shaken = numbers("target", target), numbers("target", target * moves)
    features = [kind, numbers("other", generator.normal(0, 1, ROWS))]
    plain_reason = propose_encoding(features, plain, 0, days()).reason
    assert "a quick trial errs" in plain_reason
    assert propose_encoding(features, shaken, 0, days()).reason == plain_reason


@pytest.mark.parametrize(
    ("codes", "value", "reason"),
    [
        ([], ONE_HOT, "there are no categories"),
        ([0, 1], ONE_HOT, "no category has more than two values"),
        (range(2_000), LARGE_BY_TARGET, "would fill the memory"),
    ],
)
def test_nothing_is_tried_where_there_is_no_choice(
    codes: Sequence[int], value: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightgbm.train", pytest.fail)
    features = [categories("kind", [*codes] * (20_000 // len(codes)))] if codes else []
    target = numbers("target", range(len(features[0].values) if features else 10))
    encoding = propose_encoding(features, target, 0, None)
    assert encoding.value == value
    assert reason in encoding.reason
