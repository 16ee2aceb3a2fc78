"""Pulling from an S3 that hangs, drips, fails or is not there: the server goes on, and ends."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from app.operations import pull
from app.settings import Settings
from tests.app.clouds import Cloud, push
from tests.app.conftest import EXAMPLE, lock, publish, regression_answer, serve, write_model
from tests.app.hanging import DRIPS, DRIPS_IN_HEAD, HANGS, HANGS_IN_BODY, Fault, s3_that
from tests.app.processes import folder_with_model, started
from tests.app.waiting import wait_for

KEY = {"X-API-Key": "a key"}
S3_KEY = {"aws_access_key_id": "key", "aws_secret_access_key": SecretStr("secret-of-s3")}
ROWS = "carat weight,cut,certified,sold\n1.5,Good,true,2020-01-01\n"
FAULTS = {
    "hangs": HANGS,
    "hangs in the body": HANGS_IN_BODY,
    "drips": DRIPS,
    "drips in the head": DRIPS_IN_HEAD,
}


@pytest.fixture(params=FAULTS.values(), ids=[*FAULTS])
def broken_s3(request: pytest.FixtureRequest) -> Iterator[str]:
    with s3_that(request.param) as address:
        yield address


@pytest.fixture
def impatient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a server with a key and one thread, which waits little for S3."""
    monkeypatch.setattr("app.operations.takeover.PULL_PATIENCE_SECONDS", 0.2)
    return settings.model_copy(update={"api_key": SecretStr("a key"), "threads": 1, **S3_KEY})


def pulls_from(settings: Settings, address: str) -> Settings:
    return settings.model_copy(update={"aws_endpoint_url": address})


def pulls(server: int) -> list[psutil.Process]:
    """The processes that pull for a server."""
    children = psutil.Process(server).children(recursive=True)
    what = ["-m", "app.operations.pull"]
    return [one for one in children if (one.as_dict(["cmdline"])["cmdline"] or [])[1:] == what]


