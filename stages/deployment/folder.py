"""The serving folder: what the server opens and the manifest that describes it."""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.model.manifest import MANIFEST, Manifest
from app.model.model import Model
from stages.files import PREPARED, md5
from stages.params import Params
from stages.schema import Schema

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


def lineage(params: Params, schema: Schema) -> dict[str, Any]:
    """What the model was made of."""
    return {
        "data": {"path": params.base.path, "md5": schema.data_md5},
        "prepared": {"md5": md5(PREPARED)},
        # Without those that change no result; the words are in the manifest already
        "params": params.model_dump(
            exclude={"train": {"n_jobs", "parallel"}, "deploy": {"about", "columns"}}
        ),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def write(folder: Path, manifest: Manifest, files: dict[str, bytes]) -> None:
    """Replace the serving folder, once what is to stand there passes its self-test.

    Args:
        folder: the serving folder.
        manifest: describes the files.
        files: their content by name.

    Raises:
        ModelError: it does not; the old folder stays.
    """
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, content in files.items():
        (draft / name).write_bytes(content)
    (draft / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    Model.load(draft).self_test(manifest.example, manifest.parity.tolerance)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
