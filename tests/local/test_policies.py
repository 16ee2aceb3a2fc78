"""The policies of deploy/: the least that the server and the trainer need of S3."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from app.model.store import StoreError, fetch
from app.settings import Settings
from local.processes import stop, wait
from local.s3 import S3_PORTS, create_bucket, s3_client, start_s3
from tests.app.conftest import settings_in
from tests.app.waiting import wait_for
from tests.conftest import KEY, ROOT, S3, SECRET, free_ports

BUCKET = "tabular-model"


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, S3]]:
    """An S3 with its administrator and one user for each policy; whose keys are whose."""
    port = free_ports(S3_PORTS)
    folder = tmp_path_factory.mktemp("s3")
    service = start_s3(folder, port, KEY, SECRET, ["-s3.iam.readOnly=false"])
    administrator = S3(f"http://127.0.0.1:{port}", BUCKET)
    try:
        wait(service, f"{administrator.endpoint}/healthz")
        create_bucket(BUCKET, administrator.environment())
        iam = boto3.client(
            "iam",
            endpoint_url=administrator.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        found = {"administrator": administrator}
        for name in ("server", "trainer"):
            iam.create_user(UserName=name)
            key = iam.create_access_key(UserName=name)["AccessKey"]
            policy = (ROOT / "deploy" / f"s3-policy-{name}.json").read_text()
            iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
            found[name] = replace(
                administrator, key_id=key["AccessKeyId"], secret=key["SecretAccessKey"]
            )
        wait_for(lambda: all(may_list(user) for user in found.values()))
        yield found
    finally:
        stop(service)


def may_list(user: S3) -> bool:
    try:
        s3_client(user.environment()).list_objects_v2(Bucket=BUCKET)
    except ClientError:
        return False
    return True


def settings_of(user: S3, folder: Path) -> Settings:
    update: dict[str, Any] = {
        "remote": f"s3://{BUCKET}/dvc",
        "aws_endpoint_url": user.endpoint,
        "aws_access_key_id": user.key_id,
        "aws_secret_access_key": SecretStr(user.secret),
        "aws_region": "us-east-1",
    }
    return settings_in(folder).model_copy(update=update)


def refused(user: S3, call: str, key: str, **more: Any) -> None:
    client = s3_client(user.environment())
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(client, call)(Bucket=BUCKET, Key=key, **more)


def test_trainer_pushes_with_dvc_and_the_server_pulls_that(
    users: dict[str, S3], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "model").mkdir(parents=True)
    (project / "model" / "a.txt").write_text("one")
    (project / ".dvc").mkdir()
    (project / ".dvc" / "config").write_text(
        "[core]\nno_scm = true\nanalytics = false\nremote = s3\n"
        f"['remote \"s3\"']\nurl = s3://{BUCKET}/dvc\nendpointurl = {users['trainer'].endpoint}\n"
    )
    for command in (["add", "model"], ["push"]):
        subprocess.run(
            [sys.executable, "-m", "dvc", "--quiet", *command],
            cwd=project,
            env={**os.environ, **users["trainer"].environment()},
            check=True,
        )
    entry = f'[{{"md5": "{hashlib.md5(b"one").hexdigest()}", "relpath": "a.txt"}}]'
    version = hashlib.md5(entry.encode()).hexdigest()
    settings = settings_of(users["server"], tmp_path)
    assert (fetch(version, settings) / "a.txt").read_text() == "one"
    with pytest.raises(StoreError, match="dvc push"):  # missing, not forbidden
        fetch("0" * 32, settings)


def test_server_may_only_read_and_only_models(users: dict[str, S3]) -> None:
    client = s3_client(users["administrator"].environment())
    for key in ("dvc/x", "mlflow/x"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"whole")
    refused(users["server"], "put_object", "dvc/x", Body=b"altered")
    refused(users["server"], "delete_object", "dvc/x")
    refused(users["server"], "get_object", "mlflow/x")


def test_trainer_removes_nothing_and_writes_nowhere_else(users: dict[str, S3]) -> None:
    client = s3_client(users["trainer"].environment())
    for key in ("dvc/y", "mlflow/y"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"whole")
        assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"whole"
        refused(users["trainer"], "delete_object", key)
    refused(users["trainer"], "put_object", "elsewhere", Body=b"x")
