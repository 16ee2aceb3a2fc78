"""The main job, from nothing to a served prediction, each step shown.

$ python -m local.demo

Starts S3 and MLflow where they do not run, brings the data, rebuilds the pipeline, pushes it,
then proves it: a folder that holds only `app/` and `dvc.lock` pulls the locked model from S3
and answers a CSV. Stops what it started.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from app.model.manifest import MANIFEST
from app.model.store import locked_version
from app.settings import Settings, read_settings
from local import processes, sample_table, services
from stages.files import LEADERBOARD, SCHEMA, TEST
from stages.schema import Schema, read_prepared

ROWS = 5


def run(*command: str) -> None:
    """Show a command and run it; a failure ends the demo with its exit code."""
    print(f"\n$ {' '.join(command)}", flush=True)
    done = subprocess.run([sys.executable, "-m", *command], check=False)  # noqa: S603
    if done.returncode:
        sys.exit(
            f"`{' '.join(command)}` failed (exit code {done.returncode}); the reason is above. "
            "If S3 could not be reached: `make up`. If it answered Forbidden (403): the keys in "
            ".env are not the server's; mend them, then `make setup`. Then repeat; nothing is lost."
        )


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The API in an otherwise empty folder with the code of `app/` and `dvc.lock`; its URL."""
    shutil.copytree("app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy("dvc.lock", folder)
    port = processes.free_port()
    environment = {
        **os.environ,
        "SERVE_PORT": str(port),
        "SERVE_MODEL_CACHE": str(folder / "models"),
    }
    command = [sys.executable, "-m", "app"]
    service = processes.launch("prediction", command, environment, folder / "server.log", folder)
    url = f"http://127.0.0.1:{port}"
    try:
        processes.wait(service, f"{url}/ready")
        yield url
    finally:
        processes.stop(service)


def ask(url: str, sample: pd.DataFrame) -> dict[str, object]:
    """Send rows as a CSV upload; the reply."""
    boundary = "tabular-model-demo"
    body = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="file"; filename="sample.csv"\r\n'
        "Content-Type: text/csv\r\n\r\n"
        f"{sample.to_csv(index=False)}\r\n--{boundary}--\r\n"
    )
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/predict",
        data=body.encode(),
        headers={
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "X-API-Key": os.environ.get("SERVE_API_KEY", ""),
        },
    )
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - loopback
        answer: dict[str, object] = json.load(reply)
    return answer


def address(settings: Settings) -> str:
    """Where `make serve` will answer."""
    return f"http://{settings.host}:{settings.port}"


def summary(version: str, sample: pd.DataFrame, predictions: object) -> None:
    """What came out, and what to type next."""
    leaderboard = pd.read_csv(LEADERBOARD)
    manifest = json.loads((Path("model/serving") / MANIFEST).read_text())
    print("\nLeaderboard (means over the folds)")
    columns = [name for name in leaderboard.columns if not name.endswith(" std")]
    print(leaderboard[columns].to_string(index=False, float_format=lambda x: f"{x:.5g}"))
    print("\nHoldout")
    print("  " + "  ".join(f"{name} {value:.5g}" for name, value in manifest["metrics"].items()))
    print(f"\nModel {manifest['name']}, version {version}")
    print(f"  data {manifest['lineage']['data']['md5']}")
    print("\nAnswers to five rows of the holdout, from a folder with app/ and dvc.lock alone")
    print(sample.assign(prediction=predictions).to_string(index=False))
    print(
        f"""
Next
  make up                    S3 and the MLflow UI, {os.environ["MLFLOW_TRACKING_URI"]}
  . .venv/bin/activate
  dvc exp run -S train.folds=3
  dvc exp show
  make serve                 the API, {address(read_settings())}/docs
  make down"""
    )


def main() -> None:
    """Command line."""
    try:
        started = services.up(Path.cwd())
    except processes.ServiceError as error:
        sys.exit(str(error))
    try:
        sample_table.main()
        run("dvc", "repro")
        run("dvc", "push")
        schema = Schema.read(SCHEMA)
        holdout = read_prepared(TEST, schema)
        sample = holdout[[*schema.names, schema.target]].head(ROWS)
        version = locked_version(Path("dvc.lock"), "deploy", "model/serving")
        with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as url:
            reply = ask(url, sample.drop(columns=schema.target))
        served = reply["model"]["version"]  # type: ignore[index]
        if served != version:
            sys.exit(f"The server answers from version {served}, dvc.lock names {version}.")
        summary(version, sample, reply["predictions"])
    finally:
        for service in started:
            processes.stop(service)


if __name__ == "__main__":
    main()
