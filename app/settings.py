"""The server's settings: environment variables, or the `.env` file of the working directory."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import Problem

PREFIX = "SERVE_"
ENV_FILE = Path(".env")
# Fields whose variables others named, without the prefix; the first are those of the clouds.
CLOUDS = ("aws_", "google_", "storage_", "azure_")
FOREIGN = (*CLOUDS, "nats_", "kafka_")

KEY_BYTES = 32  # of Ed25519

Positive = Annotated[int, Field(gt=0)]


class SettingsError(Exception):
    """The settings cannot be used; the text names the variable and what it may be."""


@dataclass(frozen=True)
class Limits:
    """How large a table may be, whatever its format.

    Attributes:
        max_bytes: of a file, also when it is unpacked.
        max_rows: see the name.
        max_columns: see the name.
        max_explained_rows: most rows whose answers are explained at once.
        claim: called with the bytes that the next step may take, before it takes them, instead of
            those of the step before; raises a Problem where there are not so many.
    """

    max_bytes: int = 256 * 1024**2
    max_rows: int = 5_000_000
    max_columns: int = 4_096
    max_explained_rows: int = 50_000
    claim: Callable[[int], None] = lambda size: None

    def check_explained_rows(self, rows: int) -> None:
        """Refuse to explain too many answers.

        Raises:
            Problem: says how many it may be.
        """
        if rows > self.max_explained_rows:
            raise Problem(
                "too-many-rows",
                f"There are {rows} rows; this server explains at most {self.max_explained_rows} at "
                "once.",
                status=413,
            )

    def check_rows(self, rows: int) -> None:
        """Refuse a table without rows, or with too many.

        Raises:
            Problem: says which.
        """
        if rows == 0:
            raise Problem("no-rows", "There is a header, but not one row of data.")
        if rows > self.max_rows:
            raise Problem(
                "too-many-rows",
                f"There are {rows} rows; this server takes at most {self.max_rows} at once.",
                status=413,
            )


class Settings(BaseSettings):
    """Every setting; the variable's name is the field's, in capitals, after `SERVE_`.

    Attributes:
        host: address to listen on; loopback unless told otherwise.
        port: port to listen on.
        workers: server processes.
        threads: cores that one CSV or Parquet file may use in each worker; 0 means all.
        api_key: when set, predictions and reloads need it in the header `X-API-Key`.
        access_log: write one JSON line per request to standard output.
        remote: the DVC remote that holds the model: `s3://bucket/prefix`, `gs://bucket/prefix` or
            `az://container/prefix`, which may be written `azure://` as in DVC.
        lock_file: the `dvc.lock` that names the model version.
        lock_stage: the stage in it that writes the model folder.
        lock_path: the model folder, as that stage's output is named.
        model_cache: folder that keeps the versions pulled so far.
        keep_versions: how many versions stay there, those served last; the current and the
            previous one always do.
        trusted_keys: when set, a version is taken over only if one of these Ed25519 keys has
            signed its verification. In the variable: 32 bytes each in base64, or the files that
            hold them (`make key`), with commas between.
        watch_seconds: how often to look whether `lock_file` names another version; 0: never.
        pull_seconds: how long pulling a version may take in all.
        max_bytes: largest CSV or Parquet body.
        max_json_bytes: largest JSON body.
        max_rows: most rows in one request.
        max_columns: most columns in one request.
        max_explained_rows: most rows that one request may have explained.
        max_concurrent: most large requests (files, and JSON beyond a few rows) that each worker
            answers at once; a further one gets 503.
        max_memory: bytes that each worker may have in memory; 0: its share of four fifths of what
            the machine, or the container, has. A request that may need more gets 413, one that
            comes too soon 503.
        drift: count what is answered, for `/drift`.
        remembered_answers: how many of the latest wait for their truth (`POST /truth`).
        upload_seconds: how long a client may take to send its body.
        shutdown_seconds: how long the end of the server waits for requests in work.
        aws_access_key_id: like the next ones, boto3's own variable, without the prefix;
            where it is not set, boto3 looks in its other usual places.
        aws_secret_access_key: see above.
        aws_session_token: see above.
        aws_region: `AWS_DEFAULT_REGION` or `AWS_REGION`.
        aws_endpoint_url: address of an S3 that is not Amazon's.
        google_application_credentials: for `gs://`, the file that holds the key, as Google's own
            tools and DVC read it; where it is not set, the usual places are tried.
        storage_emulator_host: address of a `gs://` that is not Google's.
        azure_storage_connection_string: for `az://`, like the next ones as DVC reads it: account,
            key and, where it is not Azure's own, address in one.
        azure_storage_account: the account; where there is neither key nor token, the usual places
            are tried.
        azure_storage_key: its key.
        azure_storage_sas_token: a shared access signature instead of a key.
        nats_url: `NATS_URL`, address of the broker of `app.stream`, with its credentials.
        kafka_properties: `KAFKA_PROPERTIES`, a file with the settings of Kafka's client, one
            `name=value` a line; `app.stream` then uses Kafka in place of NATS.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        protected_namespaces=(),
        populate_by_name=True,
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    workers: Positive = 1
    threads: Annotated[int, Field(ge=0)] = 0
    api_key: SecretStr | None = None
    access_log: bool = True

    remote: Annotated[str, Field(pattern=r"^(s3|gs|az|azure)://[^/]+(/.*)?$")]
    lock_file: Path = Path("dvc.lock")
    lock_stage: str = "deploy"
    lock_path: str = "model/serving"
    model_cache: Path = Path(".local/models")
    keep_versions: Positive = 5
    trusted_keys: Annotated[tuple[bytes, ...], NoDecode] = ()
    watch_seconds: Annotated[float, Field(ge=0)] = 0
    pull_seconds: Annotated[float, Field(gt=0)] = 600

    max_bytes: Positive = Limits.max_bytes
    max_json_bytes: Positive = 8 * 1024**2
    max_rows: Positive = Limits.max_rows
    max_columns: Positive = Limits.max_columns
    max_explained_rows: Positive = Limits.max_explained_rows
    max_concurrent: Positive = 16
    max_memory: Annotated[int, Field(ge=0)] = 0
    drift: bool = True
    remembered_answers: Annotated[int, Field(ge=0)] = 250_000
    upload_seconds: Annotated[float, Field(gt=0)] = 120
    shutdown_seconds: Positive = 20

    aws_access_key_id: str | None = Field(default=None, validation_alias="AWS_ACCESS_KEY_ID")
    aws_secret_access_key: SecretStr | None = Field(
        default=None, validation_alias="AWS_SECRET_ACCESS_KEY"
    )
    aws_session_token: SecretStr | None = Field(default=None, validation_alias="AWS_SESSION_TOKEN")
    aws_region: str | None = Field(
        default=None, validation_alias=AliasChoices("AWS_DEFAULT_REGION", "AWS_REGION")
    )
    aws_endpoint_url: str | None = Field(
        default=None, validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    )

    google_application_credentials: str | None = Field(
        default=None, validation_alias="GOOGLE_APPLICATION_CREDENTIALS"
    )
    storage_emulator_host: str | None = Field(
        default=None, validation_alias="STORAGE_EMULATOR_HOST"
    )
    azure_storage_connection_string: SecretStr | None = Field(
        default=None, validation_alias="AZURE_STORAGE_CONNECTION_STRING"
    )
    azure_storage_account: str | None = Field(
        default=None, validation_alias="AZURE_STORAGE_ACCOUNT"
    )
    azure_storage_key: SecretStr | None = Field(default=None, validation_alias="AZURE_STORAGE_KEY")
    azure_storage_sas_token: SecretStr | None = Field(
        default=None, validation_alias="AZURE_STORAGE_SAS_TOKEN"
    )

    nats_url: SecretStr = Field(
        default=SecretStr("nats://127.0.0.1:4222"), validation_alias="NATS_URL"
    )
    kafka_properties: Path | None = Field(default=None, validation_alias="KAFKA_PROPERTIES")

    @property
    def cores(self) -> int:
        """Cores that one request may use."""
        return self.threads or len(os.sched_getaffinity(0))

    @property
    def limits(self) -> Limits:
        """How large a request's table may be."""
        return Limits(self.max_bytes, self.max_rows, self.max_columns, self.max_explained_rows)

    @field_validator("trusted_keys", mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(_key(one.strip()) for one in value.split(",") if one.strip())

    @field_validator("api_key")
    @classmethod
    def _ascii_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().isascii():
            raise ValueError("an HTTP header carries it, so it must be ASCII")
        return key


def read_settings() -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a value is missing or wrong, or a `SERVE_` variable is unknown.
    """
    variables = {name.upper() for name in (*os.environ, *dotenv_values(ENV_FILE))}
    settings = {
        PREFIX + name.upper() for name in Settings.model_fields if not name.startswith(FOREIGN)
    }
    unknown = sorted(name for name in variables - settings if name.startswith(PREFIX))
    if unknown:
        raise SettingsError(
            f"Unknown setting {', '.join(unknown)}. The settings are {', '.join(sorted(settings))}."
        )
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        # Without the values: one of them may be a secret.
        faults = [
            f"{_variable(str(fault['loc'][0]))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError(f"Wrong or missing settings: {'; '.join(faults)}.") from None


def _key(text: str) -> bytes:
    """A public key from base64, or from the file of that name."""
    file = Path(text)
    try:
        key = base64.b64decode(file.read_text().strip() if file.is_file() else text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"{text!r} is neither a file nor {KEY_BYTES} bytes in base64")
    return key


def _variable(field: str) -> str:
    return field.upper() if field.lower().startswith(FOREIGN) else PREFIX + field.upper()
