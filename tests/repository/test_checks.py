"""The hand, the hook and CI run the same checks."""

import re

import yaml

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
    ]


def test_what_is_called_slow_exists() -> None:
    assert [name for name in SLOW if not (ROOT / "tests" / name).exists()] == []
