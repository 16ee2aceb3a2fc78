"""What runs a model's arithmetic: ONNX Runtime, with the settings that a server needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Packed:
    """The rows of one request, as the model takes them.

    Attributes:
        numeric: float64, shape (rows, n); NaN where missing. Dates in seconds since 1970 UTC.
        categorical: int64 codes, shape (rows, m).
    """

    numeric: Floats
    categorical: Codes

    def __len__(self) -> int:
        return len(self.numeric)


# Numbers, or indices into the manifest's classes; and probabilities, where there are any.
Arrays = tuple[npt.NDArray[Any], Floats | None]
Runtime = Callable[[Packed], Arrays]


def open_graph(content: bytes) -> Runtime:
    """Open a graph for prediction on the calling thread alone; several may call at once."""
    options = ort.SessionOptions()
    # Waking other threads costs a single row more than they give; rows by the thousand are
    # shared out by who calls.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Memory of a large call must go back to the server.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    inputs = {argument.name for argument in session.get_inputs()}
    available = {argument.name for argument in session.get_outputs()}
    outputs = [name for name in ("prediction", "label", "probabilities") if name in available]
    takes_numeric, takes_categorical = "numeric" in inputs, "categorical" in inputs

    def run(rows: Packed) -> Arrays:
        feed: dict[str, npt.NDArray[Any]] = {}
        if takes_numeric:
            feed["numeric"] = rows.numeric
        if takes_categorical:
            feed["categorical"] = rows.categorical
        answer, *probabilities = session.run(outputs, feed)
        return answer, (probabilities[0] if probabilities else None)

    return run
