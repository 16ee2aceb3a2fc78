"""Promote, roll back, see: over a real S3, registry, repository and server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from mlflow.tracking import MlflowClient
from pydantic import SecretStr

from lifecycle import deployments
from lifecycle.history import HISTORY, read_history
from lifecycle.promotion import MOVED
from stages.deployment.registry import CHAMPION, VERSION
from tests.app.conftest import EXAMPLE, publish, serve, settings_in, write_model
from tests.conftest import S3
from tests.project import environment
from tests.remote import push

KEY = "reload-key"


class Repository:
    """A repository whose commits lock versions of the tiny model, pushed and registered."""

    def __init__(self, root: Path, s3: S3, client: MlflowClient) -> None:
        self.root = root
        self.s3 = s3
        self.client = client
        self.client.create_registered_model("tiny")
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def train(self, shift: float, pushed: bool = True, register: bool = True) -> str:
        """Commit a version, its parameters and its scores; the commit."""
        folder = self.root.parent / f"model-{shift}"
        cache = self.root.parent / "built"
        version = publish(write_model(folder, shift=shift), cache, self.root / "dvc.lock")
        if pushed:
            push(cache / version, version, self.s3.bucket, "history")
        if register:
            tags = {VERSION: f"{version}.dir"}
            self.client.create_model_version("tiny", f"s3://{self.s3.bucket}/tiny", tags=tags)
        (self.root / "params.yaml").write_text(f"shift: {shift}\n")
        (self.root / "data.dvc").write_text(f"outs: [{{md5: {version}}}]\n")
        (self.root / "reports").mkdir(exist_ok=True)
        (self.root / "reports" / "metrics.json").write_text(f'{{"mae": {shift}}}\n')
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Shift {shift}")
        return self.git("rev-parse", "HEAD")

    def champion(self) -> str:
        version = self.client.get_model_version_by_alias("tiny", CHAMPION)
        return str(version.tags[VERSION]).removesuffix(".dir")

    def state(self) -> tuple[object, ...]:
        """Everything that a promotion moves."""
        names = [*MOVED, HISTORY]
        files = [name.read_bytes() if name.exists() else None for name in names]
        aliases = self.client.get_registered_model("tiny").aliases
        return (files, aliases, self.git("rev-parse", "HEAD"), self.git("status", "--porcelain"))


@pytest.fixture
def repository(
    tmp_path: Path, s3: S3, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Repository]:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    for name, value in environment(s3, mlflow_server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SERVE_REMOTE", f"s3://{s3.bucket}/history")
    client = MlflowClient(mlflow_server)
    yield Repository(root, s3, client)
    client.delete_registered_model("tiny")


@pytest.fixture
def server(repository: Repository, tmp_path: Path) -> Iterator[httpx.Client]:
    """A server of the repository's lock that has no model of its own; started on the first."""
    repository.train(1.0)
    s3 = repository.s3
    settings = settings_in(tmp_path).model_copy(
        update={
            "remote": f"s3://{s3.bucket}/history",
            "lock_file": repository.root / "dvc.lock",
            "aws_endpoint_url": s3.endpoint,
            "aws_access_key_id": s3.key_id,
            "aws_secret_access_key": SecretStr(s3.secret),
            "api_key": SecretStr(KEY),
        }
    )
    with serve(settings) as client:
        yield client


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["history", *arguments])
    deployments.main()


def answer(server: httpx.Client) -> tuple[str, bytes]:
    """The server's version and the bytes of its answer, after a reload."""
    headers = {"X-API-Key": KEY}
    server.post("/reload", headers=headers).raise_for_status()
    reply = server.post("/predict/records", headers=headers, json={"records": [EXAMPLE]})
    reply.raise_for_status()
    body: dict[str, Any] = reply.json()
    return body["model"]["version"], reply.content


def locked(root: Path) -> str:
    stages = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    return str(stages["deploy"]["outs"][0]["md5"]).removesuffix(".dir")


def test_the_servers_answers_follow_bit_for_bit(
    repository: Repository,
    server: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = answer(server)
    better = repository.train(2.0)
    second = answer(server)
    call(monkeypatch, "promote", "HEAD~1")
    assert answer(server) == first
    call(monkeypatch, "rollback")
    assert answer(server) == second
    call(monkeypatch, "promote", "HEAD~3")
    assert answer(server) == first
    assert first != second
    assert locked(repository.root) == repository.champion() == first[0]
    assert (repository.root / "params.yaml").read_text() == "shift: 1.0\n"
    assert repository.git("status", "--porcelain") == ""
    capsys.readouterr()
    call(monkeypatch, "show")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines] == ["promote", "rollback", "promote"]
    assert [line[3] for line in lines] == [first[0], second[0], first[0]]
    assert lines[1][5] == better[:10]
    assert lines[1][6:] == ["mae", "12.5"]


