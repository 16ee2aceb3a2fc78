"""MLflow's model registry as a mirror of `dvc.lock`: one version per serving folder."""

import re
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from app.manifest import Manifest
from stages.tracking import Tracking, active

VERSION = "version_md5"
CHAMPION = "champion"
TYPES = {
    "number": DataType.double,
    "boolean": DataType.boolean,
    "category": DataType.string,
    "date": DataType.datetime,
}


def signature(manifest: Manifest) -> ModelSignature:
    """The model's raw columns, optional where training saw them missing, and its answer."""
    inputs = [
        ColSpec(TYPES[feature.kind], feature.name, required=feature.missing == 0)
        for feature in manifest.features
    ]
    answer = DataType.double if manifest.task == "regression" else DataType.string
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(answer, "prediction")]))


def requirements() -> list[str]:
    """What the logged model needs: the server's pinned packages and pandas."""
    lines = Path("app/requirements.txt").read_text() + Path("requirements.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lines, re.MULTILINE))
    wanted = ["numpy", "onnxruntime", "orjson", "pandas", "pyarrow", "pydantic"]
    return [f"{name}=={pins[name]}" for name in wanted]


def register(tracking: Tracking, run: Run, folder: Path, manifest: Manifest, version: str) -> None:
    """Log the serving folder on its run, register it once, and call it the champion.

    Args:
        tracking: where to write.
        run: the parent run that trained the candidate.
        folder: the serving folder.
        manifest: its manifest.
        version: its md5, as `dvc.lock` holds it.
    """
    found = tracking.attempt(
        lambda: tracking.client.search_model_versions(
            f"name = '{manifest.name}' and tag.{VERSION} = '{version}'"
        )
    )
    number = (
        found[0].version
        if found
        else tracking.attempt(lambda: _log(tracking, run, folder, manifest, version))
    )
    if number is not None:
        tracking.attempt(
            lambda: tracking.client.set_registered_model_alias(manifest.name, CHAMPION, number)
        )


def _log(tracking: Tracking, run: Run, folder: Path, manifest: Manifest, version: str) -> str:
    with active(tracking, run.info.run_id):
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model="stages/served.py",
            artifacts={"serving": str(folder)},
            code_paths=["app"],
            signature=signature(manifest),
            input_example=pd.DataFrame([manifest.example.record]),
            pip_requirements=requirements(),
        )
    registered = mlflow.register_model(
        logged.model_uri, manifest.name, tags={VERSION: version, "runtime": manifest.runtime}
    )
    return str(registered.version)
