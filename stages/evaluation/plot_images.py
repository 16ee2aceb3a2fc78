"""The plot tables as Matplotlib figures, for a reader of MLflow."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.schema import Schema

TOP = 20  # features shown; beyond as many labels, a count no longer fits its square


def draw(tables: Mapping[str, pd.DataFrame], schema: Schema) -> dict[str, Figure]:
    """One figure for each table given, by the table's name (`labels` as `confusion`)."""
    figures = {}
    for name, table in tables.items():
        if name == "importance":
            top = table.head(TOP)
            figures[name], axes = bars(top["feature"], top["importance"], top["deviation"])
            axes.set_xlabel("permutation importance")
        elif name == "slices":
            figures[name], axes = bars(table["slice"], table["error"])
            axes.set_xlabel("RMSE" if schema.task == "regression" else "share of wrong labels")
        elif name == "validation":
            figures[name], axes = bars(table["folds"], table["value"])
            axes.set_xlabel(str(table["metric"].iloc[0]))
        elif name == "residuals":
            figures[name], axes = blank()
            axes.axhline(0, color="0.6", linewidth=1)
            axes.scatter(table["predicted"], table["residual"], s=6)
            axes.set_xlabel(plain(f"predicted {schema.target}"))
            axes.set_ylabel("actual - predicted")
        elif name == "calibration":
            figures[name], axes = blank()
            axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
            axes.plot(table["predicted"], table["observed"], marker="o")
            axes.set_xlabel("predicted probability")
            axes.set_ylabel("observed share")
        elif name == "labels":
            figures["confusion"] = confusion(table)
    return figures


def blank(width: float = 7, height: float = 5) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes; inches."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def plain(text: object) -> str:
    """A user's text as it is: between two dollar signs, Matplotlib reads a formula."""
    return str(text).replace("$", r"\$")


def bars(
    names: pd.Series, values: pd.Series, deviations: pd.Series | None = None
) -> tuple[Figure, Axes]:
    """Horizontal bars, the first on top."""
    figure, axes = blank(height=0.35 * len(names) + 1)
    axes.barh(range(len(names)), values, xerr=deviations)
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.invert_yaxis()
    return figure, axes


def confusion(table: pd.DataFrame) -> Figure:
    """Counts of actual against predicted labels."""
    counts = pd.crosstab(table["actual"], table["predicted"])
    figure, axes = blank(6, 5)
    axes.imshow(counts, cmap="Blues")
    axes.set_xticks(range(counts.shape[1]), [plain(label) for label in counts.columns])
    axes.set_yticks(range(counts.shape[0]), [plain(label) for label in counts.index])
    if max(counts.shape) <= TOP:
        for (row, column), count in np.ndenumerate(counts.to_numpy()):
            colour = "white" if 2 * count > counts.to_numpy().max() else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    return figure
