"""Objects of Google's storage, by `gs://bucket/key`, and of Azure's, by `az://container/key`."""

import contextlib
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore

from app.storage import GOOGLE, Entry
from app.storage.objects import NO_BUCKET, NO_OBJECT, PIECE, ObjectStorage, split

if TYPE_CHECKING:
    from obstore import WritableFile
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig
    from pydantic import SecretStr

    from app.settings import Settings

PART = 8 * 1024**2  # of an upload; at most 10,000 of them are an object of Google's, so 80 GB
UPLOADS = 4  # parts on their way at once, each in memory
RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}
GOOGLE_VARIABLES = "GOOGLE_APPLICATION_CREDENTIALS"
AZURE_VARIABLES = (
    "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or "
    "AZURE_STORAGE_SAS_TOKEN"
)


@cache
def cloud_of(root: str, settings: "Settings") -> "Cloud":
    """Give the storage of a bucket; all threads share its connections.

    Args:
        root: the bucket's URL, without a slash at its end.
        settings: hold the credentials; where they do not, the library's usual places do.

    Raises:
        OSError: the settings are wrong; names the variables.
    """
    is_google = root.startswith(GOOGLE)
    try:
        return (_google if is_google else _azure)(root, settings)
    except (BaseError, ValueError) as error:
        variables = GOOGLE_VARIABLES if is_google else AZURE_VARIABLES
        raise OSError(f"{root} cannot be used: {_reason(error)} Check {variables}.") from error


class Cloud(ObjectStorage):
    """A bucket; see `app.storage.Objects`."""

    def __init__(
        self, root: str, store: AzureStore | GCSStore, address: str, variables: str
    ) -> None:
        self._root = root
        self._store = store
        self._variables = variables
        self.address = address

    def entry(self, path: str) -> Entry | None:
        """Look an object up."""
        key = split(path)[1]
        if not key or key.endswith("/"):
            return None
        try:
            meta = obstore.head(self._store, key)
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise self._failure(path, error) from error
        return Entry(path, meta["size"], meta["last_modified"].timestamp())

    @contextlib.contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """Upload in parts; the object appears when the last request names them all.

        After an exception or a kill, parts are left that are no object. Azure removes them after
        a week; a bucket of Google's needs a lifecycle rule.
        """
        file = obstore.open_writer(
            self._store, split(path)[1], buffer_size=PART, max_concurrency=UPLOADS
        )
        yield cast(BinaryIO, _Writer(file, lambda error: self._failure(path, error)))
        try:
            file.close()
        except (BaseError, OSError) as error:
            raise self._failure(path, error) from error

    def remove(self, path: str) -> None:
        """Remove an object."""
        # Azure says so where there is none; Google's storage does not.
        with contextlib.suppress(FileNotFoundError):
            try:
                obstore.delete(self._store, split(path)[1])
            except BaseError as error:
                raise self._failure(path, error) from error

    def read(self, path: str, start: int, end: int) -> bytes:
        """Read a range of an object's bytes."""
        try:
            return bytes(obstore.get_range(self._store, split(path)[1], start=start, end=end))
        except (BaseError, FileNotFoundError) as error:
            raise self._failure(path, error) from error

    def pieces(self, path: str) -> Iterator[bytes]:
        """Read an object in one request; see there."""
        try:
            for piece in obstore.get(self._store, split(path)[1]).stream(PIECE):
                yield bytes(piece)
        except FileNotFoundError as error:
            if re.search("<Code>(NoSuchBucket|ContainerNotFound)<", str(error)):
                raise OSError(f"{NO_BUCKET}.") from error
            raise FileNotFoundError(f"{NO_OBJECT}.") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise OSError(f"{self.address} refuses the key; check {self._variables}.") from error
        except BaseError as error:
            raise OSError(f"{_reason(error)} {self._advice}") from error

    def put(self, path: str, content: bytes) -> None:
        """Write an object in one request; see there."""
        try:
            obstore.put(self._store, split(path)[1], content, use_multipart=False)
        except (BaseError, FileNotFoundError) as error:
            raise self._failure(path, error) from error

    def below(self, folder: str) -> Iterator[Entry]:
        """List objects; see there."""
        try:
            for page in obstore.list(self._store, split(folder)[1] or None):
                for meta in page:
                    path = f"{self._root}/{meta['path']}"
                    yield Entry(path, meta["size"], meta["last_modified"].timestamp())
        except (BaseError, FileNotFoundError) as error:
            raise self._failure(folder, error) from error

    @property
    def _advice(self) -> str:
        return f"Check {self._variables}, and that {self.address} can be reached."

    def _failure(self, path: str, error: Exception) -> OSError:
        return OSError(f"{path} fails: {_reason(error)} Check the path. {self._advice}")


class _Writer(io.RawIOBase):
    """An object that is being written; the library's file is no file to others."""

    def __init__(self, file: "WritableFile", failure: Any) -> None:
        self._file = file
        self._failure = failure
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            self._file.write(view)
        except (BaseError, OSError) as error:
            raise self._failure(error) from error
        self._written += len(view)
        return len(view)

    def tell(self) -> int:
        return self._written


def _google(root: str, settings: "Settings") -> Cloud:
    endpoint = settings.storage_emulator_host
    config: GCSConfig = {}
    if settings.google_application_credentials:
        config["application_credentials"] = settings.google_application_credentials
    if endpoint:
        endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
        config["base_url"] = endpoint
        if not settings.google_application_credentials:
            # An emulator asks for no key, but the library would look for one.
            config["bearer_token"] = "none"  # noqa: S105
    store = GCSStore(
        split(root)[0], config=config, client_options=_client(endpoint), retry_config=RETRIES
    )
    return Cloud(root, store, endpoint or "Google's storage", GOOGLE_VARIABLES)


def _azure(root: str, settings: "Settings") -> Cloud:
    parts = _parts(settings.azure_storage_connection_string)
    account = parts.get("AccountName") or settings.azure_storage_account
    key = parts.get("AccountKey") or _revealed(settings.azure_storage_key)
    token = parts.get("SharedAccessSignature") or _revealed(settings.azure_storage_sas_token)
    endpoint = parts.get("BlobEndpoint")
    if endpoint is None and "EndpointSuffix" in parts:
        protocol = parts.get("DefaultEndpointsProtocol", "https")
        endpoint = f"{protocol}://{account}.blob.{parts['EndpointSuffix']}"
    config: AzureConfig = {}
    if account:
        config["account_name"] = account
    if key:
        config["account_key"] = key
    elif token:
        config["sas_key"] = token.removeprefix("?")
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    store = AzureStore(
        split(root)[0], config=config, client_options=_client(endpoint), retry_config=RETRIES
    )
    return Cloud(root, store, endpoint or "Azure's storage", AZURE_VARIABLES)


def _client(endpoint: str | None) -> "ClientConfig":
    """Timeouts as for S3: of a connection and of a silence, not of a large object as a whole."""
    return {
        "allow_http": (endpoint or "").startswith("http://"),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=30),
        "timeout": timedelta(days=1),
    }


def _parts(secret: "SecretStr | None") -> dict[str, str]:
    """The parts of a connection string."""
    pairs = [part.partition("=") for part in (_revealed(secret) or "").split(";") if part.strip()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _revealed(secret: "SecretStr | None") -> str | None:
    return secret.get_secret_value() if secret else None


def _reason(error: Exception) -> str:
    """What the library says, in one line: without its own insides, and without a URL's query.

    A query may hold a key.
    """
    text = re.sub(r"\?\S*", "", str(error).partition("\n\nDebug source")[0])
    return f"{' '.join(text.split()).removesuffix('.')}."
