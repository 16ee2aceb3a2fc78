"""Faults of S3 and of stored models: hanging, failing, cut, altered, foreign."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import boto3
from pydantic import SecretStr

from app.model.model import Model, ModelError
from app.model.store import StoreError, cached, fetch
from app.operations import pull
from app.settings import Settings
from local.processes import stop, wait
from local.s3 import S3_PORTS, create_bucket, start_s3
from tests.app import clouds
from tests.app.conftest import lock, publish, serve, settings_in, write_model
from tests.app.hanging import DRIPS, DRIPS_IN_HEAD, HANGS, HANGS_IN_BODY, HEAD, s3_that
from tests.app.hanging import Fault as S3Fault
from tests.app.processes import folder_with_model, started
from tests.chaos.counts import Count, Fault, is_right
from tests.chaos.server import serves, wait_long
from tests.conftest import BUCKET, KEY, S3, SECRET, free_ports, running
from tests.project import Project, create, houses

# Of `two_pushes`: what both clones push, and when the killed push has ended at the latest.
SHARED_BYTES, PUSH_SECONDS = 20_000_000, 4.0
EMPTY = b"\r\nContent-Length: 0\r\n\r\n"
SKEWED = b"<Error><Code>RequestTimeTooSkewed</Code><Message>Your clock is wrong</Message></Error>"
BROKEN = {
    "hangs": HANGS,
    "hangs in a body": HANGS_IN_BODY,
    "drips": DRIPS,
    "drips in a head": DRIPS_IN_HEAD,
    "answers 500": S3Fault(head=b"HTTP/1.1 500 Internal Server Error" + EMPTY, ends=True),
    "answers 503": S3Fault(head=b"HTTP/1.1 503 Slow Down" + EMPTY, ends=True),
    "answers 403": S3Fault(head=b"HTTP/1.1 403 Forbidden" + EMPTY, ends=True),
    "calls the clock wrong": S3Fault(
        head=b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(SKEWED), SKEWED),
        ends=True,
    ),
    "is cut off": S3Fault(head=HEAD + b"x" * 1_000, ends=True),
    "closes at once": S3Fault(ends=True),
    "is no S3": S3Fault(head=b"hello\r\n", ends=True),
}


def broken_s3(tries: int, folder: Path) -> Count:
    """While a new version cannot be pulled, the old one answers; in turn each kind of fault."""
    count = Count()
    settings = settings_in(folder).model_copy(
        update={
            "api_key": SecretStr("a key"),
            "aws_access_key_id": "key",
            "aws_secret_access_key": SecretStr("secret"),
        }
    )
    headers = {"X-API-Key": "a key"}
    version = publish(write_model(folder / "model"), settings.model_cache, settings.lock_file)
    patience, pull.STALL_SECONDS = pull.STALL_SECONDS, 3.0
    try:
        for number in range(tries):
            fault = [*BROKEN.values()][number % len(BROKEN)]
            lock(version, settings.lock_file)
            with s3_that(fault) as address:
                at = settings.model_copy(update={"aws_endpoint_url": address})
                with serve(at) as client:
                    client.headers.update(headers)
                    lock("0" * 32, settings.lock_file)
                    reply = client.post("/reload", timeout=60)
                    right = is_right(client)
            left = [*settings.model_cache.glob(".0*")]
            count.add(lost=reply.status_code != 503 or not right, wrong=len(left))
    finally:
        pull.STALL_SECONDS = patience
    return count


def flipped_byte_in_the_cache(tries: int, folder: Path) -> Count:
    """A version of which one bit is another is never opened."""
    generator = random.Random(0)
    settings = settings_in(folder)
    publish(write_model(folder / "model"), settings.model_cache, settings.lock_file)
    (place,) = settings.model_cache.iterdir()
    count = Count()
    for _ in range(tries):
        file = generator.choice(sorted(place.iterdir()))
        content = file.read_bytes()
        file.write_bytes(flipped(content, generator))
        count.add(wrong=cached(place.name, settings) is not None)
        file.write_bytes(content)
        count.add(lost=cached(place.name, settings) is None)
    return count


def foreign_graph(tries: int, folder: Path) -> Count:
    """A valid graph under another model's manifest, both with the right md5, is refused."""
    settings = settings_in(folder)
    count = Count()
    for number in range(tries):
        mixed = write_model(folder / f"model{number}", shift=number)
        other = write_model(folder / f"other{number}", shift=number + 0.5)
        shutil.copy(other / "model.onnx", mixed)
        version = publish(mixed, settings.model_cache, settings.lock_file)
        place = cached(version, settings)
        try:
            Model.load(settings.model_cache / version)
            count.add(wrong=1)
        except ModelError:
            count.add(lost=place is None)
    return count


