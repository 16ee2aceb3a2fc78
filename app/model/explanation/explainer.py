"""Explains answers from the artefact alone: from a file that the deploy stage wrote for it.

The file is an `.npz` of plain arrays: the background rows, packed, as `numeric` and
`categorical`; and, where the model is a sum of trees and linear terms over columns that are
computed from one feature each, the arrays of `Terms`, the `kind` of their scores, and as bytes
the `graph` from the packed inputs to the columns, `matrix`.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from threading import Lock

import numpy as np

from app.model.explanation.calls import Calls
from app.model.explanation.result import Answer, Explanation, joined
from app.model.explanation.sums import Sums
from app.model.manifest import Feature
from app.model.runtime import Packed

Map = Callable[[Callable[[Packed], Explanation], Iterable[Packed]], Iterable[Explanation]]


class Explainer:
    """Explains one model's answers.

    What takes memory is made when the first explanation is asked for, so that a server which
    only predicts does without.
    """

    def __init__(self, content: bytes, features: Sequence[Feature], answer: Answer) -> None:
        """Keep what is needed to begin.

        Args:
            content: the file.
            features: the model's, in packing order.
            answer: the model.
        """
        self._content = content
        self._features = features
        self._answer = answer
        self._lock = Lock()
        self._method: Sums | Calls | None = None

    def explain(self, rows: Packed, run: Map = map) -> Explanation:
        """Explain the answers to packed rows, at least one.

        Args:
            rows: the rows.
            run: `map`, or that of a pool whose threads share the work.
        """
        method = self.method
        slices = (
            Packed(
                rows.numeric[start : start + method.rows],
                rows.categorical[start : start + method.rows],
            )
            for start in range(0, len(rows), method.rows)
        )
        return joined(list(run(method.explain, slices)))

    @property
    def is_open(self) -> bool:
        """Whether what takes memory is made."""
        return self._method is not None

    @property
    def method(self) -> Sums | Calls:
        """How this model is explained."""
        with self._lock:
            if self._method is None:
                self._method = self._open()
            return self._method

    def _open(self) -> Sums | Calls:
        with np.load(io.BytesIO(self._content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        background = Packed(arrays.pop("numeric"), arrays.pop("categorical"))
        names = tuple(feature.name for feature in self._features)
        if "graph" in arrays:
            return Sums(arrays, background, names, self._answer)
        numeric = [i for i, one in enumerate(self._features) if one.kind != "category"]
        categorical = [i for i, one in enumerate(self._features) if one.kind == "category"]
        place = np.argsort([*numeric, *categorical]).tolist()
        return Calls(background, names, place, self._answer)
