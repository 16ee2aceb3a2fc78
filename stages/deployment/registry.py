"""MLflow's model registry as a mirror of `dvc.lock`: one version per serving folder."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from app.errors import Problem
from app.model.manifest import Manifest
from app.model.model import Model
from stages.evaluation.metrics import METRICS, score
from stages.files import settled
from stages.tracking import Tracking, active

VERSION = "version_md5"
CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class Contender:
    """What decides whether a new version takes the champion's alias.

    Attributes:
        metric: the holdout metric that is compared (`evaluate.gate.metric`).
        replace: `better`, or `always` (`deploy.champion`).
        holdout: the holdout's raw columns and target.
    """

    metric: str
    replace: str
    holdout: pa.Table


def signature(manifest: Manifest) -> ModelSignature:
    """The model's raw columns, of any type, its answer, and what may be asked for beside it.

    MLflow would refuse whole numbers where the type is a double, a missing value among booleans,
    and dates as texts: what `pandas.read_csv` gives. The model reads all of them by itself.
    """
    inputs = [ColSpec(AnyType(), feature.name) for feature in manifest.features]
    answer = DataType.double if manifest.task == "regression" else DataType.string
    params = [
        ParamSpec("interval", DataType.double, 0.0),
        ParamSpec("explain", DataType.boolean, False),
    ]
    return ModelSignature(
        inputs=Schema(inputs),
        outputs=Schema([ColSpec(answer, "prediction")]),
        params=ParamSchema(params),
    )


def requirements() -> list[str]:
    """What the logged model needs: the server's pinned packages and pandas."""
    lines = Path("app/requirements.txt").read_text() + Path("requirements.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lines, re.MULTILINE))
    packages = ["numpy", "onnxruntime", "orjson", "pandas", "pyarrow", "pydantic"]
    return [f"{name}=={pins[name]}" for name in packages]


def pyfunc(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """A serving folder as what `mlflow.pyfunc` saves and logs."""
    return {
        "python_model": "stages/deployment/mlflow_model.py",
        "artifacts": {"serving": str(folder)},
        "code_paths": ["app"],
        "signature": signature(manifest),
        "input_example": pd.DataFrame([manifest.example.record]),
        "pip_requirements": requirements(),
    }


def register(
    tracking: Tracking, run: Run, folder: Path, version: str, contender: Contender
) -> None:
    """Log the serving folder on its run, register it once, and give it its alias.

    Args:
        tracking: where to write.
        run: the parent run that trained the candidate.
        folder: the serving folder.
        version: its md5, as `dvc.lock` holds it.
        contender: what decides between champion and challenger.
    """
    tracking.attempt(lambda: _register(tracking, run, folder, version, contender))


def _register(
    tracking: Tracking, run: Run, folder: Path, version: str, contender: Contender
) -> None:
    client, manifest = tracking.client, Manifest.read(folder)
    name = manifest.name
    number = _registered(client, name, version)
    if number is None:
        logged = _log(tracking, run, folder, manifest, version)
        number = _registered(client, name, version) or logged
        if number != logged:  # another deploy of the same version was faster
            client.delete_model_version(name, logged)
    reason = why_not_champion(tracking, manifest, number, contender)
    client.set_registered_model_alias(name, CHALLENGER if reason else CHAMPION, number)
    client.update_registered_model(name, describe_model(manifest))
    client.update_model_version(name, number, describe_version(manifest, run, version, reason))
    if reason:
        print(
            f"deploy: {name} {number} is a challenger, the champion stays: {reason}\n"
            "deploy: dvc.lock names the challenger until you go back: "
            "`git checkout dvc.lock params.yaml reports && dvc repro --pull`"
        )


def _registered(client: MlflowClient, name: str, version: str) -> str | None:
    """The number under which a version was registered first; None when it was not."""
    same = client.search_model_versions(f"name = '{name}' and tag.{VERSION} = '{version}'")
    return min((str(one.version) for one in same), key=int, default=None)


def describe_model(manifest: Manifest) -> str:
    """What the model is for, in Markdown."""
    columns = ", ".join(f"`{feature.name}` ({feature.kind})" for feature in manifest.features)
    text = f"Predicts `{manifest.target}` ({manifest.task}) from {columns}."
    return "\n\n".join(filter(None, [manifest.about, text]))


def describe_version(manifest: Manifest, run: Run, version: str, reason: str | None) -> str:
    """What a version scored, why it is champion or challenger, and where it comes from."""
    scores = ", ".join(f"{name} {value:.5g}" for name, value in manifest.metrics.items())
    lines = [
        f"On the holdout: {scores}.",
        f"Challenger when it was deployed: {reason}." if reason else "Passed the gate.",
        f"- `model/serving` in `dvc.lock`: `{version}`",
        f"- data: `{manifest.lineage['data']['md5']}`",
    ]
    if commit := run.data.tags.get("mlflow.source.git.commit"):
        changes = " and changes on top of it" if run.data.tags.get("git.dirty") == "true" else ""
        lines.append(f"- commit: `{commit}`{changes}")
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def why_not_champion(
    tracking: Tracking, manifest: Manifest, number: str, contender: Contender
) -> str | None:
    """Why a version must not take the champion's alias; None when it may."""
    if os.environ.get("DVC_EXP_NAME"):
        return "it is a DVC experiment (`dvc exp apply` it, then `dvc repro` or `make promote`)"
    aliases = {}
    if tracking.client.search_registered_models(f"name = '{manifest.name}'"):
        aliases = tracking.client.get_registered_model(manifest.name).aliases
    if contender.replace == "always" or aliases.get(CHAMPION) in {None, number}:
        return None
    downloaded = mlflow.artifacts.download_artifacts(f"models:/{manifest.name}@{CHAMPION}")
    folder = Path(downloaded) / "artifacts" / "serving"
    metric = contender.metric
    ours, theirs = manifest.metrics[metric], champion_score(folder, manifest, contender)
    if theirs is None:
        return (
            "the champion reads other columns, predicts another target or gives no probabilities: "
            f"no {metric} to compare (deploy.champion: always takes it all the same)"
        )
    theirs = settled(theirs)  # as ours is; the digits behind are noise
    worse = ours < theirs if METRICS[metric].higher_is_better else ours > theirs
    if not worse:
        return None
    doubt = "" if same_tables(Manifest.read(folder), manifest) else ", which it may have trained on"
    return (
        f"{metric} {ours:.6g} is worse than the champion's {theirs:.6g} on the same holdout{doubt} "
        "(deploy.champion: always takes it all the same)"
    )


def same_tables(one: Manifest, other: Manifest) -> bool:
    """Whether two versions were made from the same prepared tables."""
    return bool(one.lineage["prepared"] == other.lineage["prepared"])


def champion_score(folder: Path, manifest: Manifest, contender: Contender) -> float | None:
    """The champion's metric on the holdout rows of the contender.

    On the same prepared tables that is what its own evaluation measured. On others the
    champion answers the rows anew; it may have been fitted on some, which is in its favour.
    None where it cannot answer them.
    """
    champion = Manifest.read(folder)
    if same_tables(champion, manifest):
        return champion.metrics.get(contender.metric)
    same = (champion.task, champion.target) == (manifest.task, manifest.target)
    if not same or {f.name for f in champion.features} - set(contender.holdout.column_names):
        return None
    try:
        answers = Model.load(folder).predict_table(contender.holdout)
    except Problem:  # a column is now of another kind
        return None
    actual = contender.holdout[manifest.target].to_numpy()
    predicted, probabilities = answers.values, answers.probabilities
    if manifest.task == "classification":
        index = {label: i for i, label in enumerate(manifest.classes)}
        actual = np.array([index[label] for label in actual.tolist()])
        predicted = np.array([index.get(label, -1) for label in predicted.tolist()])
        if champion.classes != manifest.classes:
            probabilities = None
    return score(manifest.task, actual, predicted, probabilities).get(contender.metric)


def _log(tracking: Tracking, run: Run, folder: Path, manifest: Manifest, version: str) -> str:
    with active(tracking, run.info.run_id):
        logged = mlflow.pyfunc.log_model(name="model", **pyfunc(folder, manifest))
    registered = mlflow.register_model(
        logged.model_uri, manifest.name, tags={VERSION: version, "runtime": manifest.runtime}
    )
    return str(registered.version)
