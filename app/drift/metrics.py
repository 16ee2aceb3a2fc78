"""The report as Prometheus reads it."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

GAUGES = {
    "psi": "Population stability index of a column's values.",
    "jensen_shannon": "Jensen-Shannon distance of a column's values, 0 to 1.",
    "wasserstein": "How far a number moved on the mean, in its unit.",
    "missing": "Share of missing values.",
    "unseen": "Share of values that training did not see.",
}


def render(told: dict[str, Any], target: str) -> bytes:
    """Write a report.

    Args:
        told: of `app.drift.report.report`.
        target: what the predictions are called.
    """
    registry = CollectorRegistry()
    registry.register(_Collector(told, target))
    return generate_latest(registry)


class _Collector:
    def __init__(self, told: dict[str, Any], target: str) -> None:
        self._told = told
        self._target = target

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges; a column of too few rows has none."""
        rows = GaugeMetricFamily("serve_drift_rows", "Rows counted.", labels=["window"])
        drifted = _gauge("drifted", "1 where a column drifted beyond chance, else 0.")
        gauges = {name: _gauge(name, meaning) for name, meaning in GAUGES.items()}
        for window, one in self._told["windows"].items():
            rows.add_metric([window], one["rows"])
            if one["rows"] < self._told["minimum_rows"]:
                continue
            columns = {**one["features"], f"prediction of {self._target}": one["predictions"]}
            for column, compared in columns.items():
                drifted.add_metric([column, window], compared["verdict"] == "drifted")
                for name, gauge in gauges.items():
                    if compared[name] is not None:
                        gauge.add_metric([column, window], compared[name])
        yield from (rows, drifted, *gauges.values())
        yield from self._truth()

    def _truth(self) -> Iterator[GaugeMetricFamily]:
        """The live error, and the holdout's as the window `holdout`."""
        told = self._told["truth"]
        meaning = "Error against the truth that was told, and on the holdout."
        error = GaugeMetricFamily("serve_error", meaning, labels=["metric", "window"])
        rows = GaugeMetricFamily("serve_truth_rows", "Truths joined.", labels=["window"])
        for window, one in {**told["windows"], "holdout": told["holdout"]}.items():
            if "rows" in one:
                rows.add_metric([window], one["rows"])
            for metric in ("mae", "rmse", "accuracy", "coverage"):
                if metric in one:
                    error.add_metric([metric, window], one[metric])
        yield from (rows, error)


def _gauge(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"serve_drift_{name}", meaning, labels=["column", "window"])
