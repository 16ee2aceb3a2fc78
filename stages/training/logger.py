"""PyCaret's events as MLflow runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pycaret.loggers.base_logger import BaseLogger

from stages.tracking import Tracking


class PyCaretLogger(BaseLogger):
    """PyCaret's events as MLflow runs: `setup` on the parent, one nested run an estimator.

    PyCaret's own MLflow logger reaches into a private list that MLflow no longer has; this one
    uses the public client. Source of the hooks: `pycaret.loggers.base_logger`.
    """

    def __init__(self, tracking: Tracking, parent: str | None) -> None:
        self.tracking = tracking
        self.parent = parent
        self.run: str | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "PyCaretLogger":
        """PyCaret copies its experiment; the copies write to the same runs."""
        return self

    def init_experiment(
        self, exp_name_log: str, full_name: str | None = None, setup: bool = True, **_: Any
    ) -> None:
        """Open the nested run of an estimator."""
        self.run = self.parent
        if not setup:
            self.run = self.tracking.start(full_name or exp_name_log, {}, parent=self.parent)

    def log_params(self, params: Mapping[str, Any], model_name: str | None = None) -> None:
        """Write the estimator's hyperparameters, or the setup's settings."""
        prefix = "setup." if self.run == self.parent else ""
        clean = {prefix + _clean(key): value for key, value in params.items()}
        self.tracking.log(self.run, params=clean)

    def log_metrics(self, metrics: Mapping[str, float], source: str | None = None) -> None:
        """Write the means over the folds."""
        means = {f"folds/{_clean(key)}": value for key, value in metrics.items()}
        self.tracking.log(self.run, metrics=means)

    def set_tags(self, source: str, experiment_custom_tags: Any, runtime: float, **_: Any) -> None:
        """Say which PyCaret step made the run."""
        if self.run != self.parent:
            self.tracking.log(self.run, tags={"step": source}, metrics={"seconds": runtime})

    def log_artifact(self, file: str, type: str = "artifact") -> None:  # noqa: A002 - PyCaret's name
        """Store PyCaret's tables; its pickles are DVC's business."""
        if Path(file).suffix == ".html":
            self.tracking.log_file(self.run, Path(file))

    def log_hpram_grid(self, html_file: str, title: str = "hpram_grid") -> None:
        """Store the table of a search's trials."""
        self.tracking.log_file(self.run, Path(html_file))

    def log_sklearn_pipeline(
        self, experiment: Any, prep_pipe: Any, model: Any, path: str | None = None
    ) -> None:
        """Write the score of each fold as a step of the metric."""
        for entry in reversed(experiment._master_model_container):
            if _same(entry["model"], model):
                folds = entry["scores"].drop(index=["Mean", "Std"], errors="ignore")
                for step, row in enumerate(folds.to_dict("records")):
                    metrics = {f"each fold/{_clean(key)}": value for key, value in row.items()}
                    self.tracking.log(self.run, metrics=metrics, step=step)
                return

    def finish_experiment(self) -> None:
        """Close the nested run."""
        if self.run is not None and self.run != self.parent:
            self.tracking.finish(self.run)
            self.run = self.parent


def _same(one: Any, other: Any) -> bool:
    """Whether two estimators are of one kind with the same hyperparameters."""
    return type(one) is type(other) and str(one) == str(other)


def _clean(name: str) -> str:
    """A name that MLflow accepts for params and metrics."""
    return "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in name)
