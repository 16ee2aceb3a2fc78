"""Version changes under load, on a tiny model; and that faults would be counted."""

from pathlib import Path

import orjson
import pytest

from app.model.manifest import Manifest, Task
from app.model.model import Model
from benchmarks import reload
from benchmarks.connection import Reply
from benchmarks.workspace import Workspace, random_records
from tests.app.conftest import write_model


def test_no_request_fails(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    write_model(root / "model" / "serving")
    figures = reload.measure(Workspace(root), tmp_path / "work", changes=3, rate=100)
    assert figures["changes"] == 3
    assert figures["requests"] > 50
    faults = figures["failed_requests"], figures["other_versions"], figures["wrong_answers"]
    assert faults == (0, 0, 0)
    assert sum(figures["right_answers_by_version"]) == figures["requests"]
    assert min(figures["right_answers_by_version"]) > 0


def test_faults_are_counted() -> None:
    tally = reload.Tally({"one": [1.0], "two": [2.0]})

    def answer(version: str, value: float, status: int = 200) -> Reply:
        body = {"predictions": [value], "model": {"version": version}}
        return Reply(status, orjson.dumps(body))

    for reply in (
        answer("one", 1.0),
        answer("one", 2.0),
        answer("three", 1.0),
        answer("one", 1.0, 503),
    ):
        tally.count(0, reply, 0.001)
    assert (tally.failed, tally.strange, tally.wrong) == (1, 1, 1)
    assert tally.by_version == {"one": 1}
    assert len(tally.latencies) == 4


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_the_variant_answers_otherwise(task: Task, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", task)
    variant = reload.write_variant(folder, tmp_path / "variant")
    manifest = Manifest.read(variant)
    Model.load(variant).self_test(manifest.example, manifest.parity.tolerance)
    records = random_records(manifest, 5)
    ours, theirs = reload.answers(folder, records), reload.answers(variant, records)
    if task == "regression":
        assert theirs == pytest.approx([answer + 1 for answer in ours])
    else:
        other = {"low": "high", "middle": "middle", "high": "low"}
        assert theirs == [other[answer] for answer in ours]
