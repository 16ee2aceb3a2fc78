"""The commands of docs/tutorial.md, word for word, in a clone of the project."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.project import houses
from tests.repository.commands import blocks, clone, commands

DOCUMENT = "docs/tutorial.md"
TEXT = (ROOT / DOCUMENT).read_text()


@pytest.mark.slow
@pytest.mark.long
def test_the_commands_work_and_the_story_is_true(tmp_path: Path) -> None:
    (program,) = blocks(DOCUMENT, "python")
    first, *others = commands(DOCUMENT)
    assert first.startswith("git clone <this repository>")
    said: dict[str, str] = {}
    with clone(tmp_path, "tutorial", houses(40)) as one:
        root = one.project.root
        url = one.places["http://127.0.0.1:8000"]
        (root / "batteries.py").write_text(program)
        for command in others[: others.index("make serve")]:
            said[command] = one.run(command)
        report = root / said["make report"].splitlines()[-1]
        assert report.exists()
        scores = json.loads((root / "reports" / "metrics.json").read_text())
        assert scores["inflation_percent"]["rmse"] > 30  # "about a third"
        with one.running("make serve", f"{url}/ready"):
            for command in others[others.index("make serve") + 1 :]:
                said[command] = one.run(command)
    (proposal,) = [text for command, text in said.items() if command.startswith("make new-data")]
    quoted = re.findall(r"^> (.*?) … (.*)$", TEXT, re.M)
    assert all(part in proposal for part in quoted[0])
    (answer,) = [text for command, text in said.items() if command.startswith("curl")]
    assert len(json.loads(answer)["predictions"]) == 1800
    assert [word for word in ("promote", "rollback") if word not in said["make history"]] == []
