"""The commands of the documents, and a clone in which they run as they are written."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from local.processes import free_port, launch
from local.s3 import S3_PORTS
from tests.conftest import ROOT, S3, free_ports, running
from tests.project import Project, create

FENCED = re.compile(r"^\s*```(\w*)\n(.*?)^\s*```", re.M | re.S)
COMMENT = re.compile(r"\s+# .*$")


def blocks(document: str, language: str) -> list[str]:
    """The code of a document's blocks in a language, in order."""
    fences = FENCED.findall((ROOT / document).read_text())
    return [code for name, code in fences if name == language]


def commands(document: str) -> list[str]:
    """Every command of a document's blocks in `bash`, in order, without its comment."""
    done: list[str] = []
    is_whole = True
    for block in blocks(document, "bash"):
        for line in block.splitlines():
            text = COMMENT.sub("", line).strip()
            if is_whole and text:
                done.append(text)
            elif text:
                done[-1] += f"\n{text}"
            is_whole = not text.endswith("\\") and (not done or done[-1].count("'") % 2 == 0)
    return done


@dataclass(frozen=True)
class Clone:
    """A clone with an environment, and services of its own once `make up` has run.

    Attributes:
        project: its files.
        places: what the documents call something, and what it is called here.
    """

    project: Project
    places: dict[str, str]

    def shell(self, command: str) -> list[str]:
        """A command as a user types it: in the activated environment, but for `make`."""
        for text, here in self.places.items():
            command = command.replace(text, here)
        activation = "" if command.startswith("make ") else ". .venv/bin/activate && "
        return ["bash", "-c", activation + command]

    def run(self, command: str) -> str:
        """What a command prints; it must end well."""
        return self.project.run(*self.shell(command)).stdout

    @contextmanager
    def running(self, command: str, url: str) -> Iterator[None]:
        """Run a command that does not end by itself, until the end of the block."""
        root, environment = self.project.root, self.project.environment
        service = launch("server", self.shell(command), environment, root.parent / "log", root)
        with running(service, url):
            yield


def link_environment(root: Path) -> None:
    """Give a clone the environment of these tests, as `make setup` would install it there.

    Its own are the script that activates it, for `make setup` writes into that one, and the mark
    by which `make` sees that nothing has to be installed.
    """
    binaries = root / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for file in Path(sys.executable).parent.iterdir():
        (binaries / file.name).symlink_to(file)
    prefix = Path(sys.prefix)
    (root / ".venv" / "lib").symlink_to(prefix / "lib")
    shutil.copy(prefix / "pyvenv.cfg", root / ".venv")
    (binaries / "activate").unlink()
    shutil.copy(prefix / "bin" / "activate", binaries)
    (root / ".venv" / "installed").touch()


@contextmanager
def clone(folder: Path, name: str, table: pd.DataFrame) -> Iterator[Clone]:
    """A clone over a small table, whose services have free ports and are stopped at the end."""
    s3 = S3(f"http://127.0.0.1:{free_ports(S3_PORTS)}", name, "key", "secret")
    tracking, port, broker = (free_port() for _ in range(3))
    project = create(folder / name, s3, f"http://127.0.0.1:{tracking}", name, table, f"{name}.csv")
    settings = {
        **s3.environment(),
        "MLFLOW_TRACKING_URI": project.environment["MLFLOW_TRACKING_URI"],
        "NATS_URL": f"nats://local:secret@127.0.0.1:{broker}",
        "SERVE_PORT": str(port),
        "SERVE_REMOTE": f"s3://{name}/{name}",
    }
    (project.root / ".env").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
    link_environment(project.root)
    # `.env` must be enough; and a `make` that runs these tests is no business of the clone's
    for setting in (*settings, "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        project.environment.pop(setting, None)
    project.environment.update(HOME=str(folder), PATH=os.environ["PATH"])
    places = {"http://127.0.0.1:8000": f"http://127.0.0.1:{port}"}
    one = Clone(project, places)
    try:
        yield one
    finally:
        one.run("make down")
