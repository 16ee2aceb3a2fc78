"""Tiny real models: graphs written by hand, one linear in the numbers, a table per category."""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import onnx
import pytest
import uvicorn
import yaml
from onnx import TensorProto, helper, numpy_helper
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from app.drift.reference import Reference
from app.http.protocol import Protocol
from app.main import create_app
from app.model.manifest import (
    MANIFEST,
    Example,
    ExplanationFile,
    Feature,
    Intervals,
    Manifest,
    Parity,
    ReferenceFile,
    Task,
)
from app.settings import Settings
from tests.app.clouds import Cloud, running_azure, running_google

FEATURES = (
    Feature(name="carat weight", kind="number", minimum=0.2, maximum=5.0),
    Feature(name="cut", kind="category", categories=("Fair", "Good", "Ideal")),
    Feature(name="certified", kind="boolean", missing=0.1),
    Feature(name="sold", kind="date", minimum=0.0, maximum=1.7e9),
)
EXAMPLE = {"carat weight": 1.5, "cut": "Good", "certified": True, "sold": "2020-01-01"}
SECONDS = 1_577_836_800  # 2020-01-01
# Added for each code of `cut`: Fair, Good, Ideal, unseen, missing.
CUT = (1.0, 2.0, 3.0, 40.0, 500.0)


def regression_answer(record: dict[str, Any], shift: float = 0.0) -> float:
    """What the tiny regression answers, computed without it; a missing number counts 0."""
    codes = {"Fair": 0, "Good": 1, "Ideal": 2, None: 4}
    cut = CUT[codes.get(record["cut"], 3)]
    carat = record["carat weight"] or 0.0
    certified = 10.0 if record["certified"] else 0.0
    days = SECONDS / 86_400 if record["sold"] else 0.0
    return 100.0 * carat + certified + days + cut + shift


def _graph(task: Task, shift: float, scale: float) -> bytes:
    def constant(
        name: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float64
    ) -> TensorProto:
        return numpy_helper.from_array(np.array(values, dtype), name)

    nodes = [
        helper.make_node("IsNaN", ["numeric"], ["absent"]),
        helper.make_node("Where", ["absent", "zero", "numeric"], ["present"]),
        helper.make_node("MatMul", ["present", "weights"], ["linear"]),
        helper.make_node("Gather", ["table", "categorical"], ["cut"]),
        helper.make_node("Add", ["linear", "cut"], ["sum"]),
        helper.make_node("Squeeze", ["sum", "axis"], ["score"]),
        helper.make_node("Add", ["score", "shift"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "unit"], ["total"]),
    ]
    constants = [
        constant("zero", 0.0),
        constant("weights", [[100.0], [10.0], [1 / 86_400]]),
        constant("table", CUT),
        constant("axis", [1], np.int64),
        constant("shift", shift),
        constant("unit", scale),
    ]
    row = ["rows"]
    if task == "regression":
        nodes.append(helper.make_node("Identity", ["total"], ["prediction"]))
        outputs = [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, row)]
    else:
        # P(last class) = sigmoid((total - 20000) / 1000); the middle class is never chosen.
        constants += [
            constant("middle", 20_000.0),
            constant("scale", 1_000.0),
            constant("one", 1.0),
            constant("column", [1], np.int64),
        ]
        nodes += [
            helper.make_node("Sub", ["total", "middle"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["last"]),
            helper.make_node("Sub", ["one", "last"], ["first"]),
            helper.make_node("Mul", ["last", "zero"], ["none"]),
            helper.make_node("Unsqueeze", ["first", "column"], ["first_column"]),
            helper.make_node("Unsqueeze", ["none", "column"], ["middle_column"]),
            helper.make_node("Unsqueeze", ["last", "column"], ["last_column"]),
            helper.make_node(
                "Concat",
                ["first_column", "middle_column", "last_column"],
                ["probabilities"],
                axis=1,
            ),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ]
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, row),
            helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["rows", 3]),
        ]
    inputs = [
        helper.make_tensor_value_info("numeric", TensorProto.DOUBLE, ["rows", 3]),
        helper.make_tensor_value_info("categorical", TensorProto.INT64, ["rows", 1]),
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


# The rows that the tiny models are explained against: carat, certified, sold; and cut.
BACKGROUND = (
    np.array([[1.0, 0.0, 0.0], [np.nan, 1.0, SECONDS], [2.0, np.nan, np.nan]]),
    np.array([[0], [2], [4]]),
)


def write_explanation(folder: Path) -> ExplanationFile:
    """Write the file that answers are explained with, with background rows alone."""
    path = folder / "explanation.npz"
    np.savez(path, numeric=BACKGROUND[0], categorical=BACKGROUND[1])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return ExplanationFile(file=path.name, sha256=sha256, background="rows", rows=3)


def write_reference(folder: Path, reference: Reference) -> ReferenceFile:
    """Write the file that says what the rows of training looked like."""
    content = reference.model_dump_json().encode()
    (folder / "reference.json").write_bytes(content)
    return ReferenceFile(file="reference.json", sha256=hashlib.sha256(content).hexdigest())


def write_model(
    folder: Path,
    task: Task = "regression",
    shift: float = 0.0,
    scale: float = 1.0,
    explained: bool = False,
    intervals: Intervals | None = None,
    reference: Reference | None = None,
) -> Path:
    """Write a tiny model folder and return it; `shift` and `scale` change a regression."""
    folder.mkdir(parents=True, exist_ok=True)
    content = _graph(task, shift, scale)
    (folder / "model.onnx").write_bytes(content)
    if task == "regression":
        example = Example(record=EXAMPLE, prediction=scale * regression_answer(EXAMPLE, shift))
    else:
        last = 1 / (1 + np.exp(-(regression_answer(EXAMPLE, shift) - 20_000) / 1_000))
        example = Example(record=EXAMPLE, prediction="low", probabilities=(1 - last, 0.0, last))
    manifest = Manifest(
        name="tiny",
        task=task,
        target="price",
        classes=() if task == "regression" else ("low", "middle", "high"),
        features=FEATURES,
        missing_values=("NA",),
        file="model.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        explanation=write_explanation(folder) if explained else None,
        intervals=intervals,
        metrics={"mae": 12.5},
        lineage={"data": {"path": "data", "md5": "0" * 32}},
        parity=Parity(rows=3, max_relative=0.0, mislabelled=0, tolerance=1e-9),
        example=example,
        reference=write_reference(folder, reference) if reference else None,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    return folder


@pytest.fixture
def regression(tmp_path: Path) -> Path:
    return write_model(tmp_path / "regression")


@pytest.fixture
def classification(tmp_path: Path) -> Path:
    return write_model(tmp_path / "classification", "classification")


def publish(folder: Path, cache: Path, lock_file: Path) -> str:
    """Lock a model folder as DVC would, and put it in a server's cache; return its version."""
    entries = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.name}
        for path in sorted(folder.iterdir())
    ]
    listing = json.dumps(entries, sort_keys=True).encode()
    version = hashlib.md5(listing).hexdigest()
    shutil.copytree(folder, cache / version, dirs_exist_ok=True)
    (cache / version / ".dir").write_bytes(listing)
    lock(version, lock_file)
    return version


