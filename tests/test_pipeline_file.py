"""`dvc.yaml` declares what the stages' code reads."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imported(path: Path) -> set[Path]:
    """The project's own modules that a module imports, packages as their `__init__`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            stem = ROOT.joinpath(*name.split("."))
            found |= {
                file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.exists()
            }
    return found


def closure(path: Path) -> set[Path]:
    """The module and everything of the project that it imports, directly or not."""
    seen: set[Path] = set()
    todo = {path}
    while todo:
        module = todo.pop()
        seen.add(module)
        todo |= imported(module) - seen
    return seen


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_imported_module_is_a_dependency(stage: str) -> None:
    declared = {ROOT / dep for dep in PIPELINE[stage]["deps"]}
    modules = closure(ROOT / "stages" / f"{stage}.py")
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
    modules = closure(ROOT / "stages" / f"{stage}.py")
    code = {dep for dep in PIPELINE[stage]["deps"] if dep.startswith(("stages/", "app/"))}
    used = {
        dep for dep in code if any(ROOT / dep in (module, *module.parents) for module in modules)
    }
    assert code - used <= {"stages/deployment/mlflow_model.py", "app/requirements.txt"}


@pytest.mark.parametrize("stage", PIPELINE)
def test_stage_script_and_params_share_one_word(stage: str) -> None:
    assert PIPELINE[stage]["cmd"] == f"python -m stages.{stage}"
    assert PIPELINE[stage]["desc"]
    assert stage in {name.split(".")[0] for name in PIPELINE[stage]["params"]}
