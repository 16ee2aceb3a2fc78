from pathlib import Path

import pytest

from app.settings import CLOUDS, Settings, SettingsError, read_settings


@pytest.fixture(autouse=True)
def empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("SERVE_", *(cloud.upper() for cloud in CLOUDS))):
            monkeypatch.delenv(name)


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        "SERVE_REMOTE=s3://file/x\nSERVE_PORT=1\nMLFLOW_TRACKING_URI=x\nAWS_ACCESS_KEY_ID=key\n"
    )
    monkeypatch.setenv("SERVE_PORT", "2")
    settings = read_settings()
    assert (settings.remote, settings.port) == ("s3://file/x", 2)
    assert settings.aws_access_key_id == "key"


def test_empty_means_not_set() -> None:
    Path(".env").write_text("SERVE_REMOTE=s3://a\nAWS_ENDPOINT_URL=\nSERVE_API_KEY=\n")
    settings = read_settings()
    assert settings.aws_endpoint_url is None
    assert settings.api_key is None


@pytest.mark.parametrize("remote", ["s3://a/b", "gs://a/b", "az://a/b", "azure://a"])
def test_a_remote_may_lie_in_three_clouds(remote: str) -> None:
    Path(".env").write_text(f"SERVE_REMOTE={remote}\nAZURE_STORAGE_CONNECTION_STRING=a=b;c=d==\n")
    settings = read_settings()
    assert settings.remote == remote
    assert settings.azure_storage_connection_string is not None
    assert settings.azure_storage_connection_string.get_secret_value() == "a=b;c=d=="


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "SERVE_REMOTE: Field required"),
        ("SERVE_REMOTE=/a/folder\n", "SERVE_REMOTE: "),
        ("SERVE_REMOTE=https://a/b\n", "SERVE_REMOTE: "),
        ("SERVE_REMOTE=s3://a\nSERVE_PORT=high\n", "SERVE_PORT: "),
        ("SERVE_REMOTE=s3://a\nSERVE_WORKERS=0\n", "SERVE_WORKERS: "),
        ("SERVE_REMOTE=s3://a\nSERVE_PROT=1\n", "Unknown setting SERVE_PROT. The settings are "),
        ("SERVE_REMOTE=s3://a\nSERVE_AWS_REGION=1\n", "Unknown setting SERVE_AWS_REGION"),
        ("SERVE_REMOTE=s3://a\nSERVE_API_KEY=schlüssel\n", "SERVE_API_KEY: "),
    ],
)
def test_wrong_settings_name_the_variable(text: str, message: str) -> None:
    Path(".env").write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_settings()


def test_secrets_are_not_shown() -> None:
    text = "SERVE_REMOTE=s3://a\nSERVE_API_KEY=hidden\nAWS_SECRET_ACCESS_KEY=hidden\n"
    Path(".env").write_text(text)
    assert "hidden" not in repr(read_settings())
    Path(".env").write_text(text.replace("hidden", "hiddén"))
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert "hidd" not in str(caught.value)


def test_every_setting_is_described() -> None:
    described = Settings.__doc__ or ""
    for name in Settings.model_fields:
        assert f"        {name}: " in described
