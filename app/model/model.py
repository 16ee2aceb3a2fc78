"""A verified model: the folder that the deploy stage wrote, ready to answer."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson

if TYPE_CHECKING:
    import pyarrow as pa

from app.model.manifest import Class, Example, Manifest
from app.model.records import RecordPacker
from app.model.runtime import Arrays, Floats, Packed, Runtime, open_graph

# Rows that one thread scores in one go: enough to be worth it, few enough to share out well.
ROWS_PER_CALL = 4_096
# The stored answers of the self-test have nine significant digits.
STORED_DIGITS = 1e-9


class ModelError(Exception):
    """A model folder that must not be served; the text says why."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answers, in row order.

    Attributes:
        values: float64 numbers, or for a classification the labels (dtype object).
        probabilities: float64, shape (rows, classes), columns as in the manifest's `classes`;
            None for a regression, or where the estimator has none.
    """

    values: npt.NDArray[Any]
    probabilities: Floats | None = None


class Model:
    """A model that passed its checks.

    Attributes:
        manifest: what the deploy stage wrote about it.
        version: the folder's name: in a server's cache, the md5 that `dvc.lock` names.
        name_and_version: both as JSON, as every reply has them.
        packer: packs JSON records for it.
        gives_probabilities: whether its predictions have any.
    """

    def __init__(self, manifest: Manifest, version: str, runtime: Runtime, threads: int) -> None:
        self.manifest = manifest
        self.version = version
        self.name_and_version = orjson.dumps({"name": manifest.name, "version": version})
        self.packer = RecordPacker(manifest.features)
        self.gives_probabilities = manifest.example.probabilities is not None
        self._runtime = runtime
        self._pool = ThreadPoolExecutor(threads, "predict") if threads > 1 else None
        self._classes = np.empty(len(manifest.classes), object)
        self._classes[:] = manifest.classes

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> "Model":
        """Verify a model folder's file against its manifest, then open those very bytes.

        Args:
            folder: holds `manifest.json` and the file that it names.
            threads: cores that one prediction may use.

        Raises:
            ModelError: the file is not the one that the manifest describes.
        """
        manifest = Manifest.read(folder)
        path = folder / manifest.file
        if path.parent != folder:
            raise ModelError(f"{folder.name}: the manifest names a file outside: {manifest.file!r}")
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != manifest.sha256:
            raise ModelError(
                f"{path} has sha256 {found}, the manifest says {manifest.sha256}: the file was "
                "changed after it was deployed. Delete the folder, then pull or deploy again."
            )
        runtime = _open_runtime(manifest, content)
        return cls(manifest, folder.name, runtime, threads)

    def predict(self, rows: Packed) -> Prediction:
        """Answer packed rows, in order; no rows, no answers."""
        values, probabilities = (
            self._runtime(rows) if len(rows) <= ROWS_PER_CALL else self._in_parts(rows)
        )
        if self.manifest.task == "classification":
            values = self._classes[values]
        return Prediction(values, probabilities)

    def _in_parts(self, rows: Packed) -> Arrays:
        slices = [
            Packed(
                rows.numeric[start : start + ROWS_PER_CALL],
                rows.categorical[start : start + ROWS_PER_CALL],
            )
            for start in range(0, len(rows), ROWS_PER_CALL)
        ]
        run = self._pool.map if self._pool else map
        parts = list(run(self._run_sorted, slices))
        probabilities = [part[1] for part in parts if part[1] is not None]
        return (
            np.concatenate([part[0] for part in parts]),
            np.concatenate(probabilities) if probabilities else None,
        )

    def _run_sorted(self, rows: Packed) -> Arrays:
        """Run rows in an order that puts alike ones side by side.

        They take the same branches of a tree, which the processor then predicts: a third less
        time for a large table. Every row's answer is its own, so the order changes none.
        """
        order = np.lexsort([*rows.numeric.T[:1], *rows.categorical.T])
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        values, probabilities = self._runtime(Packed(rows.numeric[order], rows.categorical[order]))
        return values[back], (None if probabilities is None else probabilities[back])

    def predict_table(self, table: "pa.Table") -> Prediction:
        """Answer a table that holds the raw columns by name; see `app.model.packing.pack`."""
        # A server of JSON alone need not wait for Arrow's import.
        from app.model.packing import pack

        return self.predict(pack(table, self.manifest.features))

    def self_test(self) -> None:
        """Answer the stored example and compare.

        Raises:
            ModelError: the answer is not the stored one.
        """
        example = self.manifest.example
        prediction = self.predict(self.packer.pack([example.record]))
        value: Class = prediction.values.tolist()[0]
        wrong = ModelError(
            f"Model {self.version} fails its self-test: the stored answer to its example is "
            f"{example.prediction!r}, this machine answers {value!r}."
        )
        if self.manifest.task == "regression":
            if not self._near(np.array([value]), np.array([example.prediction])):
                raise wrong
        elif value != example.prediction or not self._same_probabilities(prediction, example):
            raise wrong

    def _same_probabilities(self, prediction: Prediction, example: Example) -> bool:
        if prediction.probabilities is None or example.probabilities is None:
            return prediction.probabilities is None and example.probabilities is None
        return self._near(prediction.probabilities[0], np.array(example.probabilities))

    def _near(self, found: npt.NDArray[Any], stored: npt.NDArray[Any]) -> bool:
        tolerance = max(self.manifest.parity.tolerance, STORED_DIGITS)
        allowed = tolerance * np.maximum(np.abs(stored), 1)
        return bool(np.all(np.abs(found - stored) <= allowed))


def _open_runtime(manifest: Manifest, content: bytes) -> Runtime:
    if manifest.runtime == "pycaret":
        # Needs the training environment, which a server of ONNX models does not have.
        from app.model.pycaret_runtime import open_pipeline

        return open_pipeline(manifest, content)
    return open_graph(content)
