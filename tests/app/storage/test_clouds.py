"""What Google's and Azure's storages say when they do not do as they are told."""

import base64
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from app.settings import Settings
from app.storage import objects_of, storage_of
from app.storage.clouds import Cloud as Bucket
from app.storage.clouds import cloud_of
from tests.app.clouds import BUCKET, Cloud, connection

NOBODYS = base64.b64encode(b"nobody's key").decode()


def azure_with(settings: Settings, **values: str) -> Settings:
    """Settings that know Azure's storage by these values."""
    fields = {
        f"azure_storage_{name}": value if name == "account" else SecretStr(value)
        for name, value in values.items()
    }
    return settings.model_copy(update=fields)


def with_key(settings: Settings, azure: Cloud, key: str) -> Settings:
    """Settings that know the tests' Azure by another key."""
    text = azure.environment["AZURE_STORAGE_CONNECTION_STRING"]
    endpoint = text.split("BlobEndpoint=")[1].rstrip(";")
    return azure_with(settings, connection_string=connection(endpoint, key))


def test_a_key_and_a_token_are_as_good_as_a_connection_string(settings: Settings) -> None:
    for values in ({"key": NOBODYS}, {"sas_token": "?sv=1&sig=2"}, {}):
        known = azure_with(settings, account="account", **values)
        assert cloud_of("az://bucket", known).address == "Azure's storage"


def test_a_connection_string_names_another_azure(settings: Settings) -> None:
    text = f"AccountName=a;AccountKey={NOBODYS};EndpointSuffix=core.example.org"
    known = azure_with(settings, connection_string=text)
    assert cloud_of("az://bucket", known).address == "https://a.blob.core.example.org"


def test_azure_may_be_written_as_dvc_writes_it(settings: Settings, azure: Cloud) -> None:
    known = azure.known_to(settings, "x")
    with storage_of(azure.root, known).create(f"{azure.root}/written/a") as file:
        file.write(b"a")
    again = f"azure://{BUCKET}/written"
    (entry,) = storage_of(again, known).find(again)
    assert entry.path == f"{again}/a"


@pytest.mark.parametrize(
    ("url", "change", "message"),
    [
        ("az://bucket", {}, "Account must be specified. Check AZURE_STORAGE_CONNECTION_STRING"),
        (
            "az://bucket",
            {"azure_storage_account": "a", "azure_storage_key": SecretStr("not ours!")},
            "Invalid Access Key",
        ),
        (
            "az://bucket",
            {"azure_storage_connection_string": SecretStr("not ours!")},
            "Account must be specified",
        ),
        (
            "gs://bucket",
            {"google_application_credentials": "/not/there.json"},
            "/not/there.json: No such file .* Check GOOGLE_APPLICATION_CREDENTIALS",
        ),
    ],
)
def test_wrong_settings_name_the_variables(
    settings: Settings, url: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(OSError, match=message) as caught:
        storage_of(url, settings.model_copy(update=change))
    assert "not ours" not in str(caught.value)


def test_a_refused_key_is_told_by_every_deed(settings: Settings, azure: Cloud) -> None:
    storage = objects_of(azure.root, with_key(settings, azure, NOBODYS))
    assert isinstance(storage, Bucket)
    path = f"{azure.root}/a"

    def write(size: int) -> None:
        with storage.create(path) as file:
            file.write(b"x" * size)

    deeds: list[Callable[[], object]] = [
        lambda: storage.entry(path),
        lambda: storage.find(f"{azure.root}/*"),
        lambda: storage.is_folder(azure.root),
        lambda: storage.open(path),
        lambda: storage.read(path, 0, 1),
        lambda: storage.remove(path),
        lambda: storage.put(path, b""),
        lambda: write(1),
        lambda: write(50 * 1024**2),
    ]
    for deed in deeds:
        with pytest.raises(
            OSError, match=r"fails: .*403.* Check the path\. Check AZURE_"
        ) as caught:
            deed()
        assert len(str(caught.value).splitlines()) == 1


def test_a_storage_that_does_not_answer_says_so(settings: Settings) -> None:
    down = settings.model_copy(update={"storage_emulator_host": "127.0.0.1:9"})
    with pytest.raises(OSError, match=r"^gs://bucket/a fails: .*that http://127\.0\.0\.1:9 can be"):
        storage_of("gs://bucket", down).entry("gs://bucket/a")


def test_a_token_is_in_no_message(settings: Settings) -> None:
    text = "AccountName=a;SharedAccessSignature=sv=1&sig=hidden;BlobEndpoint=http://127.0.0.1:9/a"
    known = azure_with(settings, connection_string=text)
    with pytest.raises(OSError, match="az://bucket/a fails") as caught:
        storage_of("az://bucket", known).entry("az://bucket/a")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("url", ["gs://bucket/a", "az://bucket/a"])
def test_without_the_package_it_is_named(
    settings: Settings, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "app.storage.clouds")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(OSError, match=r"obstore: pip install -r app/requirements-clouds\.txt"):
        storage_of(url, settings)


def test_files_and_s3_need_no_such_package() -> None:
    script = (
        "import sys; from app.storage import storage_of; from app.model.store import Remote;"
        "from app.settings import Settings; settings = Settings(remote='s3://bucket');"
        "storage_of('a', settings); Remote(settings); print('obstore' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
