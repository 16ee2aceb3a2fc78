"""The fallback runtime: a fitted PyCaret pipeline, for what no graph can express.

Imported only for a manifest that says `runtime: pycaret`, after the file's sha256 was
verified, since opening a pickle runs what is in it. Needs the training environment.
"""

import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from app.model.manifest import Interface
from app.model.runtime import Runtime

Inputs = Mapping[str, npt.NDArray[Any]]

# What pandas' dates can hold, in microseconds that float64 tells apart; a moment beyond, such as
# the year 9999, becomes the first or the last of them.
MOMENTS = (pd.Timestamp.min.value // 1000 + 2, pd.Timestamp.max.value // 1000 - 2)
# Stands for every category that training did not see.
UNSEEN = "\N{REPLACEMENT CHARACTER} unseen"


def open_pipeline(interface: Interface, content: bytes) -> Runtime:
    """Open `{"pipeline": Pipeline, "columns": [str]}`, one column name per feature."""
    saved = pickle.loads(content)  # noqa: S301 (verified by the caller)
    pipeline, columns = saved["pipeline"], saved["columns"]
    gives_probabilities = interface.task == "classification" and hasattr(pipeline, "predict_proba")

    def run(inputs: Inputs) -> list[npt.NDArray[Any]]:
        frame = _frame(inputs, interface, columns)
        outputs = [np.asarray(pipeline.predict(frame)).reshape(len(frame))]
        if gives_probabilities:  # some libraries give float32, or columns one after the other
            outputs.append(np.ascontiguousarray(pipeline.predict_proba(frame), dtype=np.float64))
        return outputs

    return Runtime(run, gives_probabilities)


def _frame(inputs: Inputs, interface: Interface, columns: list[str]) -> pd.DataFrame:
    """Unpack to the frame that the pipeline was fitted on."""
    numeric, categorical = (
        iter(inputs[name].T if name in inputs else ()) for name in ("numeric", "categorical")
    )
    rows = len(next(iter(inputs.values())))
    frame: dict[str, object] = {}
    for feature, column in zip(interface.features, columns, strict=True):
        if feature.kind == "category":
            texts = np.array([*feature.categories, UNSEEN, np.nan], object)
            frame[column] = texts[next(categorical)]
        elif feature.kind == "date":
            seconds = next(numeric)
            missing = np.isnan(seconds)
            microseconds = (np.where(missing, 0, seconds) * 1e6).round().clip(*MOMENTS)
            dates = (microseconds.astype(np.int64) * 1000).view("datetime64[ns]")
            frame[column] = np.where(missing, np.datetime64("NaT", "ns"), dates)
        else:
            frame[column] = next(numeric)
    return pd.DataFrame(frame, index=range(rows))
