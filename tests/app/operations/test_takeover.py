"""Versions: taking one over, keeping the old one, going back."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app.settings import Settings
from tests.app.conftest import EXAMPLE, lock, publish, regression_answer, serve, write_model
from tests.app.waiting import wait_for

KEY = {"X-API-Key": "a key"}


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    return settings.model_copy(update={"api_key": SecretStr("a key")})


@pytest.fixture
def versions(tmp_path: Path, settings: Settings) -> dict[str, float]:
    """Two versions in the cache and the answers that they give; the first one is locked."""
    found = {}
    for shift in (1.0, 0.0):
        folder = write_model(tmp_path / f"model{shift}", shift=shift)
        version = publish(folder, settings.model_cache, settings.lock_file)
        found[version] = regression_answer(EXAMPLE, shift)
    return dict(reversed(found.items()))


def predict(client: httpx.Client) -> tuple[str, float]:
    reply = client.post("/predict/records", json={"records": [EXAMPLE]}, headers=KEY)
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert reply.headers["x-model-version"] == body["model"]["version"]
    return body["model"]["version"], body["predictions"][0]


def test_reload_takes_the_locked_version_over_and_back(
    guarded: Settings, versions: dict[str, float]
) -> None:
    first, second = versions
    with serve(guarded) as client:
        assert predict(client) == (first, versions[first])
        for version in (second, first):
            lock(version, guarded.lock_file)
            reply = client.post("/reload", headers=KEY)
            assert reply.json() == {"changed": True, "model": {"name": "tiny", "version": version}}
            assert predict(client) == (version, versions[version])
        assert client.post("/reload", headers=KEY).json()["changed"] is False


def test_no_request_fails_while_versions_change(
    guarded: Settings, versions: dict[str, float]
) -> None:
    answers: list[tuple[str, float]] = []
    stop = threading.Event()

    with serve(guarded) as client:

        def load() -> None:
            with httpx.Client(base_url=client.base_url) as own:
                while not stop.is_set():
                    answers.append(predict(own))
                    time.sleep(0.005)

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        for version in [*reversed(versions)] * 10:
            lock(version, guarded.lock_file)
            reply = client.post("/reload", headers=KEY)
            assert reply.json()["model"]["version"] == version
        count = len(answers)
        wait_for(lambda: len(answers) > count)
        stop.set()
        for thread in threads:
            thread.join()
    assert {version for version, _ in answers} == set(versions)
    assert all(answer == versions[version] for version, answer in answers)


def test_watching_takes_a_new_version_over(settings: Settings, versions: dict[str, float]) -> None:
    _, second = versions
    watching = settings.model_copy(update={"watch_seconds": 0.1})
    with serve(watching) as client:
        lock(second, settings.lock_file)
        wait_for(lambda: predict(client)[0] == second)


def test_one_workers_reload_reaches_the_others(
    guarded: Settings, versions: dict[str, float]
) -> None:
    _, second = versions
    with serve(guarded) as one, serve(guarded) as other:
        lock(second, guarded.lock_file)
        one.post("/reload", headers=KEY)
        wait_for(lambda: predict(other)[0] == second)


def tamper(settings: Settings, version: str) -> None:
    graph = settings.model_cache / version / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")


def remove(settings: Settings, version: str) -> None:
    shutil.rmtree(settings.model_cache / version)


def break_lock(settings: Settings, version: str) -> None:
    settings.lock_file.write_text("stages: {}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(tamper, "Cannot read s3://"), (remove, "Cannot read s3://"), (break_lock, "no output")],
)
def test_failure_keeps_the_old_version_and_shows(
    guarded: Settings,
    versions: dict[str, float],
    damage: Callable[[Settings, str], None],
    message: str,
) -> None:
    first, second = versions
    with serve(guarded) as client:
        lock(second, guarded.lock_file)
        damage(guarded, second)
        reply = client.post("/reload", headers=KEY)
        assert reply.status_code == 503
        assert message in reply.json()["detail"]
        assert predict(client) == (first, versions[first])
        ready = client.get("/ready")
        assert ready.status_code == 200
        assert message in ready.json()["last_failure"]["detail"]
        lock(first, guarded.lock_file)
        assert client.post("/reload", headers=KEY).status_code == 200
        assert client.get("/ready").json()["last_failure"] is None


def test_model_that_fails_its_self_test_is_refused(
    guarded: Settings, versions: dict[str, float], tmp_path: Path
) -> None:
    first, _ = versions
    bad = write_model(tmp_path / "bad")
    manifest = (bad / "manifest.json").read_text()
    (bad / "manifest.json").write_text(manifest.replace(str(versions[first]), "7.0"))
    with serve(guarded) as client:
        publish(bad, guarded.model_cache, guarded.lock_file)
        reply = client.post("/reload", headers=KEY)
        assert "self-test" in reply.json()["detail"]
        assert predict(client) == (first, versions[first])


def test_without_a_model_the_service_says_so_until_there_is_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.operations.takeover.RETRY_SECONDS", 0.1)
    with serve(settings) as client:
        assert client.get("/live").status_code == 200
        for path in ("/ready", "/ping", "/model"):
            reply = client.get(path)
            assert reply.status_code == 503
            assert "retry-after" in reply.headers
            assert "dvc.lock does not exist" in reply.json()["detail"]
        assert client.post("/predict/records", json={"records": [EXAMPLE]}).status_code == 503
        assert client.get("/openapi.json").status_code == 200
        publish(write_model(tmp_path / "model"), settings.model_cache, settings.lock_file)
        wait_for(lambda: client.get("/ready").status_code == 200)


def test_cache_keeps_the_versions_that_were_served_last(guarded: Settings, tmp_path: Path) -> None:
    settings = guarded.model_copy(update={"keep_versions": 3})
    versions = []
    for shift in range(6):
        folder = write_model(tmp_path / f"model{shift}", shift=shift)
        versions.append(publish(folder, settings.model_cache, settings.lock_file))
    oldest, *others = versions
    for age, version in enumerate(versions):
        os.utime(settings.model_cache / version, (age, age))
    lock(oldest, settings.lock_file)
    (settings.model_cache / "mine").mkdir()
    left = settings.model_cache / f".{oldest}.abc"
    left.mkdir()
    os.utime(left, (0, 0))
    with serve(settings) as client:
        # Used now, so it is the newest; the two pulled last stay beside it.
        assert cached_versions(settings) == {oldest, *others[-2:]}
        lock(others[-1], settings.lock_file)
        client.post("/reload", headers=KEY)
        assert cached_versions(settings) == {oldest, *others[-2:]}
    assert {path.name for path in settings.model_cache.iterdir()} == {
        *cached_versions(settings),
        "mine",
        ".reload",
    }


def test_current_and_previous_version_stay_in_any_case(
    guarded: Settings, versions: dict[str, float]
) -> None:
    first, second = versions
    settings = guarded.model_copy(update={"keep_versions": 1})
    with serve(settings) as client:
        assert cached_versions(settings) == {first}
        publish(settings.lock_file.parent / "model1.0", settings.model_cache, settings.lock_file)
        client.post("/reload", headers=KEY)
        assert predict(client)[0] == second
        assert cached_versions(settings) == {first, second}


def cached_versions(settings: Settings) -> set[str]:
    return {path.name for path in settings.model_cache.iterdir() if len(path.name) == 32}
