"""What a person reads of a training in MLflow: the run's name, and a page about it."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

# The parameters that are another estimator, which is wrapped
WRAPPED = ("estimator", "classifier", "regressor")
LIBRARIES = {"lightgbm", "xgboost", "catboost"}
ENDINGS = ("Regressor", "Classifier")


def title(estimator: Any) -> str:
    """A fitted estimator in a word, such as `lightgbm+xgboost` for a blend of the two."""
    parameters = estimator.get_params(deep=False)
    if "estimators" in parameters:
        return "+".join(title(member) for _, member in parameters["estimators"])
    for name in WRAPPED:
        if hasattr(parameters.get(name), "fit"):
            return title(parameters[name])
    library = type(estimator).__module__.split(".")[0]
    if library in LIBRARIES:
        return library
    word = type(estimator).__name__
    for ending in ENDINGS:
        word = word.removesuffix(ending)
    return word.lower()


def page(leaderboard: pd.DataFrame, tags: Mapping[str, str], report: Mapping[str, Any]) -> str:
    """A training in Markdown: the holdout, the leaderboard, and where it comes from.

    Args:
        leaderboard: of the candidate, best first.
        tags: of the run.
        report: reports/metrics.json, or nothing as long as there is none.
    """
    parts = []
    if report:
        parts.append("### On the holdout\n\n" + _holdout(report))
    metrics = [name for name in leaderboard.columns if f"{name} std" in leaderboard.columns]
    rows = [["estimator", "step", *metrics]]
    rows += [
        [row["estimator"], row["step"], *(f"{row[name]:.5g}" for name in metrics)]
        for row in leaderboard.to_dict("records")
    ]
    parts.append("### Leaderboard (means over the folds)\n\n" + markdown(rows))
    origin = {
        "commit": tags.get("mlflow.source.git.commit"),
        "DVC experiment": tags.get("dvc.experiment"),
        "data": tags.get("data_md5"),
        "prepared": tags.get("prepared_md5"),
    }
    parts.append(
        "### Where it comes from\n\n"
        + "\n".join(f"- {name} `{value}`" for name, value in origin.items() if value)
        + "\n\nPlots and tables are under *Artifacts*. One nested run for each estimator."
    )
    return "\n\n".join(parts) + "\n"


def _holdout(report: Mapping[str, Any]) -> str:
    baselines = report["baseline"]
    rows = [["metric", "model", "95 % interval", *baselines]]
    for metric, value in report["model"].items():
        ends = report["interval"].get(metric)
        between = f"{ends['low']:.5g} to {ends['high']:.5g}" if ends else ""
        others = [f"{one[metric]:.5g}" if metric in one else "" for one in baselines.values()]
        rows.append([metric, f"**{value:.5g}**", between, *others])
    return markdown(rows)


def plain(text: str) -> str:
    """A user's text as it is, in a cell of Markdown."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def markdown(rows: list[list[str]]) -> str:
    """A table in Markdown; the first row heads it."""
    head, *body = ([plain(cell) for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body))
