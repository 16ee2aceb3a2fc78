"""A verified model: the file that the deploy stage wrote, ready to answer."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

if TYPE_CHECKING:
    import pyarrow as pa

from app.errors import Problem
from app.model import conformal
from app.model.explanation.explainer import Explainer
from app.model.explanation.result import Explanation, nothing
from app.model.manifest import Class, Example, Interface, Manifest
from app.model.nearness import largest_difference
from app.model.records import RecordPacker
from app.model.runtime import Floats, Packed, Runtime, open_graph

# Rows that one thread answers in one call: few enough that all threads finish at about the same
# time; no more than the smaller number, and a second thread is not worth it.
ROWS_PER_CALL = 4_096
ROWS_ALONE = 512
# The stored answers of the self-test have nine significant digits.
STORED_DIGITS = 1e-9

Outputs = tuple[npt.NDArray[Any], Floats | None]


class ModelError(Exception):
    """A model that must not be served; the text says why."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What is to be told beside the predictions.

    Attributes:
        probabilities: of each class.
        interval: the share of the truths that lie in intervals around the answers; None: no
            intervals.
        explain: what each column contributes.
    """

    probabilities: bool = False
    interval: float | None = None
    explain: bool = False


class Prediction(NamedTuple):
    """The answers, in row order.

    Attributes:
        values: float64 numbers, or for a classification the labels (dtype object).
        probabilities: float64, shape (rows, classes), columns as in the interface's `classes`;
            None for a regression, or where the estimator has none.
        interval: how sure the answers are, where that was asked for.
        explanation: why the answers are what they are, where that was asked for.
    """

    values: npt.NDArray[Any]
    probabilities: Floats | None = None
    interval: conformal.Interval | None = None
    explanation: Explanation | None = None


class Model:
    """A model whose files are those that its interface describes.

    Attributes:
        interface: what goes in and what comes out.
        version: in a server, the md5 that `dvc.lock` names.
        name_and_version: both as JSON, as every reply has them.
        packer: packs JSON records for it.
        gives_probabilities: whether its predictions have any.
        explainer: explains its answers; None where it was deployed without.
    """

    def __init__(
        self,
        interface: Interface,
        content: bytes,
        version: str = "draft",
        threads: int = 1,
        explanation: bytes | None = None,
    ) -> None:
        """Verify a model's files, then open those very bytes.

        Args:
            interface: says what the file is.
            content: the file.
            version: its name for replies and messages.
            threads: cores that one prediction may use.
            explanation: the file that answers are explained with, where the model has one.

        Raises:
            ModelError: a file is not the one that the interface describes.
        """
        verify(content, interface.file, interface.sha256, version)
        self.interface = interface
        self.version = version
        self.name_and_version = orjson.dumps({"name": interface.name, "version": version})
        self.packer = RecordPacker(interface.features)
        self._runtime = _open_runtime(interface, content)
        self.gives_probabilities = self._runtime.gives_probabilities
        kinds = {feature.kind for feature in interface.features}
        self._has_numeric, self._has_categorical = bool(kinds - {"category"}), "category" in kinds
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "predict") if threads > 1 else None
        self._classes = np.empty(len(interface.classes), object)
        self._classes[:] = interface.classes
        self.explainer: Explainer | None = None
        if interface.explanation is not None and explanation is not None:
            described = interface.explanation
            verify(explanation, described.file, described.sha256, version)
            self.explainer = Explainer(explanation, interface.features, self._run)

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> "Model":
        """Open a model folder, whose name becomes the version.

        Raises:
            ModelError: its files are not those that its manifest describes.
        """
        manifest = Manifest.read(folder)
        content, explanation = _read(folder, manifest.file), None
        if manifest.explanation is not None:
            explanation = _read(folder, manifest.explanation.file)
        return cls(manifest, content, folder.name, threads, explanation)

    def predict(self, rows: Packed) -> Prediction:
        """Answer packed rows, in order; no rows, no answers."""
        values, probabilities = self._run_all(rows)
        return Prediction(self._told(values), probabilities)

    def check(self, extras: Extras) -> None:
        """Refuse what the model cannot tell.

        Raises:
            Problem: says what.
        """
        if extras.probabilities and not self.gives_probabilities:
            raise Problem("no-probabilities", "This model gives no probabilities.")
        if extras.interval is not None:
            conformal.level_of(self.interface.intervals, extras.interval)
        if extras.explain and self.explainer is None:
            raise Problem(
                "no-explanations",
                "This model explains nothing: it was deployed without background rows "
                "(deploy.explain is none).",
            )

    def answer(self, rows: Packed, extras: Extras) -> Prediction:
        """Answer packed rows as `predict` does, with what is to be told beside.

        Raises:
            Problem: the model cannot tell it.
        """
        self.check(extras)
        explanation = None
        if extras.explain:
            explanation = self.explain(rows) if len(rows) else nothing(self.interface.features)
        values, probabilities = self._run_all(rows)
        interval = None
        if extras.interval is not None:
            interval = self._interval(extras.interval, values, probabilities)
        return Prediction(
            self._told(values),
            probabilities if extras.probabilities else None,
            interval,
            explanation,
        )

    def _interval(
        self, coverage: float, values: npt.NDArray[Any], probabilities: Floats | None
    ) -> conformal.Interval:
        intervals = self.interface.intervals
        assert intervals is not None  # noqa: S101 (check() refuses it)
        level = conformal.level_of(intervals, coverage)
        if probabilities is None:
            widths = conformal.half_widths(intervals, level, values)
            return conformal.Interval(coverage, level.measured, values - widths, values + widths)
        inside = conformal.members(level, probabilities, values)
        sets = np.fromiter((self._classes[row].tolist() for row in inside), object, len(inside))
        return conformal.Interval(coverage, level.measured, sets=sets)

    def _told(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Give labels for a classification's indices."""
        return self._classes[values] if self.interface.task == "classification" else values

    def explain(self, rows: Packed) -> Explanation:
        """Explain the answers to packed rows, at least one.

        Raises:
            Problem: there is nothing to explain them with.
        """
        self.check(Extras(explain=True))
        assert self.explainer is not None  # noqa: S101 (checked)
        return self.explainer.explain(rows, self._pool.map if self._pool else map)

    def _run_all(self, rows: Packed) -> Outputs:
        return self._run(rows) if len(rows.numeric) <= ROWS_ALONE else self._run_in_parts(rows)

    def _run(self, rows: Packed) -> Outputs:
        inputs: dict[str, npt.NDArray[Any]] = {}
        if self._has_numeric:
            inputs["numeric"] = rows.numeric
        if self._has_categorical:
            inputs["categorical"] = rows.categorical
        values, *probabilities = self._runtime.run(inputs)
        return values, (probabilities[0] if probabilities else None)

    def _run_in_parts(self, rows: Packed) -> Outputs:
        share = -(-len(rows) // self._threads)
        size = min(ROWS_PER_CALL, max(ROWS_ALONE, share))
        slices = [
            Packed(rows.numeric[start : start + size], rows.categorical[start : start + size])
            for start in range(0, len(rows), size)
        ]
        run = self._pool.map if self._pool else map
        parts = list(run(self._run_sorted, slices))
        probabilities = [part[1] for part in parts if part[1] is not None]
        return (
            np.concatenate([part[0] for part in parts]),
            np.concatenate(probabilities) if probabilities else None,
        )

    def _run_sorted(self, rows: Packed) -> Outputs:
        """Run rows in an order that puts similar ones side by side.

        They take the same branches of a tree, which the processor then predicts: a third less
        time for a large table. Every row's answer is its own, so the order changes none.
        """
        order = np.lexsort([*rows.numeric.T[:1], *rows.categorical.T])
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        values, probabilities = self._run(Packed(rows.numeric[order], rows.categorical[order]))
        return values[back], (None if probabilities is None else probabilities[back])

    def predict_table(self, table: "pa.Table") -> Prediction:
        """Answer a table that holds the raw columns by name; see `app.model.packing.pack`."""
        # A server of JSON alone need not wait for Arrow's import.
        from app.model.packing import pack

        return self.predict(pack(table, self.interface.features))

    def self_test(self, example: Example, tolerance: float) -> None:
        """Answer the stored example and compare.

        Args:
            example: a record, and what it was answered when the model was deployed.
            tolerance: how far the answer may be from that one; see `app.model.nearness`.

        Raises:
            ModelError: it is farther away, or another class.
        """
        prediction = self.predict(self.packer.pack([example.record]))
        value: Class = prediction.values.tolist()[0]
        tolerance = max(tolerance, STORED_DIGITS)
        if self.interface.task == "regression":
            passes = largest_difference([example.prediction], [value]) <= tolerance
        else:
            passes = value == example.prediction and _same_probabilities(
                example.probabilities, prediction.probabilities, tolerance
            )
        if not passes:
            raise ModelError(
                f"Model {self.version} fails its self-test: the stored answer to its example is "
                f"{example.prediction!r}, this machine answers {value!r}."
            )


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if path.parent != folder:
        raise ModelError(f"{folder.name}: the manifest names a file outside: {name!r}")
    return path.read_bytes()


def verify(content: bytes, name: str, sha256: str, version: str) -> None:
    """Compare a file with what the manifest says of it.

    Raises:
        ModelError: it is another.
    """
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise ModelError(
            f"Model {version}: {name} has sha256 {actual}, the manifest says {sha256}: the file "
            "was changed after it was deployed. Delete the folder, then pull or deploy again."
        )


def _same_probabilities(
    stored: tuple[float, ...] | None, answered: Floats | None, tolerance: float
) -> bool:
    if stored is None or answered is None:
        return stored is None and answered is None
    return largest_difference([stored], answered) <= tolerance


def _open_runtime(interface: Interface, content: bytes) -> Runtime:
    if interface.runtime == "pycaret":
        # Needs the training environment, which a server of ONNX models does not have.
        from app.model.pycaret_runtime import open_pipeline

        return open_pipeline(interface, content)
    return open_graph(content)
