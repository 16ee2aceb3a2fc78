"""The report as a page that needs nothing else."""

import base64
import io
from pathlib import Path

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure

from lifecycle.report.comparison import brief, seen
from lifecycle.report.subject import Subject
from stages.evaluation.plot_images import draw

FOLDER = Path(__file__).parent
FIGURES = {
    "residuals": "Residuals: actual minus predicted, on rows of the holdout",
    "confusion": "Confusion: how often each class was taken for each",
    "calibration": "Calibration: on the diagonal, a probability of 80 % comes true in 80 %",
    "importance": "Importance: how much worse it gets when a column is shuffled",
    "slices": "Worst slices: the parts of the holdout with the largest errors",
    "validation": "Validation: the split's own folds next to random ones",
}


def render(subject: Subject) -> str:
    """The report."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["brief"] = brief
    environment.filters["seen"] = seen
    figures = draw(subject.tables.plots, subject.tables.schema)
    images = [(FIGURES[name], image(figures[name])) for name in FIGURES if name in figures]
    return environment.get_template("report.html").render(subject=subject, images=images)


def image(figure: Figure) -> str:
    """A figure as the address of an image that holds it; the same figure, the same address."""
    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "report", "svg.fonttype": "none"}):
        figure.savefig(content, format="svg", bbox_inches="tight", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode()}"
