"""Puts a model version where `dvc push` would."""

import json
from pathlib import Path

import boto3


def push(folder: Path, version: str, bucket: str, prefix: str) -> None:
    """Upload a version's folder with its listing `.dir` in the layout of DVC 3.

    boto3 finds the server and the credentials in the environment.
    """
    files = {f"{version}.dir": folder / ".dir"}
    for entry in json.loads((folder / ".dir").read_bytes()):
        files[entry["md5"]] = folder / entry["relpath"]
    client = boto3.client("s3")
    for md5, path in files.items():
        client.upload_file(str(path), bucket, f"{prefix}/files/md5/{md5[:2]}/{md5[2:]}")
