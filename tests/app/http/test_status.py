"""What the service says of itself: schema, metrics, log, page."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.errors import MAX_ERRORS
from app.formats.registry import FILES
from app.model.manifest import MANIFEST, Column, Manifest
from app.settings import Settings
from tests.app.conftest import EXAMPLE, publish, serve, write_model
from tests.app.processes import metric
from tests.conftest import ROOT


def test_model_gives_the_manifest_and_its_version(client: httpx.Client) -> None:
    body = client.get("/model").json()
    assert re.fullmatch("[0-9a-f]{32}", body.pop("version"))
    assert Manifest.model_validate_json(json.dumps(body)).name == "tiny"


def test_schema_is_the_models_own(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    record = document["components"]["schemas"]["Record"]
    assert record["required"] == [*EXAMPLE]
    assert record["properties"]["cut"]["anyOf"][0] == {"enum": ["Fair", "Good", "Ideal"]}
    (example,) = record["examples"]
    assert client.post("/predict/records", json={"records": [example]}).status_code == 200
    body = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    (example,) = body["application/json"]["schema"]["examples"]
    assert client.post("/invocations", json=example).status_code == 200


def test_schema_says_what_a_column_means(settings: Settings, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    manifest = Manifest.read(folder)
    columns = {
        "carat weight": Column(description="how heavy it is", unit="ct"),
        "certified": Column(unit="yes or no"),
        "cut": Column(),
    }
    text = manifest.model_copy(update={"columns": columns}).model_dump_json()
    (folder / MANIFEST).write_text(text)
    publish(folder, settings.model_cache, settings.lock_file)
    with serve(settings) as client:
        document = client.get("/openapi.json").json()
    values = document["components"]["schemas"]["Record"]["properties"]
    assert values["carat weight"]["description"] == "how heavy it is, in ct. 0.2 to 5 in training."
    assert values["certified"]["description"].startswith("in yes or no. 10.0% missing")
    assert values["cut"]["description"] == "One of 3 categories."


def test_schema_names_the_formats_and_the_limit_of_errors(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    files = {source.media_types[0] for source in FILES}
    assert "text/csv" in files
    assert set(body) == {"application/json", *files}
    form = document["paths"]["/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(form["encoding"]["file"]["contentType"].split(", ")) == files
    errors = document["components"]["schemas"]["Problem"]["properties"]["errors"]
    assert errors["maxItems"] == MAX_ERRORS
    assert "x-problems" not in json.dumps(document)


def test_schema_asks_for_the_key_where_the_server_has_one(
    settings: Settings, tmp_path: Path
) -> None:
    publish(write_model(tmp_path / "model"), settings.model_cache, settings.lock_file)
    for key, expected in ((None, False), (SecretStr("key"), True)):
        with serve(settings.model_copy(update={"api_key": key})) as client:
            paths = client.get("/openapi.json").json()["paths"]
        for path in ("/predict", "/predict/records", "/invocations"):
            assert ("security" in paths[path]["post"]) is expected
            assert ("401" in paths[path]["post"]["responses"]) is expected
        assert "security" in paths["/reload"]["post"]
        assert "security" not in paths["/model"]["get"]


@pytest.mark.slow
def test_schemathesis_finds_nothing(classifier: httpx.Client, tmp_path: Path) -> None:
    options = ["--max-examples=5", "--seed=1", "--no-color", "--generation-database=none"]
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{classifier.base_url}/openapi.json",
            *options,
        ],
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.app.schemathesis_files",
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5_000:]


def test_metrics_count_requests_rows_and_faults(client: httpx.Client) -> None:
    version = client.get("/model").json()["version"]
    lines = (
        'serve_requests_total{route="/predict/records",status="200"}',
        'serve_requests_total{route="/predict/records",status="422"}',
        'serve_requests_total{route="other",status="404"}',
        f'serve_rows_total{{version="{version}"}}',
        'serve_errors_total{kind="invalid-value"}',
        'serve_request_seconds_count{route="/predict/records"}',
    )
    before = [metric(client, line) for line in lines]
    client.post("/predict/records", json={"records": [EXAMPLE] * 3})
    client.post("/predict/records", json={"records": [{**EXAMPLE, "sold": 1}]})
    client.get("/some/secret/path")
    assert [metric(client, line) for line in lines] == [
        value + more for value, more in zip(before, (1, 1, 1, 3, 1, 2), strict=True)
    ]
    assert "secret" not in client.get("/metrics").text


def test_request_id_is_kept_where_it_is_sound(client: httpx.Client) -> None:
    assert client.get("/live", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for unsound in ("a b", "a" * 65, '"'):
        given = client.get("/live", headers={"X-Request-Id": unsound}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{16}", given)


def test_log_tells_of_requests_but_not_of_their_data(
    settings: Settings, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    publish(write_model(tmp_path / "model"), settings.model_cache, settings.lock_file)
    with serve(settings.model_copy(update={"access_log": True})) as client:
        records = [{**EXAMPLE, "cut": "confidential"}]
        reply = client.post("/predict/records?x=confidential", json={"records": records})
        client.post("/predict/records", json={"records": [{**EXAMPLE, "sold": "confidential"}]})
        client.get("/confidential")
    output = capfdbinary.readouterr().out
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    assert [line["event"] for line in lines] == ["model", "request", "request", "request"]
    line = lines[1]
    assert line["request_id"] == reply.headers["x-request-id"]
    assert (line["method"], line["route"], line["status"], line["rows"]) == (
        "POST", "/predict/records", 200, 1,
    )  # fmt: skip
    assert line["version"] == reply.headers["x-model-version"]
    assert [line["route"] for line in lines[2:]] == ["/predict/records", "other"]
    assert b"confidential" not in output


def test_unforeseen_fault_is_a_problem_and_tells_nothing(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("confi" + "dential")

    publish(write_model(tmp_path / "model"), settings.model_cache, settings.lock_file)
    with serve(settings) as client:
        monkeypatch.setattr("app.model.model.Model.answer", fail)
        reply = client.post("/predict/records", json={"records": [EXAMPLE]})
        assert client.get("/live").status_code == 200
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "application/problem+json"
    output = capfdbinary.readouterr().out
    assert reply.headers["x-request-id"].encode() in output
    assert b"RuntimeError" in output
    assert b"confidential" not in output + reply.content
