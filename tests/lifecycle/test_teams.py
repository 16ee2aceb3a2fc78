"""Two people's clones: one Git repository, one S3, one MLflow over PostgreSQL."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifecycle.history import HISTORY, Deployment, read_history
from local.processes import free_port
from stages.deployment.registry import CHAMPION
from tests.conftest import ROOT, S3, running_mlflow
from tests.lifecycle.test_deployments import Repository, call, repository

__all__ = ["repository"]

BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
EACH = 10
# A person's evening: promote this and that, each time at once with the other one
PROMOTE = """
import sys
from lifecycle import deployments
for commit in sys.argv[1].split(","):
    sys.argv = ["deployments", "promote", commit, "--push"]
    deployments.main()
"""

pytestmark = pytest.mark.skipif(
    BINARIES is None, reason="no PostgreSQL: `apt-get install postgresql` (Debian)"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty database."""
    assert BINARIES is not None
    owner = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if owner:
            shutil.chown(folder, owner)
        for program in (["initdb", "--auth=trust", "--username=mlflow", "--no-sync"], ["start"]):
            options = f"-p {(port := free_port())} -k {folder} -c listen_addresses=127.0.0.1"
            if program == ["start"]:
                program = [
                    "pg_ctl",
                    "start",
                    "--wait",
                    "--options",
                    options,
                    "--log",
                    f"{folder}/log",
                ]
            subprocess.run(
                [str(BINARIES / program[0]), *program[1:], "--pgdata", str(folder / "data")],
                user=owner,
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        try:
            yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [str(BINARIES / "pg_ctl"), "stop", "--mode=fast", "--pgdata", str(folder / "data")],
                user=owner,
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
            )


@pytest.fixture(scope="module")
def mlflow_server(postgres: str, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server over that database."""
    with running_mlflow(tmp_path_factory.mktemp("teams"), s3, postgres) as url:
        yield url


def share(repository: Repository, path: Path) -> None:
    """Make a bare repository that the work tree pulls from and pushes to."""
    repository.git("clone", "--quiet", "--bare", str(repository.root), str(path))
    repository.git("remote", "add", "origin", str(path))
    repository.git("fetch", "--quiet")
    repository.git("branch", "--set-upstream-to=origin/main")


def test_no_line_is_lost_and_the_champion_is_the_last_promotion(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs, shared = repository.root, tmp_path / "theirs", tmp_path / "shared.git"
    commits = [repository.train(float(shift)) for shift in range(2)]
    share(repository, shared)
    repository.git("clone", "--quiet", str(shared), str(theirs))

    for clone, commit in zip([mine, theirs] * 2, commits * 2, strict=True):  # in turn
        monkeypatch.chdir(clone)
        call(monkeypatch, "promote", commit, "--push")
        assert Deployment.model_validate_json(HISTORY.read_text().splitlines()[-1]).commit == commit
        assert repository.champion() == read_history()[-1].version

    people = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTE, ",".join([commit] * EACH)],
            cwd=clone,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        for clone, commit in zip([mine, theirs], commits, strict=True)
    ]
    assert [one.wait(300) for one in people] == [0, 0]
    monkeypatch.chdir(mine)
    repository.git("pull", "--quiet", "--ff-only")
    history = read_history()
    assert len(history) == 4 + 2 * EACH
    assert [sum(line.commit == one for line in history) for one in commits] == [2 + EACH] * 2
    assert repository.champion() == history[-1].version

    monkeypatch.chdir(theirs)
    last = history[-1].version
    call(monkeypatch, "rollback", "--push")
    monkeypatch.chdir(mine)
    repository.git("pull", "--quiet", "--ff-only")
    assert read_history()[-1].action == "rollback"
    assert repository.champion() == read_history()[-1].version != last


def test_a_push_that_is_refused_changes_nothing(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared.git"
    commits = [repository.train(float(shift)) for shift in range(2)]
    share(repository, shared)
    call(monkeypatch, "promote", commits[1], "--push")
    hook = shared / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    before = repository.state()
    with pytest.raises(SystemExit, match=r"`git push --quiet` failed: (.|\n)*main is protected"):
        call(monkeypatch, "rollback", "--push")
    assert repository.state() == before
    assert repository.client.get_model_version_by_alias("tiny", CHAMPION).tags