def flipped_byte_in_s3(tries: int, folder: Path) -> Count:
    """What was altered in S3 is refused; whole again, it is pulled."""
    generator = random.Random(0)
    count = Count()
    with own_s3(folder) as (settings, client):
        publish(write_model(folder / "model"), folder / "pushed", settings.lock_file)
        (place,) = (folder / "pushed").iterdir()
        keys = push(place, client)
        for _ in range(tries):
            key, content = generator.choice(sorted(keys.items()))
            client.put_object(Bucket=BUCKET, Key=key, Body=flipped(content, generator))
            try:
                fetch(place.name, settings)
                count.add(wrong=1)
            except StoreError:
                count.add()
            client.put_object(Bucket=BUCKET, Key=key, Body=content)
        count.add(lost=not fetch(place.name, settings).exists())
    return count


def two_servers(tries: int, folder: Path) -> Count:
    """Two servers with one cache pull the same version at the same moment."""
    count = Count()
    with own_s3(folder / "other") as (settings, client):
        machine = folder_with_model(folder / "machine")
        cache, lock_file = machine / "cache", machine / "dvc.lock"
        shifts = {}
        for shift in (0.0, 1.0):
            name = publish(write_model(folder / f"model{shift}", shift=shift), cache, lock_file)
            push(cache / name, client)
            shifts[name] = shift
        both = {
            **S3(str(settings.aws_endpoint_url)).environment(),
            "SERVE_REMOTE": settings.remote,
            "SERVE_WATCH_SECONDS": "0.1",
        }
        with (
            started(machine, "app", settings=both) as one,
            started(machine, "app", settings=both) as other,
        ):
            for number in range(tries):
                name = [*shifts][number % 2]
                shutil.rmtree(cache / name, ignore_errors=True)
                lock(name, lock_file)
                for server in (one, other):
                    wait_long(partial(serves, server, name))
                right = [is_right(server.client, shifts[name]) for server in (one, other)]
                whole = cached(name, settings.model_copy(update={"model_cache": cache}))
                left = [*cache.glob(".[0-9a-f]*")]
                count.add(lost=right.count(False), wrong=(whole is None) + len(left))
    return count


def broken_pull(tries: int, folder: Path) -> Count:
    """`dvc pull` from an S3 that fails says so and leaves nothing half; later it brings all."""
    kinds = [kind for kind, fault in BROKEN.items() if fault.ends]  # others are waited for
    count = Count()
    with own_s3(folder / "other") as (settings, _):
        at = S3(str(settings.aws_endpoint_url))
        project = create(folder / "tree", at, "", "pulled", houses())
        project.run("dvc", "push")
        clone = project.clone(folder / "clone")
        config, data = clone.root / ".dvc" / "config.local", clone.root / "data"
        right = config.read_text()
        for number in range(tries):
            with s3_that(BROKEN[kinds[number % len(kinds)]]) as address:
                config.write_text(right.replace(at.endpoint, address))
                failed = clone.run("dvc", "pull", "data", check=False)
            count.add(lost="ERROR: " not in failed.stderr, wrong=data.exists())
        config.write_text(right)
        clone.run("dvc", "pull", "data")
        content = (data / "table.csv").read_bytes()
        count.add(wrong=content != (project.root / "data" / "table.csv").read_bytes())
    return count


