import io
import string

import numpy as np
import pandas as pd

from stages.evaluation.plot_images import draw
from stages.evaluation.plot_tables import calibration, labels, residuals, validation
from tests.stages.test_schema import SCHEMA


def features(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"feature": names, "importance": range(len(names), 0, -1), "deviation": 0})


def test_every_table_given_is_drawn_with_its_values() -> None:
    report = {"honest": {"mean": {"f1": 0.5}}, "flattering": {"mean": {"f1": 0.7}}}
    slices = pd.DataFrame({"slice": ["a = 1"], "rows": 10, "error": 0.5, "ratio": 2.0})
    figures = draw(
        {
            "importance": features(["a", "b"]),
            "slices": slices,
            "validation": validation(report, "group", "f1"),
            "residuals": residuals(np.array([1.0, 2.0]), np.array([1.0, 3.0])),
            "calibration": calibration(np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]])),
            "labels": labels(np.array([0, 1, 1]), np.array([0, 1, 0]), SCHEMA),
        },
        SCHEMA,
    )
    widths = {
        name: [bar.get_width() for bar in figures[name].axes[0].patches]
        for name in ("importance", "slices", "validation")
    }
    assert widths == {"importance": [2.0, 1.0], "slices": [0.5], "validation": [0.5, 0.7]}
    points = figures["residuals"].axes[0].collections[0].get_offsets()
    assert np.asarray(points).tolist() == [[1.0, 0.0], [3.0, -1.0]]
    assert figures["calibration"].axes[0].lines[1].get_ydata().tolist() == [0.0, 1.0]
    assert [text.get_text() for text in figures["confusion"].axes[0].texts] == ["1", "0", "1", "1"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw({}, SCHEMA) == {}


def test_a_users_names_are_no_formulas() -> None:
    names = ["$\\oops$", "a $ b", "", "1", "line\nbreak"]
    figure = draw({"importance": features(names)}, SCHEMA)["importance"]
    figure.savefig(io.BytesIO(), format="png")
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        name.replace("$", "\\$") for name in names
    ]


def test_a_hundred_labels_are_coloured_squares() -> None:
    names = np.array([a + b for a in string.ascii_lowercase for b in "wxyz"], dtype=object)
    table = pd.DataFrame({"actual": names, "predicted": names})
    figure = draw({"labels": table}, SCHEMA)["confusion"]
    figure.savefig(io.BytesIO(), format="png")
    assert len(figure.axes[0].texts) == 0
    assert figure.axes[0].images[0].get_array().trace() == len(names)
