"""Who needs which packages: the server, the pipeline, a developer."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(\S+)", re.M)
OURS = {"app", "benchmarks", "lifecycle", "local", "stages", "tests"}


def canonical(name: str) -> str:
    """A package's name as the compiled lists write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(source: Path) -> set[str]:
    """The packages that a `.in` file names itself."""
    lines = source.read_text().splitlines()
    return {canonical(match[1]) for line in lines if (match := NAME.match(line))}


def pinned(compiled: Path) -> dict[str, str]:
    """The version of each package in a compiled list."""
    return dict(PIN.findall(compiled.read_text()))


@cache
def distributions() -> Mapping[str, list[str]]:
    """The packages that provide each importable module; takes seconds."""
    return packages_distributions()


def imported(folder: str, apart: Iterable[str] = ()) -> set[str]:
    """The packages that the modules of a folder import, the standard library's apart."""
    modules: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        if path.relative_to(ROOT).as_posix() in apart:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.split(".")[0])
    providers = distributions()
    third_party = modules - OURS - set(sys.stdlib_module_names)
    return {canonical(providers[module][0]) for module in third_party}


def test_what_only_develops_the_project_does_not_retrain_it() -> None:
    shared = required(ROOT / "requirements-dev.in") & pinned(ROOT / "requirements.txt").keys()
    assert shared == {"cryptography", "psutil"}  # MLflow and Dask need them too


def test_no_stage_depends_on_the_developers_packages() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    lists = {dep for stage in stages.values() for dep in stage["deps"] if "requirements" in dep}
    assert lists == {"requirements.txt", "app/requirements.txt"}


@pytest.mark.parametrize(
    "name",
    [
        "requirements-dev.txt",
        "app/requirements.txt",
        "app/requirements-clouds.txt",
        "app/requirements-dask.txt",
        "app/requirements-stream.txt",
    ],
)
def test_a_package_of_two_lists_has_one_version(name: str) -> None:
    pipeline, other = pinned(ROOT / "requirements.txt"), pinned(ROOT / name)
    assert {one: other[one] for one in other.keys() & pipeline.keys()} == {
        one: pipeline[one] for one in other.keys() & pipeline.keys()
    }
    assert other


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "requirements-dev.txt",
        "app/requirements.txt",
        "app/requirements-clouds.txt",
    ],
)
def test_every_package_is_pinned_with_its_hashes(name: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / name).read_text())[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert len(entries) == len(pinned(ROOT / name))


def test_the_bill_of_materials_is_what_the_server_installs(tmp_path: Path) -> None:
    file = tmp_path / "new" / "sbom.json"
    subprocess.run(["make", "--silent", "sbom", f"SBOM={file}"], cwd=ROOT, check=True)
    bill = json.loads(file.read_text())
    listed = {canonical(one["name"]): one["version"] for one in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert listed == pinned(ROOT / "app/requirements.txt")
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])


def test_the_pipeline_imports_what_its_list_holds() -> None:
    assert imported("stages") - pinned(ROOT / "requirements.txt").keys() == set()


def test_the_server_imports_what_its_list_holds() -> None:
    apart = [
        "app/model/pycaret_runtime.py",  # in the full environment
        "app/batch/dask_engine.py",
        "app/storage/clouds.py",
    ]
    held = pinned(ROOT / "app/requirements.txt").keys()
    needed = imported("app", apart)
    assert needed - held == imported("app/stream") - held
    assert needed - held - pinned(ROOT / "app/requirements-stream.txt").keys() == set()
    assert "distributed" in pinned(ROOT / "app/requirements-dask.txt")
    assert "obstore" in pinned(ROOT / "app/requirements-clouds.txt")


def test_a_developers_programs_import_what_the_lists_hold() -> None:
    held = pinned(ROOT / "requirements.txt").keys() | pinned(ROOT / "requirements-dev.txt").keys()
    in_the_peers_environment = ["benchmarks/quality/peers.py"]
    programs = imported("benchmarks", in_the_peers_environment)
    programs |= imported("lifecycle") | imported("local") | imported("tests")
    assert programs - held == set()
