"""Writes what the server explains answers with (see `app.model.explanation.explainer`)."""

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from app.model.explanation.terms import Terms
from app.model.manifest import ExplanationFile
from app.model.packing import pack
from app.model.runtime import Packed
from stages.deployment.background import background
from stages.onnx_writer.parts import Parts, take_apart
from stages.params import Params
from stages.schema import Schema

FILE = "explanation.npz"

# Bits that the server would keep of long paths, a byte each; beyond, it asks the model instead.
MAX_BITS = 200_000_000


def explain(
    pipeline: Any, frame: pd.DataFrame, schema: Schema, params: Params
) -> tuple[ExplanationFile, bytes]:
    """The file that answers are explained with, as the manifest describes it.

    Args:
        pipeline: the fitted pipeline.
        frame: the prepared rows.
        schema: the tables' schema.
        params: not with `deploy.explain: none`.
    """
    kind: Any = params.deploy.explain
    rows = background(frame, schema, kind, params.base.seed)
    packed = pack(pa.Table.from_pandas(rows, preserve_index=False), schema.features)
    content = explanation_file(pipeline, schema, packed, params.deploy.runtime)
    sha256 = hashlib.sha256(content).hexdigest()
    described = ExplanationFile(file=FILE, sha256=sha256, background=kind, rows=len(rows))
    return described, content


def explanation_file(pipeline: Any, schema: Schema, rows: Packed, runtime: str) -> bytes:
    """The file with the background rows and, where the model is such a sum, its terms.

    The same pipeline and rows give the same bytes.

    Args:
        pipeline: the fitted pipeline.
        schema: the table's schema.
        rows: the background rows.
        runtime: `deploy.runtime`; only what ONNX can express is taken apart.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "numeric": rows.numeric,
        "categorical": rows.categorical,
    }
    parts = None
    if runtime == "onnx":
        parts = take_apart(pipeline, schema.features, schema.columns, schema.task)
    if parts and _bits(parts, len(rows)) <= MAX_BITS:
        graph = parts.graph.SerializeToString(deterministic=True)
        arrays |= {"kind": np.array(parts.kind), "graph": np.frombuffer(graph, np.uint8)}
        arrays |= {name: _small(array) for name, array in terms(parts).arrays().items()}
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def terms(parts: Parts) -> Terms:
    """The sums of a model as the server reads them."""
    scores = parts.scores
    trees = scores.trees
    nodes = np.cumsum([0, *(len(tree.feature) for tree in trees)])
    leaves = np.cumsum([0, *(len(tree.leaf) for tree in trees)])
    columns, targets = len(parts.features), len(scores.offset)
    roots = [
        first if len(tree.feature) else ~leaf
        for tree, first, leaf in zip(trees, nodes, leaves, strict=False)
    ]

    def children(sides: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        return _chained(
            [
                np.where(side >= 0, side + first, side - leaf)
                for side, first, leaf in zip(sides, nodes, leaves, strict=False)
            ],
            np.int64,
        )

    return Terms(
        owner=np.array(parts.features, np.int64),
        offset=scores.offset,
        weights=np.zeros((columns, targets)) if scores.weights is None else scores.weights,
        root=np.array(roots, np.int64),
        column=_chained([tree.feature for tree in trees], np.int64),
        threshold=_chained([tree.threshold for tree in trees], np.float64),
        left=children([tree.left for tree in trees]),
        right=children([tree.right for tree in trees]),
        missing_left=_chained([tree.missing_left for tree in trees], np.bool_),
        leaf=_chained([tree.leaf for tree in trees], np.float64),
        target=np.repeat(np.array([tree.target for tree in trees], np.int64), np.diff(leaves)),
    )


def _bits(parts: Parts, background: int) -> int:
    """At most how many bits the paths have: no path reads more features than its tree."""
    owner = np.array(parts.features)
    return sum(
        len(tree.leaf) * len(np.unique(owner[tree.feature])) * background
        for tree in parts.scores.trees
    )


def _chained(parts: Sequence[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    chained: npt.NDArray[Any] = np.concatenate([np.empty(0, dtype), *parts], dtype=dtype)
    return chained


def _small(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Whole numbers in as few bytes as they need."""
    if array.dtype.kind != "i" or not array.size:
        return array
    return array.astype(
        np.promote_types(np.min_scalar_type(array.min()), np.min_scalar_type(array.max()))
    )
