"""Imports run one way, between the folders and inside them, and no folder grows without end."""

import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
MOST_MODULES = 12  # more than that nobody holds in mind


@pytest.mark.parametrize("contract", [contract["id"] for contract in CONTRACTS])
def test_imports_keep_the_contract(contract: str) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-logo", "--no-cache", "--contract", contract],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_folder_holds_too_many_modules() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = [Path(name) for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    count = Counter(module.parent.as_posix() for module in modules)
    assert {folder: size for folder, size in count.items() if size > MOST_MODULES} == {}
    assert count["app"] > 0
