"""A commit rebuilt elsewhere: found the same and signed, or different and said where."""

import base64
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import SecretStr

from app.model.store import fetch
from app.model.verification import Verification, require
from tests.app.conftest import settings_in
from tests.conftest import S3
from tests.project import Project, create, houses
from tests.remote import push

pytestmark = pytest.mark.long

VERIFY = ("python", "-m", "lifecycle.verification")


@pytest.fixture(scope="module")
def project(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline ran once, was pushed and committed; and a signer's keys."""
    built = create(tmp_path_factory.mktemp("project"), s3, "", "verified", houses())
    built.environment["SERVE_REMOTE"] = f"s3://{s3.bucket}/verified"
    built.run("dvc", "repro")
    built.run("dvc", "push")
    built.commit("Run the pipeline")
    built.run(*VERIFY, "key", "../signer.key")
    return built


def version(project: Project) -> str:
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())
    return str(lock["stages"]["deploy"]["outs"][1]["md5"].removesuffix(".dir"))


def test_a_commit_that_rebuilds_is_the_same_and_signed(
    project: Project, s3: S3, tmp_path: Path
) -> None:
    """Whatever else is in its work tree, or arithmetic in its environment."""
    (project.root / "params.yaml").write_text("broken")
    odd = Project(
        project.root,
        {
            **project.environment,
            "OPENBLAS_CORETYPE": "Prescott",
            "NPY_DISABLE_CPU_FEATURES": "AVX F16C FMA3 AVX2",
            "TZ": "Asia/Tokyo",
        },
    )
    done = odd.run(*VERIFY, "rebuild", "HEAD", "--sign", "../signer.key")
    project.run("git", "checkout", "--", "params.yaml")
    for stage, path in (
        ("prepare", "prepared"),
        ("train", "model/candidate"),
        ("evaluate", "reports/metrics.json"),
        ("evaluate", "reports/plots"),
        ("deploy", "model/final"),
        ("deploy", "model/serving"),
    ):
        assert f"{stage:<9} {path:<24} same\n" in done.stdout
    assert "different" not in done.stdout
    content = (project.root / "verification.json").read_bytes()
    said = Verification.model_validate_json(content)
    assert said.same
    assert said.version == version(project)
    assert said.machine["OpenBLAS"] == "Nehalem"
    assert said.libraries["numpy"].startswith("1.26")
    key = base64.b64decode((project.root.parent / "signer.key.pub").read_text())
    signature = (project.root / "verification.sig").read_bytes()
    Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
    settings = settings_in(tmp_path).model_copy(
        update={
            "remote": f"s3://{s3.bucket}/verified",
            "aws_endpoint_url": s3.endpoint,
            "aws_access_key_id": s3.key_id,
            "aws_secret_access_key": SecretStr(s3.secret),
            "aws_region": "us-east-1",
            "trusted_keys": (key,),
        }
    )
    require(fetch(version(project), settings), settings)


def test_a_changed_digit_and_a_changed_byte_are_told_and_not_signed(
    project: Project, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A falsified metric in Git, and a falsified model in S3 whose md5 is in `dvc.lock`."""
    root = project.clone(tmp_path / "clone").root
    forger = Project(root, project.environment)
    metrics = root / "reports" / "metrics.json"
    report = json.loads(metrics.read_text())
    report["model"]["rmse"] *= 0.99
    metrics.write_text(json.dumps(report, indent=2) + "\n")
    forged = tmp_path / "forged"
    forger.run("dvc", "pull", "model/serving")
    shutil.copytree(root / "model" / "serving", forged)
    graph = bytearray((forged / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (forged / "model.onnx").write_bytes(graph)
    entries = [
        {"md5": hashlib.md5(file.read_bytes()).hexdigest(), "relpath": file.name}
        for file in sorted(forged.iterdir())
    ]
    listing = json.dumps(entries, sort_keys=True)
    (forged / ".dir").write_text(listing)
    new = hashlib.md5(listing.encode()).hexdigest()
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    push(forged, new, s3.bucket, "verified")
    lock = root / "dvc.lock"
    lock.write_text(lock.read_text().replace(version(forger), new))
    forger.commit("Better numbers, another model")

    done = forger.run(
        *VERIFY, "rebuild", "HEAD", "--sign", str(project.root.parent / "signer.key"), check=False
    )
    assert done.returncode == 1
    lines = {
        line.split()[1]: line
        for line in done.stdout.splitlines()
        if " same" in line or " different" in line
    }
    assert lines["model/candidate"].endswith(" same")
    assert "different: reports/metrics.json from byte" in lines["reports/metrics.json"]
    assert lines["reports/metrics.json"].endswith("largest relative deviation 0.01")
    assert "different: model/serving/model.onnx from byte" in lines["model/serving"]
    assert "what is different is not signed" in done.stdout
    assert json.loads((root / "verification.json").read_text())["same"] is False
    assert not (root / "verification.sig").exists()


def test_data_that_s3_does_not_have_is_the_reason_that_is_given(
    project: Project, tmp_path: Path
) -> None:
    clone = project.clone(tmp_path / "clone")
    pin = clone.root / "data.dvc"
    pin.write_text(pin.read_text().replace("md5: ", "md5: 0000", 1).replace(".dir", ""))
    clone.commit("Data that nobody pushed")
    done = clone.run(*VERIFY, "rebuild", "HEAD", check=False)
    assert done.returncode == 1
    assert "pull data.dvc` failed in" in done.stderr
    assert "failed to pull data from the cloud" in done.stderr


def test_a_key_is_not_written_over(project: Project) -> None:
    private = project.root.parent / "signer.key"
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    done = project.run(*VERIFY, "key", str(private), check=False)
    assert done.returncode == 1
    assert "File exists" in done.stderr
    assert private.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rebuild", "nowhere"), "REV: 'nowhere' is no commit"),
        (("rebuild", "HEAD", "--sign", "dvc.yaml"), "SIGN=dvc.yaml: "),
        (("rebuild", "HEAD", "--sign", "absent"), "`make key KEY=absent` makes one"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    project: Project, arguments: tuple[str, ...], message: str
) -> None:
    done = project.run(*VERIFY, *arguments, check=False)
    assert done.returncode == 1
    assert f"verify: {message}" in done.stderr or message in done.stderr
    assert "Traceback" not in done.stderr
