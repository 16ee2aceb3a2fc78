"""What runs a model's arithmetic: ONNX Runtime, with the settings that a server needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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


@dataclass(frozen=True, slots=True)
class Runtime:
    """Opened arithmetic; several threads may run it at once.

    Attributes:
        run: takes the packed inputs by name, those that the model has; gives numbers or indices
            into the classes, and then probabilities, where there are any.
        gives_probabilities: whether there are.
    """

    run: Callable[[dict[str, npt.NDArray[Any]]], Sequence[npt.NDArray[Any]]]
    gives_probabilities: bool


def open_session(content: bytes) -> ort.InferenceSession:
    """Open a graph that runs on the calling thread alone; several may run it at once."""
    options = ort.SessionOptions()
    # Waking other threads costs a single row more than they give; rows by the thousand are
    # divided among threads by the caller.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Memory of a large call must go back to the server.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def open_graph(content: bytes) -> Runtime:
    """Open a graph for prediction."""
    session = open_session(content)
    available = {output.name for output in session.get_outputs()}
    outputs = [name for name in ("prediction", "label", "probabilities") if name in available]
    return Runtime(partial(session.run, outputs), "probabilities" in available)
