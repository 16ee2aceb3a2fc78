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


def open_graph(content: bytes, threads: int) -> Runtime:
    """Open a graph for prediction on this many cores (0: all)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads must leave the core to the server, and freed memory must go back to it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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
