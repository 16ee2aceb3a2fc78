"""The files of `deploy/` can be used as they are."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
    job = yaml.safe_load((DEPLOY / "predict-cronjob.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    for command in (unit, cron, container["args"][0].split("||")[0]):
        assert "dvc.lock does not exist" in refused(command, tmp_path)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    for path in DEPLOY.glob("predict.[st]*"):
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