def test_rollbacks_go_back_step_by_step(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = [repository.train(float(shift)) for shift in range(3)]
    for commit in commits[:2]:
        call(monkeypatch, "promote", commit)
    for shift in ("0.0", "2.0"):
        call(monkeypatch, "rollback")
        assert (repository.root / "params.yaml").read_text() == f"shift: {shift}\n"
    with pytest.raises(SystemExit, match="no promotion to take back"):
        call(monkeypatch, "rollback")
    assert len(read_history()) == 4


def test_a_rollback_after_a_new_training_leads_to_what_was_promoted(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.train(1.0)
    repository.train(2.0)
    call(monkeypatch, "promote", commit)
    repository.train(3.0)
    call(monkeypatch, "rollback")
    assert (repository.root / "params.yaml").read_text() == "shift: 1.0\n"


def test_a_promotion_of_what_is_served_already_does_not_stop_a_rollback(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = repository.train(1.0)
    newer = repository.train(2.0)
    call(monkeypatch, "promote", newer)
    call(monkeypatch, "rollback")
    assert (repository.root / "params.yaml").read_text() == "shift: 1.0\n"
    for commit in (older, newer, newer):
        call(monkeypatch, "promote", commit)
    for shift in ("1.0", "2.0"):
        call(monkeypatch, "rollback")
        assert (repository.root / "params.yaml").read_text() == f"shift: {shift}\n"


def test_a_first_rollback_leads_to_what_was_locked_before(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.train(1.0)
    with pytest.raises(SystemExit, match="know a version before"):
        call(monkeypatch, "rollback")
    of_another_candidate(repository)
    whole = repository.git("rev-parse", "HEAD~1")
    repository.train(2.0)
    call(monkeypatch, "rollback")
    assert [line.commit for line in read_history()] == [whole]
    assert (repository.root / "params.yaml").read_text() == "shift: 9.0\n"
    assert "A server takes it over when it is started anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SERVE_WATCH_SECONDS", "2.5", "by itself, within 2.5 s"),
        ("SERVE_API_KEY", "secret", "on `POST /reload`, with the key of SERVE_API_KEY"),
    ],
)
def test_a_promotion_says_what_the_server_needs(
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, value)
    call(monkeypatch, "promote", repository.train(1.0))
    assert words in capsys.readouterr().out


def test_a_lock_of_mixed_stages_is_left_by_a_rollback(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.train(1.0)
    repository.train(2.0)
    call(monkeypatch, "promote", commit)
    of_another_candidate(repository)
    call(monkeypatch, "rollback")
    assert (repository.root / "params.yaml").read_text() == "shift: 1.0\n"


def test_a_dvc_experiment_is_promoted_by_its_name(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.train(1.0)
    base = repository.git("rev-parse", "HEAD")
    experiment = repository.train(2.0)
    repository.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/fizzy-bean", experiment)
    repository.git("reset", "--quiet", "--hard", base)
    call(monkeypatch, "promote", "fizzy-bean")
    assert read_history()[0].commit == experiment
    assert (repository.root / "params.yaml").read_text() == "shift: 2.0\n"


def not_pushed(repository: Repository) -> str:
    return repository.train(10.0, pushed=False)


def not_registered(repository: Repository) -> str:
    return repository.train(9.0, register=False)


def of_another_candidate(repository: Repository) -> str:
    repository.train(9.0)
    path = repository.root / "dvc.lock"
    content = yaml.safe_load(path.read_text())
    content["stages"]["train"] = {"outs": [{"path": "model/candidate", "md5": "new.dir"}]}
    content["stages"]["deploy"]["deps"] = [{"path": "model/candidate", "md5": "old.dir"}]
    path.write_text(yaml.safe_dump(content))
    repository.git("commit", "--quiet", "--all", "--message", "Half a pipeline")
    return repository.git("rev-parse", "HEAD")


def unknown(repository: Repository) -> str:
    return "no-such-thing"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (not_pushed, "the object is not there; run `dvc push`"),
        (not_registered, "registry has no version of tiny tagged version_md5="),
        (of_another_candidate, "the stage deploy has not run on its model/candidate"),
        (unknown, "'no-such-thing' is no commit, branch, tag or DVC experiment"),
    ],
)
def test_what_cannot_be_served_is_not_promoted(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, make: Any, message: str
) -> None:
    base = repository.train(1.0)
    commit = make(repository)
    repository.git("checkout", "--quiet", "-B", "main", base)
    before = repository.state()
    with pytest.raises(SystemExit, match=message):
        call(monkeypatch, "promote", commit)
    assert repository.state() == before


def test_a_refused_commit_takes_everything_back(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = [repository.train(float(shift)) for shift in range(2)]
    hook = repository.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    before = repository.state()
    with pytest.raises(SystemExit, match="not on a Friday"):
        call(monkeypatch, "promote", commits[0])
    assert repository.state() == before


def test_uncommitted_parameters_are_not_overwritten(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = [repository.train(float(shift)) for shift in range(2)]
    (repository.root / "params.yaml").write_text("shift: 7\n")
    with pytest.raises(SystemExit, match=r"Commit or discard these first:\n M params.yaml"):
        call(monkeypatch, "promote", commits[0])
    assert (repository.root / "params.yaml").read_text() == "shift: 7\n"


def test_a_history_that_lost_lines_is_refused(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = [repository.train(float(shift)) for shift in range(2)]
    for commit in commits:
        call(monkeypatch, "promote", commit)
    lines = HISTORY.read_text().splitlines(keepends=True)
    HISTORY.write_text(lines[1])  # as `dvc exp apply` of an older experiment does
    repository.git("commit", "--all", "--quiet", "--message", "Another branch's history")
    before = repository.state()
    for action in (["promote", commits[0]], ["rollback"], ["show"]):
        with pytest.raises(SystemExit, match=r"deployments.jsonl has lost 1 line"):
            call(monkeypatch, *action)
    assert repository.state() == before


def test_a_dead_registry_changes_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = [repository.train(float(shift)) for shift in range(2)]
    before = repository.state()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SystemExit, match="MLflow does not answer"):
        call(monkeypatch, "promote", commits[0])
    assert repository.state() == before
