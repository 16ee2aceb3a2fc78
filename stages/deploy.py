"""Refit on all rows, turn the pipeline into a serving folder, prove that it answers the same.

$ python -m stages deploy

Reads prepared/, model/candidate/ and reports/; writes model/final/pipeline.pkl (the refitted
PyCaret pipeline, for analysis) and model/serving/ (what the server pulls: the graph, what its
answers are explained with, counts of the rows, and the manifest). The md5 of model/serving/ in
`dvc.lock` is the model's version.
"""

import json
import sys
import warnings

import joblib
import pandas as pd
import pyarrow as pa

from app.model.manifest import Manifest, Parity
from app.model.model import Model
from stages.arithmetic import launch
from stages.deployment.conversion import convert, describe
from stages.deployment.example import choose_example
from stages.deployment.explanation import explain
from stages.deployment.folder import lineage, write
from stages.deployment.proof import NotProven, bounded, prove
from stages.deployment.reference import reference, reference_file
from stages.deployment.registry import Contender, register
from stages.deployment.summary import summary
from stages.evaluation.conformal import learn, of_folds, with_measured
from stages.files import (
    CANDIDATE,
    FINAL,
    FOLDS,
    METRICS,
    PIPELINE,
    PLOTS,
    SCHEMA,
    SERVING,
    TEST,
    TRAIN,
    md5,
)
from stages.onnx_writer import NotConvertible
from stages.params import Params, read
from stages.schema import Schema, model_frame, read_prepared
from stages.tracking import Tracking
from stages.training.experiment import finalize, save, start
from stages.training.threads import one_thread


def build(
    params: Params, schema: Schema, train: pd.DataFrame, test: pd.DataFrame
) -> tuple[Manifest, dict[str, bytes], Parity]:
    """Refit, convert and prove; the manifest, the files that it describes, the measured parity.

    Raises:
        NotConvertible: a step or the estimator has no exact counterpart in ONNX.
        NotProven: the converted model answers otherwise than the fitted one.
    """
    candidate = joblib.load(PIPELINE)
    experiment = start(train, test, schema, params.train, params.base.seed, logger=None)
    pipeline = finalize(experiment, candidate.steps[-1][1])
    save(experiment, pipeline, FINAL)
    content = convert(pipeline, schema, params.deploy.runtime)
    interface = describe(content, schema, params)
    files = {interface.file: content}
    model = Model(interface, content)
    parity = prove(pipeline, model, model_frame(test, schema), schema, params.deploy.parity)
    if params.deploy.explain != "none":
        rows = pd.concat([train, test])
        explanation, file = explain(pipeline, rows, schema, params)
        interface = interface.model_copy(update={"explanation": explanation})
        files[explanation.file] = file
    report = json.loads(METRICS.read_text())
    # The refitted model knows more rows: its intervals hold at least as often
    folds = pd.read_csv(FOLDS)
    intervals = learn(of_folds(folds, train, schema), schema.task)
    if intervals is not None:
        intervals = with_measured(intervals, report["prediction_interval"])
        interface = interface.model_copy(update={"intervals": intervals})
    counted = reference(pd.concat([train, test]), folds, schema).model_dump_json().encode()
    described = reference_file(counted)
    files[described.file] = counted
    manifest = Manifest(
        **dict(interface),
        metrics=report["model"],
        lineage=lineage(params, schema),
        parity=bounded(parity),
        example=choose_example(model, test, schema),
        about=params.deploy.about,
        columns=params.deploy.columns,
        evaluation=summary(report, PLOTS, params.evaluate.gate.metric, schema.classes),
        reference=described,
    )
    return manifest, files, parity


def main() -> None:
    """Run the stage."""
    params = read("deploy")
    schema = Schema.read(SCHEMA)
    train = read_prepared(TRAIN, schema)
    test = read_prepared(TEST, schema)
    warnings.filterwarnings("ignore", module="pycaret|sklearn|joblib")  # nobody could act on them
    if unknown := params.deploy.columns.keys() - {*schema.names, schema.target}:
        print(f"deploy: deploy.columns describes {sorted(unknown)}, which the model does not have")
    print("deploy: fits on all rows, converts, compares the answers", flush=True)
    try:
        with one_thread():
            manifest, files, parity = build(params, schema, train, test)
    except (NotConvertible, NotProven) as error:
        sys.exit(f"deploy: {error}")
    write(SERVING, manifest, files)
    metric = params.evaluate.gate.metric
    log(manifest, parity, Contender(metric, params.deploy.champion, pa.Table.from_pandas(test)))
    gap = parity.max_relative
    print(
        f"deploy: {manifest.name} {md5(SERVING)}: {len(files[manifest.file]) / 1e6:.1f} MB "
        f"of {manifest.runtime}; on {parity.rows} rows it answers as the fitted pipeline, "
        + (f"to {gap:.1e} of an answer" if gap else "to the last digit")
    )


def log(manifest: Manifest, parity: Parity, contender: Contender) -> None:
    """Add the version and its measured parity to the training's run; mirror it in the registry."""
    tracking = Tracking(manifest.name)
    run = tracking.find(md5(CANDIDATE))
    if run is None:
        return
    measured = {"parity.max_relative": parity.max_relative, "parity.rows": parity.rows}
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
