"""The files of `deploy/` can be used as they are: what can be said of them without running them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes_validate import validate

from app.settings import PREFIX, Settings
from tests.app.processes import environment, folder_with_model, started
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"


def refused(command: str, folder: Path) -> str:
    """What the batch says of a command line of its own, with an input that is not there."""
    arguments = shlex.split(command.split("-m app.batch", 1)[1])
    done = subprocess.run(
        [sys.executable, "-m", "app.batch", *arguments, "--metrics", str(folder / "batch.prom")],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "SERVE_REMOTE": "s3://bucket/prefix"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr  # 2 would be a wrong command line
    return done.stderr


def test_the_commands_of_unit_cron_and_job_are_understood(tmp_path: Path) -> None:
    (unit,) = re.findall(r"^ExecStart=(.*)$", (DEPLOY / "predict.service").read_text(), re.M)
    (cron,) = re.findall(r"^30 2 .* && (.*?) 2>>", (ROOT / "docs/batch.md").read_text(), re.M)
    job = yaml.safe_load((DEPLOY / "kubernetes" / "predict-cronjob.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    for command in (unit, cron, container["args"][0].split("||")[0]):
        assert "dvc.lock does not exist" in refused(command, tmp_path)


def test_kubernetes_knows_every_field() -> None:
    """By the schemas of its API, which refuse a field that they do not know."""
    kinds = []
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            validate(manifest, desired_version="1.34", strict=True)
            kinds.append(manifest["kind"])
    assert kinds == ["CronJob", "Deployment", "Service", "PodDisruptionBudget"]


def test_the_pods_bear_a_read_only_root_and_no_rights() -> None:
    (deployment, *_) = yaml.safe_load_all((DEPLOY / "kubernetes" / "server.yaml").read_text())
    job = yaml.safe_load((DEPLOY / "kubernetes" / "predict-cronjob.yaml").read_text())
    template = deployment["spec"]["template"]
    for pod in (template["spec"], job["spec"]["jobTemplate"]["spec"]["template"]["spec"]):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
    assert (
        deployment["spec"]["selector"]["matchLabels"].items()
        <= template["metadata"]["labels"].items()
    )


def test_compose_knows_every_field() -> None:
    """By the schema of the Compose specification."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"),
            str(DEPLOY / "compose.yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


@dataclass(frozen=True)
class Stage:
    """What a stage of the Dockerfile says.

    Attributes:
        copies: each file of the repository, and its place in the image.
        environment: the variables that it sets.
        command: what a container runs.
        health: how its health is checked.
    """

    copies: dict[str, str]
    environment: dict[str, str]
    command: list[str]
    health: list[str]


def stage(name: str) -> Stage:
    """Read a stage of the Dockerfile; paths in it are below its WORKDIR."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    (body,) = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM|\Z)", text, re.M | re.S)
    words = [shlex.split(line, comments=True) for line in body.splitlines()]
    variables = [word.split("=", 1) for line in words if line[:1] == ["ENV"] for word in line[1:]]
    commands = re.findall(r"^(?:HEALTHCHECK.*?)? *CMD (\[.*\])$", body, re.M)
    health, command = [json.loads(one) for one in commands]
    return Stage(
        copies={line[1]: line[2] for line in words if line[:1] == ["COPY"] and len(line) == 3},
        environment=dict(variables),
        command=command,
        health=health,
    )


def test_what_the_image_holds_is_enough_to_serve(tmp_path: Path) -> None:
    """The copies, variables, command and health check of the Dockerfile, outside a container."""
    server = stage("server")
    assert server.copies == {"app": "app", "dvc.lock": "dvc.lock"}
    folder = folder_with_model(tmp_path)  # app/ and a dvc.lock of the tests
    bound = {"SERVE_HOST": "127.0.0.1", "SERVE_MODEL_CACHE": str(folder / "cache")}
    settings = {**server.environment, **bound}
    for name in ("PATH", "SERVE_PORT"):
        del settings[name]
    assert server.command[:2] == ["python", "-m"]
    with started(folder, *server.command[2:], settings=settings) as one:
        port = str(one.client.base_url.port)
        for where, status in ((port, 0), ("1", 1)):
            done = subprocess.run(
                [sys.executable, *server.health[1:]],
                env={"SERVE_PORT": where},
                capture_output=True,
                check=False,
                timeout=30,
            )
            assert done.returncode == status


def test_the_locked_version_can_be_baked_in(tmp_path: Path) -> None:
    """The step of the stage `baked`: once the version is in the cache, no S3 is asked."""
    text = (DEPLOY / "Dockerfile").read_text()
    assert "SERVE_MODEL_CACHE=/models && python -m app.model" in text
    folder = folder_with_model(tmp_path)
    settings = {"SERVE_REMOTE": "s3://none/baked", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "app.model"],
        cwd=folder,
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, Path(done.stdout.strip()).parent) == (0, folder / "cache")
    shutil.rmtree(folder / "cache")
    missing = subprocess.run(
        [sys.executable, "-m", "app.model"],
        cwd=folder,
        env=environment(folder, AWS_MAX_ATTEMPTS="1", **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert missing.returncode == 1
    assert "127.0.0.1:9" in missing.stderr


def test_every_variable_of_the_deployments_is_a_setting() -> None:
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    text = "".join(path.read_text() for path in DEPLOY.rglob("*") if path.is_file())
    named = set(re.findall(r"\bSERVE_[A-Z_]+\b", text))
    assert named
    assert named - settings == set()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    for path in (*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")):
        text = path.read_text().replace("/srv/tabular-model/.venv/bin/python", sys.executable)
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
