import numpy as np
import pandas as pd

from stages.figures import draw
from stages.plots import calibration, labels, residuals, validation
from tests.stages.test_schema import SCHEMA


def test_every_table_given_is_drawn_with_its_values() -> None:
    report = {"honest": {"mean": {"f1": 0.5}}, "flattering": {"mean": {"f1": 0.7}}}
    bars = pd.DataFrame({"feature": ["a", "b"], "importance": [2.0, 1.0], "deviation": 0.1})
    slices = pd.DataFrame({"slice": ["a = 1"], "rows": 10, "error": 0.5, "ratio": 2.0})
    figures = draw(
        {
            "importance": bars,
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
