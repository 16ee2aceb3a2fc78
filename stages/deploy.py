"""Refit on all rows, turn the pipeline into a serving folder, prove that it answers the same.

$ python -m stages deploy

Reads prepared/, model/candidate/ and reports/metrics.json; writes model/final/pipeline.pkl (the
refitted PyCaret pipeline, for analysis) and model/serving/ (what the server pulls: the graph and
its manifest). The md5 of model/serving/ in `dvc.lock` is the model's version.
"""

import hashlib
import json
import pickle
import shutil
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa

from app.model.manifest import MANIFEST, Example, Manifest, Parity
from app.model.model import Model
from stages.arithmetic import launch
from stages.deployment.registry import Contender, register
from stages.evaluation.metrics import predictions
from stages.files import (
    CANDIDATE,
    FINAL,
    METRICS,
    PIPELINE,
    PREPARED,
    SCHEMA,
    SERVING,
    TEST,
    TRAIN,
    md5,
    settled,
)
from stages.onnx_writer import NotConvertible, to_onnx
from stages.onnx_writer.edge_rows import edge_rows, parity
from stages.params import Params, read
from stages.schema import Schema, model_frame, read_prepared
from stages.tracking import Tracking
from stages.training.experiment import finalize, save, start
from stages.training.repairs import anonymous
from stages.training.threads import one_thread

DRAFT = Path("model/.serving")
BOUNDS = (1e-12, 1e-9, 1e-6)
FILES = {"onnx": "model.onnx", "pycaret": "model.pkl"}
LIBRARIES = (
    "catboost",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "pycaret",
    "scikit-learn",
    "xgboost-cpu",
)


def convert(pipeline: Any, schema: Schema, runtime: str) -> bytes:
    """The fitted pipeline as the server opens it: an ONNX graph, or a pickle for `pycaret`.

    Raises:
        NotConvertible: a step or the estimator has no exact counterpart in ONNX.
    """
    if runtime == "pycaret":
        with anonymous(pipeline):
            return pickle.dumps({"pipeline": pipeline, "columns": schema.columns}, protocol=5)
    graph = to_onnx(pipeline, schema.features, schema.columns, schema.task, len(schema.classes))
    return bytes(graph.SerializeToString(deterministic=True))


def as_table(frame: pd.DataFrame, schema: Schema) -> pa.Table:
    """Pipeline columns as the server receives them, under the user's names."""
    named = frame.set_axis(schema.names, axis="columns")
    return pa.Table.from_pandas(named, preserve_index=False)


def prove(pipeline: Any, model: Model, X: pd.DataFrame, schema: Schema, tolerance: float) -> Parity:
    """Compare the served model with the fitted pipeline on the holdout and on edge rows.

    Args:
        pipeline: the fitted pipeline.
        model: the server's own model, opened from the folder to be deployed.
        X: the holdout's features.
        schema: the tables' schema.
        tolerance: `deploy.parity`.
    """
    edges = edge_rows(X, schema.features, schema.columns, pipeline)
    measured = []
    for rows in (X, edges):
        fitted, probabilities = predictions(pipeline, rows)
        served = model.predict_table(as_table(rows, schema))
        if schema.task == "regression":
            measured.append(parity(np.asarray(fitted, float), served.values, tolerance))
            continue
        index = {label: i for i, label in enumerate(schema.classes)}
        none = np.empty((len(rows), 0))
        measured.append(
            parity(
                none if probabilities is None else probabilities,
                none if served.probabilities is None else served.probabilities,
                tolerance,
                np.asarray(fitted, np.int64),
                np.array([index[label] for label in served.values], np.int64),
            )
        )
    return Parity(
        rows=sum(one.rows for one in measured),
        max_relative=max(one.max_relative for one in measured),
        mislabelled=sum(one.mislabelled for one in measured),
        tolerance=tolerance,
    )


def bound(proof: Parity) -> float:
    """The smallest of a few bounds that the differences keep.

    The differences themselves are rounding errors, which depend on the processor.
    """
    bounds = [one for one in BOUNDS if proof.max_relative <= one]
    return min([*bounds, proof.tolerance])


def raw_record(row: pd.Series, schema: Schema) -> dict[str, Any]:
    """One prepared row as a client would send it in JSON."""
    record: dict[str, Any] = {}
    for feature in schema.features:
        value = row[feature.name]
        if pd.isna(value):
            record[feature.name] = None
        elif feature.kind == "boolean":
            record[feature.name] = bool(value)
        elif feature.kind == "date":
            record[feature.name] = value.isoformat()
        else:
            record[feature.name] = value if feature.kind == "category" else float(value)
    return record


