"""The commands of docs/tutorial.md, word for word, in a copy of the project."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, S3
from tests.project import create, houses

TEXT = (ROOT / "docs" / "tutorial.md").read_text()
# Beside the services and the environment of the tests
NOT_RUN = {
    "git clone <this repository> batteries && cd batteries": "the copy is one",
    "make up": "tests/local/test_services.py",
    ". .venv/bin/activate": "tests/local/test_setup.py",
    "make serve": "tests/app/test_start.py",
    "curl -F file=@batteries.csv http://127.0.0.1:8000/predict": "tests/test_tables.py",
    "dvc exp run -S train.blend=0": "tests/test_pipeline.py; it trains again",
    'git commit -am "No blend"': "as above",
    "make promote REV=HEAD": "tests/lifecycle/test_deployments.py",
    "make rollback": "tests/lifecycle/test_deployments.py",
    "make history": "tests/lifecycle/test_deployments.py",
    "make down": "tests/local/test_services.py",
}


def blocks(language: str) -> list[str]:
    """The code of a language; plain blocks are commands."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.M | re.S)
    return [code for name, code in fences if name == language]


def commands() -> list[str]:
    """Every command of the document, in order."""
    return [line for block in blocks("") for line in block.splitlines()]


def in_the_copy(command: str) -> list[str]:
    """A command as it runs without an environment of the copy's own."""
    words = shlex.split(command)
    if words[0] == "python":
        return [sys.executable, *words[1:]]
    if words[0] == "make":  # the recipe itself, without what installs and activates
        binaries = Path(sys.executable).parent
        return [
            *("make", "--no-print-directory", "-o", "setup"),
            *("ACTIVE=", f"BIN={binaries}", *words[1:]),
        ]
    return words


def test_what_is_not_run_is_in_the_document() -> None:
    assert NOT_RUN.keys() - set(commands()) == set()


@pytest.mark.slow
@pytest.mark.long
def test_the_commands_work_and_the_story_is_true(
    s3: S3, mlflow_server: str, tmp_path: Path
) -> None:
    project = create(tmp_path / "project", s3, mlflow_server, "tutorial", houses(40))
    (program,) = blocks("python")
    (project.root / "batteries.py").write_text(program)
    said: dict[str, str] = {}
    for command in commands():
        if command not in NOT_RUN:
            said[command] = project.run(*in_the_copy(command)).stdout
    (proposal,) = [text for command, text in said.items() if command.startswith("make new-data")]
    quoted = re.findall(r"^> (.*?) … (.*)$", TEXT, re.M)
    assert all(part in proposal for part in quoted[0])
    scores = json.loads((project.root / "reports" / "metrics.json").read_text())
    assert scores["inflation_percent"]["rmse"] > 30  # "about 40 %"
    assert (project.root / said["make report"].splitlines()[-1]).exists()
