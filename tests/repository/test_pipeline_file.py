"""`dvc.yaml` declares the code whose change can change a stage's outputs, and no other."""

import ast
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.files import md5

ROOT = Path(__file__).parents[2]
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


# They write to MLflow alone, beside the pipeline: no output of a stage depends on them.
TRACKING = {
    "stages/tracking.py",
    "stages/training/logger.py",
    "stages/training/note.py",
    "stages/deployment/registry.py",
    "stages/deployment/mlflow_model.py",
}


def imported(path: Path) -> set[Path]:
    """The project's own modules that a module imports, packages as their `__init__`."""
    files = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            parents = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            module = ".".join([*parents, *([node.module] if node.module else [])])
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            stem = ROOT.joinpath(*name.split("."))
            files |= {
                file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.exists()
            }
    return files


def closure(path: Path) -> set[Path]:
    """The module and everything of the project that it imports, directly or not.

    What is only tracking is left out, with all that it alone imports.
    """
    modules: set[Path] = set()
    todo = {path}
    while todo:
        module = todo.pop()
        modules.add(module)
        tracking = {ROOT / name for name in TRACKING}
        todo |= imported(module) - modules - tracking
    return modules


def code_of(stage: str) -> set[Path]:
    """The modules of a stage and of what starts it."""
    folder = ROOT / "stages"
    return closure(folder / f"{stage}.py") | closure(folder / "__main__.py")


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_lock_is_of_this_code(stage: str, tmp_path: Path) -> None:
    """A commit whose lock is of other code is not the same when it is rebuilt."""
    for name in ("app", "stages"):
        ignored = shutil.ignore_patterns("__pycache__")  # by DVC, too
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    dependencies = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"][stage]["deps"]
    locked = {one["path"]: one["md5"] for one in dependencies}
    code = {path: pin for path, pin in locked.items() if path.startswith(("app/", "stages/"))}
    assert {path: md5(tmp_path / path) for path in code} == code


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_imported_module_is_a_dependency(stage: str) -> None:
    declared = {ROOT / dep for dep in PIPELINE[stage]["deps"]}
    modules = code_of(stage)
    empty = {
        module
        for module in modules
        if module.name == "__init__.py" and not ast.parse(module.read_text()).body[1:]
    }
    missing = {
        str(module.relative_to(ROOT))
        for module in modules - empty
        if not declared & {module, *module.parents}
    }
    assert missing == set()


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_declared_module_is_imported(stage: str) -> None:
    modules = code_of(stage)
    code = {dep for dep in PIPELINE[stage]["deps"] if dep.startswith(("stages/", "app/"))}
    used = {
        dep for dep in code if any(ROOT / dep in (module, *module.parents) for module in modules)
    }
    # What a pickled pipeline imports when it is opened is imported by no line of code
    assert code - used <= {"app/requirements.txt", "stages/training/estimators"}


@pytest.mark.parametrize("stage", PIPELINE)
def test_no_stage_depends_on_another_ones_code(stage: str) -> None:
    others = {f"stages/{other}.py" for other in PIPELINE if other != stage}
    assert others.isdisjoint(PIPELINE[stage]["deps"])
    assert TRACKING.isdisjoint(PIPELINE[stage]["deps"])


@pytest.mark.parametrize("stage", PIPELINE)
def test_stage_script_and_params_share_one_word(stage: str) -> None:
    assert PIPELINE[stage]["cmd"] == f"python -m stages {stage}"
    assert PIPELINE[stage]["desc"]
    assert stage in {name.split(".")[0] for name in PIPELINE[stage]["params"]}
