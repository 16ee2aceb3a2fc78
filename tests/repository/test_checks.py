"""The hand, the hook and CI run the same checks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from tests.conftest import ROOT, SLOW


def test_every_check_of_make_lint_is_a_hook() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"^lint:.*\n\t@(.*)$", makefile, re.M)
    checks = {
        check.removeprefix("$(BIN)/").replace(" --check", "") for check in recipe.split(" && ")
    }
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    commands = {hook["entry"].removeprefix(".venv/bin/") for hook in hooks}
    assert {check.removesuffix(" .") for check in checks} == commands


def test_the_workflow_runs_what_ci_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    assert commands == [".ci/run"]
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in script if line.startswith("make ")] == [
        "make lint",
        "make test TESTS=--cov",
        "make test-long",
    ]


@pytest.mark.parametrize("name", ["ci.yml", "model.yml"])
def test_github_knows_every_field_of_a_workflow(name: str) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.github-workflows"),
            str(ROOT / ".github" / "workflows" / name),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def model_scripts() -> dict[str, str]:
    """The shell scripts of the workflow that rebuilds and promotes, by the names of their steps."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "model.yml").read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"] if "run" in step]
    return {step["name"]: step["run"] for step in steps}


def test_every_script_of_the_workflow_is_a_shell_script() -> None:
    for name, script in model_scripts().items():
        done = subprocess.run(
            ["bash", "-n"], input=script, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"


def test_the_workflow_hands_its_variables_to_the_project(tmp_path: Path) -> None:
    script = model_scripts()["Set up"].replace("make setup", "true")
    told = {"SERVE_REMOTE": "s3://b/dvc", "AWS_ACCESS_KEY_ID": "k", "AWS_ENDPOINT_URL": ""}
    environment = {**told, "PATH": "/usr/bin:/bin", "GITHUB_TOKEN": "secret"}
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=environment, check=True)
    assert dotenv_values(tmp_path / ".env") == told
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_what_is_called_slow_exists() -> None:
    assert [name for name in SLOW if not (ROOT / "tests" / name).exists()] == []