def describe(
    params: Params, schema: Schema, content: bytes, example: Example, proof: Parity
) -> Manifest:
    """The manifest of a serving folder."""
    base, runtime = params.base, params.deploy.runtime
    return Manifest(
        name=base.name,
        task=base.task,
        target=base.target,
        classes=schema.classes,
        features=schema.features,
        missing_values=schema.missing_values,
        runtime=runtime,
        file=FILES[runtime],
        sha256=hashlib.sha256(content).hexdigest(),
        metrics=json.loads(METRICS.read_text())["model"],
        lineage={
            "data": {"path": base.path, "md5": schema.data_md5},
            "prepared": {"md5": md5(PREPARED)},
            # Those two change no result, and so no version
            "params": params.model_dump(exclude={"train": {"n_jobs", "parallel"}}),
            "libraries": {name: version(name) for name in LIBRARIES},
        },
        parity=proof,
        example=example,
    )


def draft(manifest: Manifest, content: bytes) -> None:
    """Write the serving folder beside its final place."""
    shutil.rmtree(DRAFT, ignore_errors=True)
    DRAFT.mkdir(parents=True)
    (DRAFT / manifest.file).write_bytes(content)
    (DRAFT / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")


def main() -> None:
    """Run the stage."""
    params = read("deploy")
    schema = Schema.read(SCHEMA)
    train = read_prepared(TRAIN, schema)
    test = read_prepared(TEST, schema)
    candidate = joblib.load(PIPELINE)
    warnings.filterwarnings("ignore", module="pycaret|sklearn|joblib")  # shown to no one's use
    with one_thread():
        experiment = start(train, test, schema, params.train, params.base.seed, logger=None)
        pipeline = finalize(experiment, candidate.steps[-1][1])
        save(experiment, pipeline, FINAL)
        try:
            content = convert(pipeline, schema, params.deploy.runtime)
        except NotConvertible as error:
            sys.exit(f"deploy: {error}")
        complete = test[schema.names].notna().all(axis="columns")
        shown = (test[complete] if complete.any() else test).head(1)
        tolerance = params.deploy.parity
        unproven = Parity(rows=0, max_relative=0.0, mislabelled=0, tolerance=tolerance)
        example = Example(record=raw_record(shown.iloc[0], schema), prediction=0.0)
        draft(describe(params, schema, content, example, unproven), content)
        model = Model.load(DRAFT)
        proof = prove(pipeline, model, model_frame(test, schema), schema, tolerance)
    if proof.max_relative > tolerance or proof.mislabelled:
        shutil.rmtree(DRAFT)
        sys.exit(
            f"deploy: the served model is not the fitted one: over {proof.rows} rows the largest "
            f"relative difference is {proof.max_relative:.3g} (deploy.parity allows "
            f"{tolerance:.3g}), {proof.mislabelled} rows get another class. Nothing is deployed. "
            "Set deploy.runtime to pycaret to serve the fitted pipeline itself."
        )
    answer = model.predict_table(as_table(model_frame(shown, schema), schema))
    prediction = answer.values.tolist()[0]
    if schema.task == "regression":
        prediction = settled(prediction)
    probabilities = None
    if answer.probabilities is not None:
        probabilities = tuple(map(settled, answer.probabilities[0].tolist()))
    example = Example(record=example.record, prediction=prediction, probabilities=probabilities)
    bounded = proof.model_copy(update={"max_relative": bound(proof)})
    manifest = describe(params, schema, content, example, bounded)
    draft(manifest, content)
    Model.load(DRAFT).self_test()
    shutil.rmtree(SERVING, ignore_errors=True)
    DRAFT.rename(SERVING)
    metric = params.evaluate.gate.metric
    log(manifest, proof, Contender(metric, params.deploy.champion, pa.Table.from_pandas(test)))
    print(
        f"deploy: {manifest.name} {md5(SERVING)}: {len(content) / 1e6:.1f} MB of "
        f"{manifest.runtime}, within {proof.max_relative:.1e} of the fitted pipeline on "
        f"{proof.rows} rows"
    )


def log(manifest: Manifest, proof: Parity, contender: Contender) -> None:
    """Add the version and its measured parity to the training's run; mirror it in the registry."""
    tracking = Tracking(manifest.name)
    run = tracking.find(md5(CANDIDATE))
    if run is None:
        return
    measured = {"parity.max_relative": proof.max_relative, "parity.rows": proof.rows}
    version_tag = {"version_md5": md5(SERVING)}
    step = {"step": "finalize_model", **version_tag}
    finalized = tracking.start("finalize", step, parent=run.info.run_id)
    tracking.log(finalized, metrics=measured)
    tracking.finish(finalized)
    tracking.log(run.info.run_id, metrics=measured, tags=version_tag)
    register(tracking, run, SERVING, md5(SERVING), contender)
    tracking.add_stage(run, "deploy")


if __name__ == "__main__":
    launch("-m", "stages", "deploy")
