"""Every command of README and docs/ is run: here as it is written, by another test, or by nobody.

Here means in the order of the document, in a clone with services of its own.
"""

import json
import re
from collections.abc import Iterator

import httpx
import pandas as pd
import pytest
import yaml
from plotnine.data import diamonds

from tests.conftest import ROOT
from tests.repository.commands import FENCED, Clone, clone, commands
from tests.repository.test_documents import DOCUMENTS

CLUSTER = "not run: there is no container engine; tests/repository/test_deploy.py"
SYSTEM = "not run: it needs systemd; tests/repository/test_deploy.py"
INSTALL = "not run: it installs; tests/repository/test_requirements.py"
LONG = "not run: it takes minutes to hours"
DASK = "tests/app/batch/test_dask_engine.py"
QUEUE = "tests/test_sweep.py"
VERIFICATION = "tests/lifecycle/verification/test_verification.py"
TUTORIAL = "tests/repository/test_tutorial.py"
# Commands that are not run here, and where they are
ELSEWHERE = {
    "git clone <this repository> tabular-model && cd tabular-model": "this clone is one",
    "make down": "at the end of the test",
    "pip install --require-hashes -r app/requirements.txt": INSTALL,
    "make stream": "tests/app/stream/test_worker.py",
    "make new-data TABLE=~/rides.csv TARGET=minutes": TUTORIAL,
    "dvc repro && dvc push": TUTORIAL,
    'git add params.yaml reports dvc.lock data.dvc && git commit -m "Rides"': TUTORIAL,
    "make sweep SWEEP='train.models=[lightgbm],[catboost] train.folds=3,5'": QUEUE,
    "make verify": VERIFICATION,
    "make verify SIGN=release.key": VERIFICATION,
    "uvicorn app.main:app --host 0.0.0.0 --port 8443 --http app.http.protocol:Protocol \\\n"
    "--ssl-certfile certificate.pem --ssl-keyfile key.pem": "tests/app/test_tls.py",
    "docker build -f deploy/Dockerfile -t tabular-model .": CLUSTER,
    "docker run --read-only --tmpfs /tmp --cap-drop ALL -v models:/models"
    " -p 127.0.0.1:8000:8000 \\\n--env-file s3.env tabular-model": CLUSTER,
    "docker build -f deploy/Dockerfile -t tabular-model --target baked"
    " --secret id=env,src=.env .": CLUSTER,
    "kubectl create secret generic s3 --from-env-file=s3.env": CLUSTER,
    "kubectl apply -f deploy/kubernetes/server.yaml": CLUSTER,
    "kubectl rollout status deployment/tabular-model": CLUSTER,
    "kubectl rollout undo deployment/tabular-model": CLUSTER,
    "sudo useradd --system predict": SYSTEM,
    "sudo cp deploy/serve.service /etc/systemd/system/": SYSTEM,
    "sudo systemctl enable --now serve.service": SYSTEM,
    "sudo cp deploy/predict.service deploy/predict.timer /etc/systemd/system/": SYSTEM,
    "sudo systemctl enable --now predict.timer": SYSTEM,
    "sudo systemctl start predict.service": SYSTEM,
    "pip install dvc-gs": INSTALL,
    "pip install --require-hashes -r app/requirements-clouds.txt": INSTALL,
    "dvc remote add --default store gs://bucket/dvc": "tests/app/storage/test_clouds.py",
    "dvc remote add --default store azure://container/dvc": "tests/app/storage/test_clouds.py",
    "make quality QUALITY='--minutes 3 --tables houses credit"
    " --peers autogluon_medium flaml'": LONG,
    "python -m benchmarks.serving": "tests/benchmarks/test_serving.py",
    "python -m benchmarks.reload": "tests/benchmarks/test_reload.py",
    "python -m benchmarks.explanation": LONG,
    "python -m benchmarks.batch": "tests/benchmarks/test_batch.py",
    "python -m benchmarks.stream": "tests/benchmarks/test_stream.py",
    "python -m benchmarks.pipeline": "tests/benchmarks/test_pipeline.py",
    "python -m benchmarks.coverage": LONG,
    "python -m benchmarks.drift": LONG,
    "make chaos": "tests/chaos/test_chaos.py",
    "make chaos FAULTS='store fuzz'": "tests/chaos/test_chaos.py",
    "dask scheduler": DASK,
    "dask worker tcp://10.0.0.1:8786 --nthreads 1": DASK,
    "python -m app.batch s3://bucket/in s3://bucket/out --engine dask"
    " --scheduler tcp://10.0.0.1:8786": DASK,
    "make new-data TABLE=superconductors.csv.gz TARGET=critical_temp": (
        "tests/test_superconductors.py"
    ),
    "make verify REV=v1.2": VERIFICATION,
    "make verify REV=v1.2 SIGN=release.key": VERIFICATION,
    "make new-data TABLE=~/rides.csv TARGET=minutes NAME=rides": TUTORIAL,
    "dvc exp run --queue -S 'train.models=[lightgbm],[xgboost]' -S train.folds=3,5 evaluate": QUEUE,
    "dvc queue start --jobs 2": QUEUE,
    "dvc queue status": QUEUE,
    "dvc exp run -S train.blend=0 -S 'train.models=[lightgbm]' evaluate": (
        "tests/lifecycle/test_sweep.py"
    ),
    "dvc exp push origin NAME": "tests/lifecycle/test_sweep.py",
    "dvc exp pull origin NAME": "tests/lifecycle/test_sweep.py",
    "dvc exp apply NAME": QUEUE,
    "make promote REV=a1b2c3d": "tests/lifecycle/test_deployments.py",
    "make promote REV=a1b2c3d PUSH=1": "tests/lifecycle/test_teams.py",
    "make rollback PUSH=1": "tests/lifecycle/test_teams.py",
    "make sweep": QUEUE,
    "make sweep SWEEP='train.models=[lightgbm],[catboost]"
    " train.preprocess.normalize=null,zscore'": QUEUE,
    "make sweep SWEEP='train.models=[lightgbm],[xgboost]'": "tests/lifecycle/test_sweep.py",
    "make sweep SWEEP='train.models=[catboost],[ridge]'": "tests/lifecycle/test_sweep.py",
    "dask scheduler --host 10.0.0.1": "tests/stages/training/test_threads.py",
    "python -m stages worker tcp://10.0.0.1:8786 --nworkers 8": (
        "tests/stages/training/test_threads.py"
    ),
    "dvc exp run -S train.parallel=tcp://10.0.0.1:8786": "tests/stages/training/test_threads.py",
}
ANSWERS = ("docs/batch.md", "docs/drift.md", "docs/explanations.md", "docs/intervals.md")
WALKED = ("README.md", *ANSWERS, "docs/experiments.md", "docs/tutorial.md")
SERVER = "SERVE_REMOTE=s3://tabular-model/dvc python -m app"
# What docs/experiments.md says of two branches that both changed dvc.lock
MERGE = [
    "git checkout --theirs dvc.lock reports/metrics.json",
    *("dvc repro", "dvc push", "git add --all", "git commit"),
]


