"""The server as a process: what it needs, what it loads, how many there may be."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.app.conftest import EXAMPLE, lock, publish, regression_answer, write_model
from tests.app.processes import environment, folder_with_model, running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_with_model(tmp_path)


@pytest.mark.parametrize(
    "command", [("app",), ("uvicorn", "app.main:app", "--port", "PORT")], ids=["app", "uvicorn"]
)
def test_server_starts_from_lock_and_cache_alone(folder: Path, command: tuple[str, ...]) -> None:
    with running(folder, *command) as client:
        reply = client.post("/predict/records", json={"records": [EXAMPLE]})
        assert reply.json()["predictions"] == [regression_answer(EXAMPLE)]


def test_every_worker_takes_a_new_version_over(folder: Path) -> None:
    second = publish(write_model(folder / "new", shift=1.0), folder / "cache", folder / "dvc.lock")
    first = publish(folder / "model", folder / "cache", folder / "dvc.lock")
    answers = {first: regression_answer(EXAMPLE), second: regression_answer(EXAMPLE, 1.0)}
    key = {"X-API-Key": "key"}
    with running(folder, "app", SERVE_WORKERS="2", SERVE_API_KEY="key") as client:

        def served() -> set[tuple[str, float]]:
            found = set()
            for _ in range(30):  # each on a connection of its own: workers take turns
                headers = {**key, "Connection": "close"}
                body = {"records": [EXAMPLE]}
                reply = client.post("/predict/records", json=body, headers=headers).json()
                found.add((reply["model"]["version"], reply["predictions"][0]))
            return found

        def workers_with(version: str) -> str:
            line = f'serve_model_info{{name="tiny",version="{version}"}} '
            return client.get("/metrics").text.partition(line)[2][:3]

        def wait_for_both(version: str) -> None:
            deadline = time.monotonic() + 20
            while workers_with(version) != "2.0":
                assert served() <= set(answers.items())
                assert time.monotonic() < deadline

        wait_for_both(first)
        for version, other in ((second, first), (first, second)):
            lock(version, folder / "dvc.lock")
            assert client.post("/reload", headers=key).json()["model"]["version"] == version
            wait_for_both(version)
            assert workers_with(other) == "0.0"
            assert served() == {(version, answers[version])}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SERVE_REMOTE": ""}, "SERVE_REMOTE: Field required"),
        ({"SERVE_PROT": "1"}, "Unknown setting SERVE_PROT"),
    ],
)
def test_wrong_settings_end_the_start_with_one_line(
    folder: Path, settings: dict[str, str], message: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "app"],
        cwd=folder,
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_answering_loads_nothing_that_the_server_does_not_need(folder: Path) -> None:
    """No pandas through Arrow, no S3 client with a cached model, none of the training."""
    script = f"""
import json, sys
from pathlib import Path
import app.main
from app.model.model import Model
from app.formats.registry import Upload
from app.http.predict import answer_file
from app.http.service import warm_up
from app.model.store import fetch, locked_version
from app.settings import Settings
settings = Settings()
version = locked_version(Path("dvc.lock"), "deploy", "model/serving")
model = Model.load(fetch(version, settings))
warm_up(1)
for content in (
    b"carat weight,cut,certified,sold\\n1.5,Good,true,2020-01-01\\n",
    b"carat weight,cut,certified,sold\\n1.5,Good,true,2020-01-01T00:00:00Z\\n",
):
    upload = Upload(content)
    answer = answer_file(model, upload, settings.limits, to_csv=True)
    assert answer.pieces[1].endswith(b",{regression_answer(EXAMPLE)}\\n"), answer
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    unwanted = {"boto3", "dvc", "mlflow", "obstore", "onnx"}
    unwanted |= {"pandas", "pycaret", "sklearn", "stages"}
    assert unwanted & set(json.loads(run.stdout)) == set()
