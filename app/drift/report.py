"""What counts say: a report that is the same for people, programs and a page."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.drift.counting import Counting
from app.drift.reference import Column, Counts
from app.drift.statistics import FALSE_ALARM_RATE, MINIMUM_ROWS, Comparison, compare

Json = dict[str, Any]


def report(counting: Counting, windows: Mapping[str, Counts], *, with_counts: bool) -> Json:
    """Compare each window with the rows of training.

    Args:
        counting: the cells.
        windows: the counts of each, shape (cells,).
        with_counts: give every cell, its count and the reference's, too.
    """
    return {
        "false_alarm_rate": FALSE_ALARM_RATE,
        "minimum_rows": MINIMUM_ROWS,
        "windows": {
            name: _window(counting, counts, with_counts) for name, counts in windows.items()
        },
    }


def _window(counting: Counting, counts: Counts, with_counts: bool) -> Json:
    columns = counting.reference.columns
    described = []
    for column, (begin, end) in zip(columns, counting.places, strict=True):
        compared = compare(column, counts[begin:end], len(columns))
        one = _described(compared)
        if with_counts:
            one |= _cells(column, counts[begin:end])
        described.append(one)
    *features, predictions = described
    return {
        "rows": predictions["rows"],
        "drifted": [
            column.name
            for column, one in zip(columns, described, strict=True)
            if one["verdict"] == "drifted"
        ],
        "features": {column.name: one for column, one in zip(columns[:-1], features, strict=True)},
        "predictions": predictions,
    }


def _described(compared: Comparison) -> Json:
    return {
        "rows": compared.rows,
        "psi": compared.psi,
        "jensen_shannon": compared.jensen_shannon,
        "wasserstein": compared.wasserstein,
        "missing": compared.missing,
        "unseen": compared.unseen,
        "verdict": compared.verdict,
        "reasons": compared.reasons,
    }


def _cells(column: Column, counts: Counts) -> Json:
    return {
        "cells": column.labels,
        "counts": np.asarray(counts).tolist(),
        "reference": list(column.counts),
    }