def lock(version: str, lock_file: Path) -> None:
    """Write the `dvc.lock` that names a version."""
    out = {"path": "model/serving", "hash": "md5", "md5": f"{version}.dir", "nfiles": 2}
    stages = {"deploy": {"cmd": "python -m stages.deploy", "outs": [out]}}
    lock_file.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


class IsolatedSettings(Settings):
    """Settings that nothing but their arguments decides."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **more_others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def settings_in(folder: Path) -> Settings:
    """Settings of a server whose files are all below a folder, with small limits."""
    return IsolatedSettings(
        remote="s3://bucket/prefix",
        lock_file=folder / "dvc.lock",
        model_cache=folder / "cache",
        aws_endpoint_url="http://127.0.0.1:9",  # nothing listens there
        access_log=False,
        threads=2,
        max_bytes=300_000,
        max_json_bytes=200_000,
        max_rows=5_000,
        max_explained_rows=50,
        max_columns=100,
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@contextmanager
def serve(settings: Settings) -> Iterator[httpx.Client]:
    """Run a server in this process, on a free port of loopback; give a client of it."""
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings), port=0, log_level="error", access_log=False, http=Protocol
        )
    )
    thread = Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that serves the tiny regression, for tests that change nothing."""
    yield from _client(tmp_path_factory.mktemp("regression"), "regression")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that serves the tiny classification."""
    yield from _client(tmp_path_factory.mktemp("classification"), "classification")


def _client(folder: Path, task: Task) -> Iterator[httpx.Client]:
    settings = settings_in(folder)
    publish(write_model(folder / "model", task), settings.model_cache, settings.lock_file)
    with serve(settings) as running:
        yield running


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Storage as Azure's, for the whole session."""
    with running_azure(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Storage as Google's, for the whole session."""
    with running_google(tmp_path_factory.mktemp("google")) as server:
        yield server


@pytest.fixture(params=["azure", "google"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Each of the two."""
    server: Cloud = request.getfixturevalue(request.param)
    return server
