"""`python -m app.drift FILE`, and the page that it writes."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.drift import __main__ as command
from tests.app.conftest import publish, write_model
from tests.app.drift.conftest import reference, rows
from tests.app.http.test_drift import csv


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which the tiny regression is locked."""
    model = write_model(tmp_path / "model", reference=reference())
    publish(model, tmp_path / "cache", tmp_path / "dvc.lock")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVE_REMOTE", "s3://bucket/prefix")
    monkeypatch.setenv("SERVE_MODEL_CACHE", "cache")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["app.drift", *arguments])
    return command.main()


class Reader(HTMLParser):
    """What a page asks for from elsewhere, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_file_that_drifted_is_told_on_a_page_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "<new>.csv").write_bytes(csv(rows(1, 1_000), scale=2.54))
    status = run(monkeypatch, "<new>.csv", "--html", "page.html", "--json", "counts.json")
    assert status == command.DRIFTED
    assert "1,000 rows, drifted: carat weight" in capsys.readouterr().out
    page = Reader()
    page.feed((folder / "page.html").read_text())
    assert page.addresses == []
    assert "<new>.csv and the training of tiny" in page.text
    assert "drifted: values" in page.text
    told = json.loads((folder / "counts.json").read_bytes())
    assert sum(told["windows"]["file"]["features"]["cut"]["counts"]) == 1_000


def test_a_file_like_the_training_is_steady(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "new.csv").write_bytes(csv(rows(1, 500)))
    run(monkeypatch, "new.csv", "--json", "counts.json")
    told = json.loads((folder / "counts.json").read_bytes())
    assert told["windows"]["file"]["features"]["carat weight"]["verdict"] == "steady"
    assert (folder / "drift.html").exists()


def test_what_cannot_be_read_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "new.csv").write_text("carat weight\n1\n")
    assert run(monkeypatch, "new.csv") == command.FAILED
    assert "missing" in capsys.readouterr().err
