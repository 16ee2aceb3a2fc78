"""Objects of S3, by `s3://bucket/key`."""

import contextlib
import io
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.storage import Entry
from app.storage.objects import NO_BUCKET, NO_OBJECT, PIECE, ObjectStorage, split

if TYPE_CHECKING:
    from app.settings import Settings

# The smallest part that S3 takes is 5 MiB, and 10,000 is the most parts; so they grow.
PART = 8 * 1024**2
PARTS_OF_ONE_SIZE = 1_000


def client(settings: "Settings") -> Any:
    """Build a client of the S3 that the settings name."""
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return boto3.session.Session(
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
        region_name=settings.aws_region,
    ).client(
        "s3",
        endpoint_url=settings.aws_endpoint_url,
        config=Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "max_attempts": 3},
            # Many an S3 that is not Amazon's does not know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@cache
def s3_of(settings: "Settings") -> "S3":
    """Give the settings' S3; all threads share its client, which takes long to build."""
    return S3(settings)


class S3(ObjectStorage):
    """See `app.storage.Objects`."""

    def __init__(self, settings: "Settings") -> None:
        self._client = client(settings)
        self.address = settings.aws_endpoint_url or "Amazon S3"

    def entry(self, path: str) -> Entry | None:
        """Look an object up."""
        bucket, key = split(path)
        if not key or key.endswith("/"):
            return None
        try:
            head = self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise self._failure(path, error) from error
        except BotoCoreError as error:
            raise self._failure(path, error) from error
        return Entry(path, head["ContentLength"], head["LastModified"].timestamp())

    @contextlib.contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """Upload in parts; the object appears when the last request names them all.

        A kill leaves parts that are no object; the next attempt removes them.
        """
        bucket, key = split(path)
        writer = _Writer(self._client, bucket, key)
        try:
            yield cast(BinaryIO, writer)
            writer.complete()
        except (BotoCoreError, ClientError) as error:
            writer.abandon()
            raise self._failure(path, error) from error
        except BaseException:
            writer.abandon()
            raise

    def remove(self, path: str) -> None:
        """Remove an object."""
        bucket, key = split(path)
        try:
            self._client.delete_object(Bucket=bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise self._failure(path, error) from error

    def read(self, path: str, start: int, end: int) -> bytes:
        """Read a range of an object's bytes."""
        bucket, key = split(path)
        try:
            reply = self._client.get_object(
                Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}"
            )
            return bytes(reply["Body"].read())
        except (BotoCoreError, ClientError) as error:
            raise self._failure(path, error) from error

    def pieces(self, path: str) -> Iterator[bytes]:
        """Read an object in one request; see there."""
        bucket, key = split(path)
        try:
            yield from self._client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(PIECE)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if code == "NoSuchBucket":
                advice = NO_BUCKET
            elif status == 404:
                advice = NO_OBJECT
            elif status in (400, 401, 403):
                advice = "S3 refuses the key; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            else:
                advice = f"S3 failed with status {status}"
            kind = FileNotFoundError if code == "NoSuchKey" else OSError
            raise kind(f"{advice} ({code}).") from error
        except BotoCoreError as error:
            raise OSError(f"{error} Check AWS_ENDPOINT_URL, the keys, and that S3 runs.") from error

    def put(self, path: str, content: bytes) -> None:
        """Write an object in one request; see there."""
        bucket, key = split(path)
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=content)
        except (BotoCoreError, ClientError) as error:
            raise self._failure(path, error) from error

    def below(self, folder: str) -> Iterator[Entry]:
        """List objects; see there."""
        bucket, prefix = split(folder)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            for page in pages:
                for item in page.get("Contents", []):
                    if not item["Key"].endswith("/"):
                        yield Entry(
                            f"s3://{bucket}/{item['Key']}",
                            item["Size"],
                            item["LastModified"].timestamp(),
                        )
        except (BotoCoreError, ClientError) as error:
            raise self._failure(folder, error) from error

    def _failure(self, path: str, error: Exception) -> OSError:
        return OSError(
            f"S3 at {self.address} fails for {path}: {error} Check the path, the AWS_ variables "
            "and that S3 runs."
        )


class _Writer(io.RawIOBase):
    """An object that is being written."""

    def __init__(self, client_: Any, bucket: str, key: str) -> None:
        self._client = client_
        self._place = {"Bucket": bucket, "Key": key}
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._waiting = bytearray()
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._waiting += view
        self._written += len(view)
        if len(self._waiting) >= PART * (1 + len(self._parts) // PARTS_OF_ONE_SIZE):
            self._send()
        return len(view)

    def tell(self) -> int:
        return self._written

    def complete(self) -> None:
        """Make the object appear."""
        if self._upload is None:
            self._client.put_object(**self._place, Body=bytes(self._waiting))
            return
        if self._waiting:
            self._send()
        self._client.complete_multipart_upload(
            **self._place, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
        )

    def abandon(self) -> None:
        """Let no object appear."""
        # Where even that fails, the parts stay, and the next attempt removes them.
        with contextlib.suppress(BotoCoreError, ClientError):
            if self._upload is not None:
                self._abort(self._upload)

    def _abort(self, upload: str) -> None:
        self._client.abort_multipart_upload(**self._place, UploadId=upload)

    def _abandon_earlier(self) -> None:
        bucket, key = self._place.values()
        uploads = self._client.list_multipart_uploads(Bucket=bucket, Prefix=key)
        for upload in uploads.get("Uploads", []):
            if upload["Key"] == key:
                self._abort(upload["UploadId"])

    def _send(self) -> None:
        if self._upload is None:
            self._abandon_earlier()
            self._upload = self._client.create_multipart_upload(**self._place)["UploadId"]
        number = len(self._parts) + 1
        part = self._client.upload_part(
            **self._place, UploadId=self._upload, PartNumber=number, Body=bytes(self._waiting)
        )
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self._waiting.clear()
