import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dotenv import dotenv_values

from local import setup

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copy(ROOT / ".env.example", tmp_path)
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def test_env_holds_the_examples_variables_and_fresh_credentials(root: Path) -> None:
    setup.write_env(root)
    values = dotenv_values(root / ".env")
    assert values.keys() == dotenv_values(ROOT / ".env.example").keys()
    assert values["AWS_ACCESS_KEY_ID"]
    assert len(values["AWS_SECRET_ACCESS_KEY"] or "") == 40
    assert len(urlsplit(values["NATS_URL"] or "").password or "") == 40
    assert (root / ".env").stat().st_mode & 0o077 == 0


def test_an_env_of_ones_own_is_kept(root: Path) -> None:
    (root / ".env").write_text("AWS_ACCESS_KEY_ID=mine\n")
    setup.write_env(root)
    assert (root / ".env").read_text() == "AWS_ACCESS_KEY_ID=mine\n"


def test_dvc_gets_the_endpoint_and_credentials(root: Path) -> None:
    (root / ".env").write_text("AWS_ACCESS_KEY_ID=me\nAWS_SECRET_ACCESS_KEY=x\nAWS_ENDPOINT_URL=\n")
    setup.write_dvc_config(root)
    config = (root / ".dvc" / "config.local").read_text()
    assert "access_key_id = me" in config
    assert "endpointurl" not in config


@pytest.fixture
def activate(root: Path) -> Path:
    """An environment's script that the set-up has seen twice, and once in an older form."""
    path = root / "activate"
    path.write_text(f"# the environment's own\n\n{setup.HOOK}\nset -a\n. /gone/.env\n")
    (root / "local").symlink_to(ROOT / "local")
    setup.write_hook(root, path)
    setup.write_hook(root, path)
    assert path.read_text().count(setup.HOOK) == 1
    return path


def shell(script: str) -> list[str]:
    """What a shell without settings of ours prints."""
    done = subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    return done.stdout.splitlines()


def test_activation_exports_the_settings(root: Path, activate: Path) -> None:
    (root / ".env").write_text('MLFLOW_TRACKING_URI=http://127.0.0.1:5\nNATS_URL="a b\'c"\n')
    printed = shell(f". '{activate}' && printenv MLFLOW_TRACKING_URI NATS_URL")
    assert printed == ["http://127.0.0.1:5", "a b'c"]


def test_the_environment_goes_before_the_file(root: Path, activate: Path) -> None:
    (root / ".env").write_text("SERVE_PORT=8000\nSERVE_HOST=127.0.0.1\n")
    printed = shell(
        f". '{activate}'; export SERVE_PORT=28001; . '{activate}'; . '{activate}'; "
        "printenv SERVE_PORT SERVE_HOST"
    )
    assert printed == ["28001", "127.0.0.1"]


def test_an_activation_anew_takes_what_the_file_says_now(root: Path, activate: Path) -> None:
    env = root / ".env"
    env.write_text("SERVE_PORT=8000\n")
    printed = shell(
        f". '{activate}'; echo SERVE_PORT=8001 > '{env}'; . '{activate}'; printenv SERVE_PORT"
    )
    assert printed == ["8001"]
