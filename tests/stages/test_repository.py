import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stages.repository import CommandError, dvc, git


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    return tmp_path


def test_git_answers(repository: Path) -> None:
    (repository / "über.txt").write_text("x")
    assert git("ls-files", "--others", "-z") == "über.txt\0"


def test_git_reads_what_it_is_given(repository: Path) -> None:
    blob = git("hash-object", "-w", "--stdin", stdin="naïve ☂\n").strip()
    assert git("cat-file", "blob", blob) == "naïve ☂\n"


def test_a_failure_names_the_command_and_its_reason(repository: Path) -> None:
    with pytest.raises(CommandError, match=r"`git show nothing` failed: .*nothing"):
        git("show", "nothing")
    with pytest.raises(CommandError, match=r"`dvc status` failed: .*not inside of a DVC repo"):
        dvc("status")


def test_dvc_answers(repository: Path) -> None:
    dvc("init", "--quiet")
    assert "no data or pipelines" in dvc("status")


def test_what_a_command_leaves_running_is_not_waited_for(repository: Path) -> None:
    """As `dvc queue start` does; with a pipe the caller would wait for its end."""
    hook = repository / ".git" / "hooks" / "post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nsleep 60 &\necho $! > worker\n")
    hook.chmod(0o755)
    program = """
        from stages.repository import git
        author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        git(*author, "commit", "--quiet", "--allow-empty", "--message", "x")
    """
    try:
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
            check=True,
            timeout=30,
        )
    finally:
        worker = (repository / "worker").read_text().strip()
        subprocess.run(["kill", worker], check=True)
