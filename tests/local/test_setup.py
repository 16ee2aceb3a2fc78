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


def test_activation_exports_the_settings_once(root: Path) -> None:
    activate = root / "activate"
    activate.write_text("# the environment's own\n")
    (root / ".env").write_text("MLFLOW_TRACKING_URI=http://127.0.0.1:5\n")
    setup.write_hook(root, activate)
    setup.write_hook(root, activate)
    shell = f". '{activate}' && printenv MLFLOW_TRACKING_URI"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == "http://127.0.0.1:5\n"
    assert activate.read_text().count(setup.HOOK) == 1
