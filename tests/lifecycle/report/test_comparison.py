"""What differs between a revision and the version before."""

from typing import Any

import pytest

from app.model.manifest import Feature
from lifecycle.report.comparison import Change, changed, drift, headline, scores, seen
from lifecycle.report.revision import Revision
from stages.schema import Schema


def revision(rmse: float, r2: float = 0.5, **report: Any) -> Revision:
    whole = {
        "model": {"rmse": rmse, "r2": r2},
        "interval": {"rmse": {"low": rmse - 1, "high": rmse + 1}},
        "baseline": {"dummy": {"rmse": 99.0, "r2": 0.0}},
    }
    return Revision("a", "a" * 40, "", whole | report, {}, {})


def schema(*features: Feature) -> Schema:
    return Schema(
        task="regression", target="y", features=features, strategy="random", data_md5="0" * 32
    )


def test_each_score_stands_next_to_that_of_the_version_before() -> None:
    rmse, r2 = scores(revision(10.0, r2=0.6), revision(12.0, r2=0.7))
    assert (rmse.value, rmse.interval, rmse.predecessor) == (10.0, (9.0, 11.0), 12.0)
    assert rmse.baselines == {"dummy": 99.0}
    assert (rmse.verdict, r2.verdict) == ("better", "worse")
    assert r2.interval == ()


@pytest.mark.parametrize(
    ("predecessor", "same_holdout", "expected"),
    [
        (12.0, True, "better than the version before (12)."),
        (10.5, True, "better than the version before (10.5); the interval holds both"),
        (8.0, True, "worse than the version before (8)."),
        (10.0, True, ", the same as the version before."),
        (10.0000001, True, ", the same as the version before."),
        (12.0, False, "than the version before (12), which was measured on another holdout."),
        (None, False, "there is no other version"),
    ],
)
def test_the_headline_says_no_more_than_the_interval_allows(
    predecessor: float | None, same_holdout: bool, expected: str
) -> None:
    other = None if predecessor is None else revision(predecessor)
    text = headline(scores(revision(10.0), other)[0], same_holdout)
    assert text.startswith("rmse 10 (95 % interval 9 to 11)")
    assert expected in text


def test_only_parameters_that_differ_are_named() -> None:
    new = {"train.folds": 5, "train.sort": "R2", "deploy.explain": "rows"}
    old = {"train.folds": 3, "train.sort": "R2", "train.old": 1}
    assert changed(new, old) == [
        Change("train.folds", 3, 5),
        Change("deploy.explain", None, "rows"),
        Change("train.old", 1, None),
    ]


def test_what_changed_in_the_data_is_told_column_by_column() -> None:
    old = schema(
        Feature(name="size", kind="number", minimum=0.0, maximum=1.0, missing=0.1),
        Feature(name="town", kind="category", categories=("Bonn", "Ulm")),
        Feature(name="day", kind="category", categories=("1",)),
        Feature(name="gone", kind="boolean"),
        Feature(name="same", kind="boolean"),
    )
    new = schema(
        Feature(name="size", kind="number", minimum=0.0, maximum=2.5, missing=0.2),
        Feature(name="town", kind="category", categories=("Köln", "Ulm")),
        Feature(name="day", kind="date", minimum=0.0, maximum=86_400.0),
        Feature(name="fresh", kind="number"),
        Feature(name="same", kind="boolean"),
    )
    assert list(drift(new, old)) == [
        "gone is gone",
        "size: 0 to 1 became 0 to 2.5",
        "size: 10.0% missing became 20.0%",
        "town: new values: Köln",
        "town: no more: Bonn",
        "day was category, is date",
        "fresh is new",
    ]
    assert list(drift(new, new)) == []


def test_values_are_told_in_words() -> None:
    day = Feature(name="day", kind="date", minimum=0.0, maximum=1e9)
    assert seen(day) == "1970-01-01 to 2001-09-09"
    assert seen(Feature(name="many", kind="category", categories=tuple("abcdefghijk"))) == (
        "a, b, c, d, e, f, g, h, and 3 more"
    )
