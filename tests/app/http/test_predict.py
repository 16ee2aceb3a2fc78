import gzip

import httpx
import pytest

from tests.app.conftest import CUT, EXAMPLE, regression_answer

CSV = b"carat weight,cut,certified,sold\n1.5,Good,true,2020-01-01\n,Odd,,\n"
ANSWERS = [regression_answer(EXAMPLE), CUT[3]]


def upload(content: bytes, name: str = "rows.csv") -> dict[str, tuple[str, bytes]]:
    return {"file": (name, content)}


def test_csv_is_answered_in_order_and_names_the_version(client: httpx.Client) -> None:
    version = client.get("/model").json()["version"]
    reply = client.post("/predict", files=upload(CSV))
    assert reply.status_code == 200
    assert reply.json() == {
        "predictions": ANSWERS,
        "model": {"name": "tiny", "version": version},
    }
    assert reply.headers["x-model-version"] == version


def test_csv_comes_back_with_predictions_appended(client: httpx.Client) -> None:
    reply = client.post("/predict", files=upload(CSV), headers={"accept": "text/csv"})
    lines = CSV.decode().splitlines()
    assert reply.headers["content-type"].startswith("text/csv")
    assert reply.text.splitlines() == [
        lines[0] + ",prediction",
        f"{lines[1]},{ANSWERS[0]}",
        f"{lines[2]},{ANSWERS[1]}",
    ]


def test_records_are_answered(client: httpx.Client) -> None:
    reply = client.post("/predict/records", json={"records": [EXAMPLE]})
    assert reply.json()["predictions"] == ANSWERS[:1]


@pytest.mark.parametrize("path", ["/live", "/ready", "/ping", "/health", "/model", "/metrics"])
def test_probes_answer(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/predict/records", "text/plain"), ("/invocations", "text/html"), ("/predict", "text/csv")],
)
def test_other_content_type_is_refused(client: httpx.Client, path: str, content_type: str) -> None:
    reply = client.post(path, content=b"{}", headers={"content-type": content_type})
    assert reply.status_code == 415
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br"])
@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/predict/records", "application/json"), ("/invocations", "text/csv")],
)
def test_compressed_body_is_refused_as_such(
    client: httpx.Client, path: str, content_type: str, coding: str
) -> None:
    headers = {"content-type": content_type, "content-encoding": coding}
    reply = client.post(path, content=gzip.compress(b'{"records": []}'), headers=headers)
    assert (reply.status_code, reply.headers["accept-encoding"]) == (415, "identity")
    detail = f"The body is compressed (Content-Encoding: '{coding.lower()}'); send it as it is."
    assert reply.json()["detail"] == detail


def test_body_that_is_called_identical_is_read(client: httpx.Client) -> None:
    headers = {"content-encoding": "identity"}
    reply = client.post("/predict/records", json={"records": [EXAMPLE]}, headers=headers)
    assert reply.json()["predictions"] == ANSWERS[:1]