def steps(document: str) -> list[str]:
    """The commands of a document that are run here, in order."""
    return [command for command in commands(document) if command not in ELSEWHERE]


def test_what_is_run_elsewhere_is_in_a_document_and_the_test_exists() -> None:
    named = {command for document in DOCUMENTS for command in commands(document)}
    assert ELSEWHERE.keys() - named == set()
    tests = {path for place in ELSEWHERE.values() for path in re.findall(r"tests/\S+\.py", place)}
    assert [path for path in sorted(tests) if not (ROOT / path).exists()] == []


def test_a_document_that_is_not_walked_has_no_command_of_its_own() -> None:
    walked = {command for document in WALKED for command in steps(document)}
    others = {command for document in DOCUMENTS for command in steps(document)}
    assert others - walked == set()


def test_no_block_holds_commands_in_another_way() -> None:
    programs = r"(?:make|dvc|git|python|curl|pip|dask|docker|kubectl|sudo|uvicorn) [\w-]"
    for document in DOCUMENTS:
        for kind, block in FENCED.findall((ROOT / document).read_text()):
            if kind != "bash":
                assert re.findall(rf"^\s*(?:\$ )?{programs}.*", block, re.M) == [], document


def commit(one: Clone, message: str) -> None:
    """What a user does before the next step."""
    one.project.run("git", "add", "--all")
    one.project.run("git", "commit", "--quiet", "--allow-empty", "--message", message)