def two_pushes(tries: int, folder: Path) -> Count:
    """Two clones push at the same moment, one is killed and repeats it: all can be pulled."""
    generator = random.Random(0)
    count = Count()
    with own_s3(folder / "other") as (settings, _), ThreadPoolExecutor(1) as people:
        at = S3(str(settings.aws_endpoint_url))
        project = create(folder / "tree", at, "", "pushed", houses())
        one, other, reader = (project.clone(folder / name) for name in ("one", "two", "reader"))
        for _ in range(tries):
            shared = generator.randbytes(SHARED_BYTES)
            for clone in (one, other):
                (clone.root / "data").mkdir(exist_ok=True)
                (clone.root / "data" / "shared").write_bytes(shared)
                (clone.root / "data" / "own").write_bytes(generator.randbytes(10_000))
                clone.run("dvc", "add", "--quiet", "data")
            pushed = people.submit(other.run, "dvc", "push", check=False)
            push_killed(one, generator.uniform(0, PUSH_SECONDS))
            again = one.run("dvc", "push", check=False)
            failed = [again.returncode, pushed.result().returncode]
            different = 0
            for clone in (one, other):
                shutil.copy(clone.root / "data.dvc", reader.root)
                pulled = reader.run("dvc", "pull", "--force", "data", check=False)
                failed.append(pulled.returncode)
                different += contents(reader.root / "data") != contents(clone.root / "data")
                shutil.rmtree(reader.root / ".dvc" / "cache")
            count.add(lost=any(failed), wrong=different)
    return count


def push_killed(project: Project, seconds: float) -> None:
    """Push, and kill that after so many seconds."""
    command = ["dvc", "push", "--quiet"]
    with subprocess.Popen(command, cwd=project.root, env=project.environment) as process:
        time.sleep(seconds)
        process.kill()


def contents(folder: Path) -> dict[str, bytes]:
    """What is in a folder's files."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def killed_s3(tries: int, folder: Path) -> Count:
    """What S3 has taken is there after a SIGKILL and a new start."""
    port = free_ports(S3_PORTS)
    at = S3(f"http://127.0.0.1:{port}")
    count = Count()
    written: dict[str, bytes] = {}
    generator = random.Random(0)
    for number in range(tries + 1):
        service = start_s3(folder, port, KEY, SECRET)
        wait(service, f"{at.endpoint}/healthz")
        create_bucket(BUCKET, at.environment())
        client = client_of(at)
        if number:
            read = {
                key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in written
            }
            count.add(wrong=read != written)
        for one in range(20):
            key, content = f"{number}/{one}", generator.randbytes(10_000)
            client.put_object(Bucket=BUCKET, Key=key, Body=content)
            written[key] = content
        for process in service.processes():
            process.kill()
        stop(service)
    return count


@contextmanager
def own_s3(folder: Path) -> Iterator[tuple[Settings, "boto3.client"]]:
    """An S3 with a bucket; settings of a server of it, and a client."""
    port = free_ports(S3_PORTS)
    at = S3(f"http://127.0.0.1:{port}")
    service = start_s3(folder / "s3", port, KEY, SECRET)
    with running(service, f"{at.endpoint}/healthz"):
        create_bucket(BUCKET, at.environment())
        update = {
            "remote": f"s3://{BUCKET}/dvc",
            "aws_endpoint_url": at.endpoint,
            "aws_access_key_id": KEY,
            "aws_secret_access_key": SecretStr(SECRET),
            "aws_region": "us-east-1",
        }
        yield settings_in(folder).model_copy(update=update), client_of(at)


def client_of(at: S3) -> "boto3.client":
    """A client of an S3."""
    return boto3.client(
        "s3",
        endpoint_url=at.endpoint,
        aws_access_key_id=at.key_id,
        aws_secret_access_key=at.secret,
        region_name="us-east-1",
    )


def push(place: Path, client: "boto3.client") -> dict[str, bytes]:
    """Put a version where DVC would; what lies under which key."""
    keys = {}
    for file in place.iterdir():
        content = file.read_bytes()
        suffix = ".dir" if file.name == ".dir" else ""
        keys[f"dvc/{clouds.key(clouds.md5(content))}{suffix}"] = content
    for name, content in keys.items():
        client.put_object(Bucket=BUCKET, Key=name, Body=content)
    return keys


def flipped(content: bytes, generator: random.Random) -> bytes:
    """The same bytes but for one bit."""
    changed = bytearray(content)
    changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


FAULTS = (
    Fault("S3 hangs, drips, fails, is cut, is none", broken_s3, 5, 33),
    Fault("one bit of a cached model", flipped_byte_in_the_cache, 50, 2_000),
    Fault("a foreign graph under a manifest", foreign_graph, 3, 50),
    Fault("one bit of a model in S3", flipped_byte_in_s3, 5, 100),
    Fault("two servers pull into one cache", two_servers, 4, 40),
    Fault("`dvc pull` from such an S3", broken_pull, 0, 14),
    Fault("two pushes at once, one of them killed", two_pushes, 0, 20),
    Fault("SIGKILL of S3", killed_s3, 0, 10),
)
