"""A local S3 server, SeaweedFS, that nobody can read or write without its key."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.processes import START_SECONDS, Service, ServiceError, launch
from local.s3_security import write_security

# SeaweedFS is four servers, each with an HTTP and a gRPC port; S3's comes first.
SERVERS = ("s3", "master", "volume", "filer")
S3_PORTS = 2 * len(SERVERS)
# What S3 says to a key that it does not take
REFUSALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


def start_s3(
    folder: Path, port: int, key: str, secret: str, options: Sequence[str] = ()
) -> Service:
    """Start SeaweedFS with just the servers that S3 needs, all on 127.0.0.1.

    Of its eight ports only S3's own answers to a client: the gRPC ports need a certificate, the
    volume server's a token, the others' HTTP is switched off.

    Args:
        folder: for its data, its log and the keys of its servers.
        port: S3's; the seven after it are taken too.
        key: who may use it.
        secret: the key's.
        options: more of SeaweedFS's.
    """
    data, own = (folder / "s3").absolute(), (folder / "s3-run").absolute()
    for one in (data, own):
        one.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_security(own, SERVERS)
    ports = [
        f"-{name}.port{kind}={port + 2 * i + j}"
        for i, name in enumerate(SERVERS)
        for j, kind in enumerate(["", ".grpc"])
    ]
    command = [
        str(Path(sys.executable).with_name("weed")),
        "-logtostderr=true",  # and not into the system's folder of temporary files
        f"-config_dir={own}",
        "server",
        "-s3",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *ports,
        "-disableHttp",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.localSocket=s3.sock",  # relative to `own`: a socket's path may not be long
        "-filer.localSocket=filer.sock",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=0",
        "-volume.preStopSeconds=0",
        *options,
    ]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    return launch("S3", command, environment, folder / "logs" / "s3.log", cwd=own)


def s3_client(s3: Mapping[str, str]) -> Any:
    """A client of the S3 that the AWS_* variables in `s3` name."""
    return boto3.client(
        "s3",
        endpoint_url=s3["AWS_ENDPOINT_URL"] or None,  # empty means Amazon's
        aws_access_key_id=s3["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3["AWS_SECRET_ACCESS_KEY"],
        region_name=s3["AWS_DEFAULT_REGION"],
    )


def takes_key(s3: Mapping[str, str]) -> bool:
    """Whether the S3 that answers takes our key."""
    try:
        s3_client(s3).list_buckets()
    except ClientError as error:
        if error.response["Error"]["Code"] in REFUSALS:
            return False
        raise
    return True


def create_bucket(bucket: str, s3: Mapping[str, str]) -> None:
    """Create the bucket if it is missing; a server that has just started may need a moment.

    Raises:
        ServiceError: S3 refuses, or does not answer.
    """
    client = s3_client(s3)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=bucket)
            return
        except client.exceptions.BucketAlreadyOwnedByYou:
            return
        except (BotoCoreError, ClientError) as error:
            refused = isinstance(error, ClientError) and error.response["Error"]["Code"] in REFUSALS
            if refused or time.monotonic() > deadline:
                raise ServiceError(
                    f"S3 at {s3['AWS_ENDPOINT_URL']} will not create the bucket {bucket}: {error}. "
                    "If the keys in .env changed since it started, run `make down` and `make up`."
                ) from error
            time.sleep(0.2)