@pytest.fixture(scope="module")
def diamond(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone over 400 diamonds after README's first command, and with services that stay."""
    table = diamonds.sample(400, random_state=1)
    table = table[[*table.columns.drop("price"), "price"]]
    with clone(tmp_path_factory.mktemp("home"), "diamonds", table) as one:
        one.project.set(evaluate__gate__beat_baseline=False)
        one.places["s3://tabular-model/dvc"] = "s3://diamonds/diamonds"
        one.run("make demo")
        commit(one, "Diamonds")
        one.run("make up")
        yield one


@pytest.fixture
def server(diamond: Clone) -> Iterator[str]:
    """The API of that clone; its URL."""
    url = diamond.places["http://127.0.0.1:8000"]
    with diamond.running(SERVER, f"{url}/ready"):
        yield url


@pytest.mark.long
def test_readme_works_as_it_is_written(diamond: Clone, server: str) -> None:
    root = diamond.project.root
    said: dict[str, str] = {}
    for command in steps("README.md"):
        if command not in {"make demo", SERVER}:
            said[command] = diamond.run(command)
            commit(diamond, command)
    assert len(pd.read_csv(root / ".local" / "scored.csv")) == 400
    assert len(pd.read_csv(root / ".local" / "scored" / "diamonds.csv")) == 400
    (answers,) = [text for command, text in said.items() if command.startswith("curl")]
    assert len(json.loads(answers)["predictions"]) == 400
    (event,) = [text for command, text in said.items() if command.startswith("echo")]
    assert json.loads(event)["prediction"] > 0
    assert "rollback" in said["make history"]
    assert (root / "release.key.pub").exists()


@pytest.mark.long
@pytest.mark.parametrize("document", ANSWERS)
def test_a_document_about_answers_works_as_it_is_written(
    diamond: Clone, server: str, document: str
) -> None:
    root = diamond.project.root
    table = pd.read_csv(root / "data" / "diamonds.csv")
    table.to_csv(root / "january.csv", index=False)
    sent = httpx.post(
        f"{server}/predict",
        files={"file": ("january.csv", (root / "january.csv").read_bytes())},
        headers={"X-Request-ID": "january"},
    )
    sent.raise_for_status()
    truths = pd.DataFrame({"id": "january", "row": range(3, 401), "value": table["price"][2:]})
    truths.to_csv(root / "truths.csv", index=False)
    for command in steps(document):
        said = diamond.run(command)
        if "/truth " in command:
            assert json.loads(said)["joined"] >= 1
        elif command.startswith("curl"):
            assert json.loads(said)["model"]["name"] == "diamonds"


@pytest.mark.long
def test_an_experiment_works_as_it_is_written(diamond: Clone) -> None:
    diamond.run("git checkout --quiet main")
    params: dict[str, str] = {}
    for command in steps("docs/experiments.md"):
        if command == "make rollback":  # README's; the rest of the document is the next test
            break
        diamond.run(command)
        commit(diamond, command)
        params[command] = (diamond.project.root / "params.yaml").read_text()
    tried = [text for command, text in params.items() if "catboost" in command]
    assert yaml.safe_load(tried[0])["train"]["models"] == ["lightgbm", "catboost"]


@pytest.mark.long
def test_a_conflict_of_two_versions_is_solved_as_it_is_written(diamond: Clone) -> None:
    project = diamond.project
    for branch, change in (("theirs", {"train__folds": 3}), ("ours", {"deploy__about": "Ours"})):
        project.run("git", "checkout", "--quiet", "-b", branch, "main")
        project.set(**change)
        diamond.run("dvc repro && dvc push")
        commit(diamond, branch)
    merge = project.run("git", "merge", "theirs", check=False)
    assert "CONFLICT (content): Merge conflict in dvc.lock" in merge.stdout
    project.environment["GIT_EDITOR"] = "true"
    for command in MERGE:
        diamond.run(command)
    assert diamond.run("dvc status").strip() == "Data and pipelines are up to date."
    assert project.run("git", "status", "--porcelain").stdout == ""
    manifest = json.loads((project.root / "model" / "serving" / "manifest.json").read_text())
    assert manifest["about"] == "Ours"
    assert manifest["lineage"]["params"]["train"]["folds"] == 3


def test_readme_shows_the_model_that_is_locked() -> None:
    text = (ROOT / "README.md").read_text()
    lock = (ROOT / "dvc.lock").read_text()
    scores = json.loads((ROOT / "reports" / "metrics.json").read_text())["model"]
    (version,) = re.findall(r"^Model diamonds, version ([0-9a-f]{32})$", text, re.M)
    (line,) = re.findall(r"^  (rmse .*)$", text, re.M)
    words = line.split()
    assert f"md5: {version}.dir" in lock
    for name, value in zip(words[::2], words[1::2], strict=True):
        assert float(value) == pytest.approx(scores[name], rel=1e-4)
