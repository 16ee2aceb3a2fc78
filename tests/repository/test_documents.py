"""The commands, files and settings that the documents name exist."""

import argparse
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.cli.parser import get_main_parser

from app.settings import FOREIGN, PREFIX, Settings
from tests.conftest import ROOT
from tests.repository.commands import FENCED

DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.md"))
]
# Code in a line, between backticks
SPAN = re.compile(r"(`+)(.+?)\1", re.S)
# Written by the set-up, the pipeline or a user
MADE = (
    "data/",
    "prepared/",
    "model/",
    "reports/",
    ".local/",
    ".dvc/config.local",
    ".venv",
    ".env",
    "deployments.jsonl",
    "verification.",
    "verifications/",
    "release.key",
    "batteries.",
)
GONE = {"CHANGELOG.md"}  # it names what was before


def code(document: str) -> Iterator[str]:
    """Every line of a block and every span."""
    text = (ROOT / document).read_text()
    for _, block in FENCED.findall(text):
        yield from block.splitlines()
    for _, span in SPAN.findall(FENCED.sub("", text)):
        yield " ".join(span.split())


def tracked() -> set[str]:
    """Every file that Git has or would take, and the folders that hold them."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = {name for name in done.stdout.splitlines() if (ROOT / name).exists()}
    return files | {str(parent) for name in files for parent in Path(name).parents}


def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands that a parser knows."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_exists(document: str) -> None:
    named = {name for text in code(document) for name in re.findall(r"\bmake ([a-z-]+)", text)}
    assert named - targets() == set()


@pytest.mark.parametrize("document", sorted({*DOCUMENTS} - GONE))
def test_every_module_exists(document: str) -> None:
    named = {name for text in code(document) for name in re.findall(r"python -m ([\w.]+)", text)}
    assert {name for name in named if importlib.util.find_spec(name) is None} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_dvc_command_exists(document: str) -> None:
    commands = subcommands(get_main_parser())
    for text in code(document):
        for first, second in re.findall(r"(?<![\w/])dvc ([a-z-]+)(?: ([a-z-]+))?", text):
            assert first in commands, text
            below = subcommands(commands[first])
            assert not below or second in below, text


@pytest.mark.parametrize("document", sorted({*DOCUMENTS} - GONE))
def test_every_file_exists(document: str) -> None:
    files = tracked()
    names = {name.rpartition("/")[2] for name in files}
    folders = {name.split("/")[0] for name in files if "/" in name} - {"reports"}
    for text in code(document):
        for word in re.findall(r"(?<![\w/~:=*.-])[\w.-]+(?:/[\w.*-]*)*", text):
            path = word.rstrip("/.")
            if word.startswith(MADE) or "*" in path:
                continue
            if "/" in word and word.split("/")[0] in folders:
                assert path in files, f"{document}: {text}"
            elif re.fullmatch(r"[\w-]+\.(?:py|toml|in|yaml|lock|md)", path):
                assert path in names, f"{document}: {text}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_leads_there(document: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text())
    folder = (ROOT / document).parent
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (folder / link).exists()] == []


def test_the_documents_are_read_at_all() -> None:
    words = " ".join(text for document in DOCUMENTS for text in code(document))
    for command in ("make demo", "python -m app", "dvc exp run", "stages/params.py"):
        assert command in words


def test_the_example_of_settings_names_every_one_and_no_other() -> None:
    named = re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M)
    server = {
        (name if name.startswith(FOREIGN) else PREFIX + name).upper()
        for name in Settings.model_fields
    }
    # boto3's two names of one setting; the others are MLflow's
    server = server - {"AWS_REGION"} | {"AWS_DEFAULT_REGION", "MLFLOW_TRACKING_URI"}
    assert set(named) == server
    assert len(named) == len(server)