def is_over(process: psutil.Process) -> bool:
    """Whether it has ended, be it that nobody has asked for its status yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_server_answers_while_a_pull_hangs_and_gives_it_up(
    impatient: Settings, tmp_path: Path, broken_s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "STALL_SECONDS", 2)
    publish(write_model(tmp_path / "model"), impatient.model_cache, impatient.lock_file)
    with serve(pulls_from(impatient, broken_s3)) as client:
        lock("0" * 32, impatient.lock_file)
        replies: list[httpx.Response] = []
        thread = threading.Thread(
            target=lambda: replies.append(
                httpx.post(f"{client.base_url}/reload", headers=KEY, timeout=30)
            )
        )
        thread.start()
        while thread.is_alive():
            reply = client.post("/predict", files={"file": ("a.csv", ROWS)}, headers=KEY)
            assert reply.json()["predictions"] == [regression_answer(EXAMPLE)]
        (reply,) = replies
        assert reply.status_code == 503
        assert "S3 hangs" in reply.json()["detail"]
        assert [path.name for path in impatient.model_cache.glob(".0*")] == []


def test_dripping_that_is_fast_enough_ends_with_the_time_of_the_pull(
    impatient: Settings, tmp_path: Path
) -> None:
    settings = impatient.model_copy(update={"pull_seconds": 2.0})
    publish(write_model(tmp_path / "model"), impatient.model_cache, impatient.lock_file)
    steady = Fault(head=DRIPS.head, drip=b"x" * 65_536)
    with s3_that(steady) as address, serve(pulls_from(settings, address)) as client:
        lock("0" * 32, settings.lock_file)
        reply = client.post("/reload", headers=KEY)
        assert "within 2 seconds" in reply.json()["detail"]


def test_port_opens_while_the_first_pull_hangs(
    impatient: Settings, broken_s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "STALL_SECONDS", 2)
    lock("0" * 32, impatient.lock_file)
    with serve(pulls_from(impatient, broken_s3)) as client:
        assert client.get("/live").status_code == 200
        reply = client.get("/ready")
        assert reply.status_code == 503
        assert f"Version {'0' * 32} is being pulled" in reply.json()["detail"]
        wait_for(lambda: "S3 hangs" in client.get("/ready").json()["detail"])


def test_a_version_comes_from_other_clouds(
    settings: Settings, tmp_path: Path, cloud: Cloud
) -> None:
    known = cloud.known_to(settings, tmp_path.name)
    model = write_model(tmp_path / "model")
    version = push(known, {path.name: path.read_bytes() for path in model.iterdir()})
    lock(version, known.lock_file)
    with serve(known) as client:
        wait_for(lambda: client.get("/ready").status_code == 200)
        reply = client.post("/predict", files={"file": ("a.csv", ROWS)})
        assert reply.json()["predictions"] == [regression_answer(EXAMPLE)]
        assert reply.json()["model"]["version"] == version


def test_another_cloud_that_hangs_is_named(
    impatient: Settings, broken_s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "STALL_SECONDS", 2)
    lock("0" * 32, impatient.lock_file)
    hangs = {"remote": "gs://bucket/dvc", "storage_emulator_host": broken_s3}
    with serve(impatient.model_copy(update=hangs)) as client:
        wait_for(lambda: "gs://bucket/dvc hangs" in client.get("/ready").json()["detail"])


def test_port_opens_where_s3_is_down(impatient: Settings) -> None:
    lock("0" * 32, impatient.lock_file)
    with serve(impatient) as client:
        assert client.get("/live").status_code == 200
        wait_for(lambda: "127.0.0.1:9" in client.get("/ready").json()["detail"])


def test_server_without_a_model_starts_when_s3_is_back(
    impatient: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.operations.takeover.RETRY_SECONDS", 0.1)
    monkeypatch.setattr(pull, "STALL_SECONDS", 2)
    version = publish(write_model(tmp_path / "model"), tmp_path / "s3", impatient.lock_file)
    with s3_that(HANGS) as address, serve(pulls_from(impatient, address)) as client:
        assert client.get("/ready").status_code == 503
        (tmp_path / "s3" / version).rename(impatient.model_cache / version)
        wait_for(lambda: client.get("/ready").status_code == 200)


@pytest.mark.parametrize("pulls_first", [True, False], ids=["at the start", "in a reload"])
def test_sigterm_ends_a_pull(tmp_path: Path, pulls_first: bool) -> None:
    folder = folder_with_model(tmp_path)
    if pulls_first:
        lock("0" * 32, folder / "dvc.lock")
    with s3_that(HANGS) as address:
        settings = {
            "SERVE_API_KEY": "a key",
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret-of-s3",
        }
        until = "/live" if pulls_first else "/ready"
        with started(folder, "app", settings=settings, until=until) as server:
            replies: list[httpx.Response] = []
            thread = threading.Thread(
                target=lambda: replies.append(
                    httpx.post(f"{server.client.base_url}/reload", headers=KEY, timeout=30)
                )
            )
            lock("0" * 32, folder / "dvc.lock")
            if not pulls_first:
                thread.start()
            wait_for(lambda: list((folder / "cache").glob(".0*")) != [])
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(15) is not None
            assert time.monotonic() - begun < pull.STALL_SECONDS / 2
            if not pulls_first:
                thread.join()
                assert [reply.status_code for reply in replies] == [503]
        assert list((folder / "cache").glob(".0*")) == []
        assert "secret-of-s3" not in (folder / "log").read_text()


def test_no_secret_of_azure_is_among_the_arguments(tmp_path: Path) -> None:
    folder = folder_with_model(tmp_path)
    lock("0" * 32, folder / "dvc.lock")
    with s3_that(HANGS) as address:
        (folder / ".env").write_text(
            "AZURE_STORAGE_CONNECTION_STRING=AccountName=a;AccountKey=c2VjcmV0LW9mLWF6dXJl;"
            f"BlobEndpoint={address}/a\n"
        )
        settings = {"SERVE_REMOTE": "az://bucket/dvc"}
        with started(folder, "app", settings=settings, until="/live") as server:
            wait_for(lambda: pulls(server.process.pid) != [])
            (one,) = pulls(server.process.pid)
            assert "c2VjcmV0" not in " ".join(one.cmdline())
            assert one.environ().keys().isdisjoint({"AZURE_STORAGE_CONNECTION_STRING"})
            detail = server.client.get("/ready").json()["detail"]
            assert "is being pulled from az://bucket/dvc" in detail
        assert "c2VjcmV0" not in (folder / "log").read_text()


def test_pull_ends_with_a_killed_server(tmp_path: Path) -> None:
    folder = folder_with_model(tmp_path)
    lock("0" * 32, folder / "dvc.lock")
    with s3_that(HANGS) as address:
        settings = {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret-of-s3",
        }
        with started(folder, "app", settings=settings, until="/live") as server:
            wait_for(lambda: pulls(server.process.pid) != [])
            (one,) = pulls(server.process.pid)
            assert "secret-of-s3" not in " ".join(one.cmdline())
            server.process.kill()
            wait_for(lambda: is_over(one))
