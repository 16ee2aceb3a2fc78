"""Uvicorn's own TLS, as docs/security.md says it."""

import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx

from local.processes import free_port
from local.s3_security import make_certificate
from tests.app.conftest import EXAMPLE, regression_answer
from tests.app.processes import environment, folder_with_model


def test_service_answers_over_tls(tmp_path: Path) -> None:
    folder = folder_with_model(tmp_path)
    for name, text in zip(("certificate.pem", "key.pem"), make_certificate(), strict=True):
        (folder / name).write_text(text)
    port = free_port()
    options = ["--http", "app.http.protocol:Protocol", "--port", str(port)]
    options += ["--ssl-certfile", "certificate.pem", "--ssl-keyfile", "key.pem"]
    context = ssl.create_default_context(cafile=str(folder / "certificate.pem"))
    context.check_hostname = False  # the certificate is for no address
    url = f"https://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app.main:app", *options],
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=url, verify=context, timeout=20) as client:
            deadline = time.monotonic() + 30
            while not _answers(client):
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            reply = client.post("/predict/records", json={"records": [EXAMPLE]})
            assert reply.json()["predictions"] == [regression_answer(EXAMPLE)]
            # A reply of several megabytes, which the deadline for readers watches.
            rows = "carat weight,cut,certified,sold\n" + "1.5,Good,true,2020-01-01\n" * 100_000
            reply = client.post(
                "/predict", files={"file": ("a.csv", rows)}, headers={"Accept": "text/csv"}
            )
            assert len(reply.text.splitlines()) == 100_001
    finally:
        server.terminate()
        server.wait(20)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").is_success
    except httpx.TransportError:
        return False
