"""How wide an honest interval is, and whether it kept its promise on the holdout.

The width comes from answers to rows that a fold did not know, in the folds of `train`: whole
groups, or later rows. Only a cross-validation like the holdout errs like the holdout. No row of
the holdout has a part in it.

Sources: Barber et al. 2021, Predictive Inference with the Jackknife+, section 3 (CV+), in the
variant that puts one width around one model, fitted on all training rows; Sadinle et al. 2019,
Least Ambiguous Set-Valued Classifiers, for the sets; Kish 1965, Survey Sampling, for how many
independent rows the rows of groups are worth.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from app.model.conformal import half_widths, members
from app.model.manifest import Intervals, Level, Task
from stages.files import settled
from stages.schema import Schema

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)
LEVEL = 0.9  # whose figures are reported
BINS = 10  # scales, of about as many answers each, by the size of the answer
WORTH = 0.85  # of the plain width: scales that narrow less are not worth their uncertainty
LATEST = 2  # folds by time that count: the older ones tell of an older world
OUTWARD = 2e-8  # so that a bound which is rounded to nine digits still holds what it should


@dataclass(frozen=True)
class Answers:
    """What was answered to rows that were not known, and what was true.

    Attributes:
        actual: the targets, shape (rows,): values, or class indices.
        predicted: the answers, same shape and meaning.
        probabilities: shape (rows, classes); None for a regression.
        units: the number, from 0, of each row's group, or of the row itself; shape (rows,).
        folds: by time, the fold that answered each row, shape (rows,); else None.
    """

    actual: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None
    units: np.ndarray
    folds: np.ndarray | None = None


def of_folds(folds: pd.DataFrame, train: pd.DataFrame, schema: Schema) -> Answers:
    """The folds' answers as widths are learned from them.

    Args:
        folds: `model/candidate/folds.csv`; `row` in the raw table, `fold`, `prediction`, and
            of a classification with probabilities `probability_0` and so on, by class.
        train: prepared training rows.
        schema: their schema.
    """
    numbers, units = None, np.arange(len(folds))
    if schema.strategy == "time":
        folds = folds[folds["fold"] > folds["fold"].max() - LATEST]
        numbers, units = folds["fold"].to_numpy(), np.arange(len(folds))
    elif schema.strategy == "group":
        units = pd.factorize(train.loc[folds["row"], schema.split_column])[0]
    truth = train.loc[folds["row"], schema.target]
    if schema.task == "classification":
        truth = truth.map({label: i for i, label in enumerate(schema.classes)}).astype(int)
    chances = folds.filter(regex=r"^probability_\d+$").to_numpy()
    return Answers(
        truth.to_numpy(),
        folds["prediction"].to_numpy(),
        chances if chances.size else None,
        units,
        numbers,
    )


def learn(answers: Answers, task: Task) -> Intervals | None:
    """Learn the bounds of every coverage; `measured` is for the holdout to say.

    Args:
        answers: those of the folds.
        task: regression or classification.

    Returns:
        The coverages that so many answers can promise; None where there are none, or where a
        classification has no probabilities.
    """
    if task == "classification":
        if answers.probabilities is None:
            return None
        rows = np.arange(len(answers.actual))
        doubts = 1 - answers.probabilities[rows, answers.actual]
        return _intervals((1 - _bounds(doubts, answers)) * (1 - OUTWARD))
    misses = np.abs(answers.actual - answers.predicted)
    plain = _intervals(_bounds(misses, answers) * (1 + OUTWARD), scales=np.ones(1))
    edges = np.unique(np.quantile(answers.predicted, np.linspace(0, 1, BINS + 1)[1:-1]))
    parts = np.searchsorted(edges, answers.predicted, "right")
    counts = np.bincount(parts, minlength=len(edges) + 1)
    scales = np.bincount(parts, misses, len(counts)) / np.maximum(counts, 1)
    if plain is None or scales.min() <= 0 or answers.folds is not None:
        return plain  # by time, too: what is narrow in one year is not in the next
    bounds = _bounds(misses / scales[parts], answers)
    scaled = _intervals(bounds * (1 + OUTWARD), edges, scales)
    if scaled is None or _width(scaled, answers) > WORTH * _width(plain, answers):
        return plain
    return scaled


def _bounds(scores: np.ndarray, answers: Answers) -> np.ndarray:
    """For each of `COVERAGES`; NaN where the scores are too few.

    By time, the worse of the latest folds decides: the world that comes may be as bad again.
    """
    if answers.folds is None:
        return np.array([quantile(scores, answers.units, coverage) for coverage in COVERAGES])
    parts = [scores[answers.folds == number] for number in np.unique(answers.folds)]
    bounds = [
        [quantile(part, np.arange(len(part)), coverage) for coverage in COVERAGES] for part in parts
    ]
    worst: np.ndarray = np.array(bounds).max(axis=0)
    return worst


def _intervals(
    bounds: np.ndarray, edges: np.ndarray | None = None, scales: np.ndarray | None = None
) -> Intervals | None:
    levels = tuple(
        Level(coverage=coverage, measured=0.0, bound=settled(bound))
        for coverage, bound in zip(COVERAGES, bounds.tolist(), strict=True)
        if not math.isnan(bound)
    )
    if not levels:
        return None
    return Intervals(
        levels=levels,
        edges=() if edges is None else tuple(map(settled, edges.tolist())),
        scales=() if scales is None else tuple(map(settled, scales.tolist())),
    )


def _width(intervals: Intervals, answers: Answers) -> float:
    """The mean width at the highest coverage up to `LEVEL`."""
    level = max(
        (one for one in intervals.levels if one.coverage <= LEVEL),
        key=lambda one: one.coverage,
        default=intervals.levels[0],
    )
    return float(2 * half_widths(intervals, level, answers.predicted).mean())


def quantile(scores: np.ndarray, units: np.ndarray, coverage: float) -> float:
    """The bound that one more score like these keeps with a promised chance.

    Args:
        scores: the larger, the worse; shape (rows,).
        units: the group of each, from 0; the bound is the higher, the more alike a group's are.
        coverage: that chance.

    Returns:
        One of the scores; NaN where they are too few.
    """
    rows, ordered = len(scores), np.sort(scores)
    inside = scores <= ordered[math.ceil(coverage * rows) - 1]
    worth = independent_rows(inside, units)
    rank = math.ceil(rows * coverage * (worth + 1) / worth - 1e-9)
    return float(ordered[rank - 1]) if rank <= rows else math.nan


def independent_rows(inside: np.ndarray, units: np.ndarray) -> float:
    """How many independent rows tell as much of the share inside as these do.

    Args:
        inside: shape (rows,), bool.
        units: the group of each, from 0; rows of one group may be alike.

    Returns:
        By Kish's design effect: all rows where groups do not matter, and not less than if all
        rows of a group were one.
    """
    rows, sizes = len(inside), np.bincount(units).astype(float)
    groups = len(sizes)
    if groups == rows:
        return rows
    least = rows**2 / float(np.sum(sizes**2))
    spread = float(inside.var())
    if groups == 1 or spread == 0:
        return least
    excess = np.bincount(units, inside - inside.mean())
    effect = float(np.sum(excess**2)) * groups / (groups - 1) / rows / spread
    return max(rows / max(effect, 1.0), least)


def measure(intervals: Intervals, answers: Answers) -> dict[str, Any]:
    """Count how often the truth lies inside, for reports/metrics.json.

    Args:
        intervals: of `learn`.
        answers: those of the candidate on the holdout.

    Returns:
        `held`: the share that every level held, by the percent that it promised; and of `LEVEL`,
        where there is such a one: `level`, `coverage`, `mean_width` in the target's unit or
        `mean_size` of sets, and `groups`, where there are any.
    """
    report: dict[str, Any] = {"held": {}}
    for level in intervals.levels:
        inside, sizes = _inside(intervals, level, answers)
        report["held"][_percent(level)] = float(inside.mean())
        if level.coverage == LEVEL:
            size = "mean_width" if answers.probabilities is None else "mean_size"
            report |= {"level": LEVEL, "coverage": float(inside.mean())}
            report |= {size: float(sizes.mean())} | _by_group(inside, sizes, answers.units, size)
    return report | {"measured_rows": len(answers.actual)}


def with_measured(intervals: Intervals, report: Mapping[str, Any]) -> Intervals:
    """The intervals, each level with what `measure` reported of it."""
    levels = [
        level.model_copy(update={"measured": report["held"][_percent(level)]})
        for level in intervals.levels
    ]
    return intervals.model_copy(update={"levels": tuple(levels)})


def _percent(level: Level) -> str:
    return f"{100 * level.coverage:g}"


def _inside(intervals: Intervals, level: Level, answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row's truth lies inside; and how wide its interval, or large its set, is."""
    if answers.probabilities is not None:
        sets = members(level, answers.probabilities, answers.predicted)
        return sets[np.arange(len(sets)), answers.actual], sets.sum(axis=1)
    widths = half_widths(intervals, level, answers.predicted)
    return np.abs(answers.actual - answers.predicted) <= widths, 2 * widths


def _by_group(
    inside: np.ndarray, sizes: np.ndarray, units: np.ndarray, size: str
) -> dict[str, Any]:
    """`groups`, where there are any: how many, and of their coverages and sizes what is usual."""
    counts = np.bincount(units)
    if len(counts) == len(units):
        return {}
    shares = np.bincount(units, inside) / counts
    return {
        "groups": {
            "count": len(counts),
            "mean_coverage": float(np.mean(shares)),
            "nine_of_ten": float(np.quantile(shares, 0.1)),
            size: float(np.mean(np.bincount(units, sizes) / counts)),
        }
    }
