"""How commands and DVC's stages are timed; the comparison itself takes minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.pipeline import run


def test_stages_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = (
        "import time\n"
        "print(\"Running stage 'first':\", flush=True); time.sleep(0.2)\n"
        "print(\"Running stage 'second':\", flush=True); time.sleep(0.1)"
    )
    seconds, stages = run([sys.executable, "-c", script], tmp_path, os.environ)
    assert list(stages) == ["first", "second"]
    assert stages["first"] > stages["second"] > 0.09
    assert 0.3 < sum(stages.values()) < seconds
    assert "second" in capsys.readouterr().err


def test_other_commands_have_no_stages(tmp_path: Path) -> None:
    seconds, stages = run([sys.executable, "-c", "print('done')"], tmp_path, os.environ)
    assert seconds > 0
    assert stages == {}


def test_a_failure_is_not_a_figure(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, os.environ)
