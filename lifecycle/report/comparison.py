"""What differs between a revision and the version that it would replace."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.model.manifest import Feature
from lifecycle.report.revision import Revision
from stages.evaluation.metrics import METRICS
from stages.schema import Schema

LISTED = 8  # categories named in a sentence


@dataclass(frozen=True)
class Score:
    """One metric on the holdout.

    Attributes:
        metric: its name.
        value: the revision's.
        interval: the ends of its 95 % interval; empty where there is none.
        predecessor: of the version that it would replace; None without one.
        verdict: `better`, `worse`, `same`, or, without a predecessor, nothing.
        baselines: by their names.
    """

    metric: str
    value: float
    interval: tuple[float, ...]
    predecessor: float | None
    verdict: str
    baselines: dict[str, float]


@dataclass(frozen=True)
class Change:
    """A value that differs; None where there is no such key."""

    key: str
    old: Any
    new: Any


def scores(revision: Revision, predecessor: Revision | None) -> list[Score]:
    """Every metric of the holdout, next to the predecessor's."""
    report = revision.report
    before: Mapping[str, float] = predecessor.report["model"] if predecessor else {}
    rows = []
    for metric, value in report["model"].items():
        ends = report["interval"].get(metric)
        baselines = report["baseline"].items()
        rows.append(
            Score(
                metric=metric,
                value=value,
                interval=(ends["low"], ends["high"]) if ends else (),
                predecessor=before.get(metric),
                verdict=verdict(metric, value, before[metric]) if metric in before else "",
                baselines={name: one[metric] for name, one in baselines if metric in one},
            )
        )
    return rows


def verdict(metric: str, value: float, other: float) -> str:
    """How a value compares with another one, as far as the report shows them."""
    if brief(value) == brief(other):
        return "same"
    return "better" if (value > other) == METRICS[metric].higher_is_better else "worse"


def headline(score: Score, same_holdout: bool) -> str:
    """How good a revision is, and whether it beats the predecessor, in words."""
    text = f"{score.metric} {score.value:.5g}"
    if score.interval:
        text += " (95 % interval {:.5g} to {:.5g})".format(*score.interval)
    if score.predecessor is None:
        return f"{text}; there is no other version to compare it with."
    if score.verdict == "same":
        return f"{text}, the same as the version before."
    text += f", {score.verdict} than the version before ({score.predecessor:.5g})"
    if not same_holdout:
        return f"{text}, which was measured on another holdout."
    if score.interval and score.interval[0] <= score.predecessor <= score.interval[1]:
        return f"{text}; the interval holds both, so that this holdout can hardly tell them apart."
    return f"{text}."


def changed(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[Change]:
    """The keys whose values differ."""
    keys = dict.fromkeys([*new, *old])
    return [Change(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def brief(value: float | None) -> str:
    """A number in five digits; nothing for none."""
    return "" if value is None else f"{value:.5g}"


def seen(feature: Feature) -> str:
    """A feature's values in the prepared tables, in words."""
    if feature.kind == "category":
        names = ", ".join(feature.categories[:LISTED])
        more = len(feature.categories) - LISTED
        return f"{names}, and {more} more" if more > 0 else names
    if feature.kind == "boolean" or feature.minimum is None or feature.maximum is None:
        return ""
    if feature.kind == "date":
        ends = (datetime.fromtimestamp(end, UTC) for end in (feature.minimum, feature.maximum))
        return " to ".join(f"{end:%Y-%m-%d}" for end in ends)
    return f"{feature.minimum:.6g} to {feature.maximum:.6g}"


def drift(new: Schema, old: Schema) -> Iterator[str]:
    """What changed in the features between two versions of the data, a sentence each."""
    before = {feature.name: feature for feature in old.features}
    after = {feature.name: feature for feature in new.features}
    for name in before:
        if name not in after:
            yield f"{name} is gone"
    for name, feature in after.items():
        earlier = before.get(name)
        if earlier is None:
            yield f"{name} is new"
        elif earlier.kind != feature.kind:
            yield f"{name} was {earlier.kind}, is {feature.kind}"
        else:
            yield from _changes(feature, earlier)


def _changes(feature: Feature, earlier: Feature) -> Iterator[str]:
    name = feature.name
    for words, categories in (
        ("new values", set(feature.categories) - set(earlier.categories)),
        ("no more", set(earlier.categories) - set(feature.categories)),
    ):
        if categories:
            listed = sorted(categories)
            more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
            yield f"{name}: {words}: {', '.join(listed[:LISTED])}{more}"
    if feature.kind in {"number", "date"} and seen(feature) != seen(earlier):
        yield f"{name}: {seen(earlier)} became {seen(feature)}"
    shares = (f"{earlier.missing:.1%}", f"{feature.missing:.1%}")
    if shares[0] != shares[1]:
        yield f"{name}: {shares[0]} missing became {shares[1]}"
