"""Write a report about a revision, as HTML and as Markdown, and log both to MLflow.

$ python -m lifecycle.report [REV] [--folder FOLDER]

REV is a commit, branch, tag or DVC experiment; without one, what the pipeline last made here.
The report stands beside the version that REV would replace: the last other one that the
checked-out branch locked.
"""

import argparse
import sys
from pathlib import Path

from app.model.store import StoreError
from lifecycle.history import DeploymentError
from lifecycle.promotion import MOVED, resolve
from lifecycle.report import html, markdown
from lifecycle.report.revision import read, read_predecessor, read_schema, read_tables
from lifecycle.report.subject import Subject
from stages.files import METRICS
from stages.repository import CommandError, git
from stages.schema import Schema
from stages.tracking import Tracking

FOLDER = Path(".local/reports")
HERE = "working-directory"


def write(name: str, folder: Path) -> list[Path]:
    """Write the report.

    Args:
        name: the revision's; empty for the working directory.
        folder: where to.

    Raises:
        DeploymentError: there is no such revision, or it lacks something.
    """
    revision = read(name or HERE, resolve(name) if name else commit_here())
    predecessor = read_predecessor(revision)
    schema: Schema | None = None
    if predecessor is not None:
        try:
            schema = read_schema(predecessor)
        except FileNotFoundError:
            print(f"report: DVC has no longer the tables of {predecessor.name}: no drift is shown")
    tracking = Tracking(revision.params["base.name"])
    run = tracking.find(f"{revision.md5['candidate']}.dir")
    run_id = run.info.run_id if run else None
    tables = read_tables(revision)
    address = tracking.address(run_id) if run_id else None
    subject = Subject(revision, tables, predecessor, schema, address)
    folder.mkdir(parents=True, exist_ok=True)
    stem = revision.name.replace("/", "-")
    texts = {".html": html.render(subject), ".md": markdown.render(subject)}
    paths = []
    for suffix, text in texts.items():
        paths.append(folder / f"{stem}{suffix}")
        paths[-1].write_text(text)
        if run_id:
            tracking.log_file(run_id, paths[-1], "report")
    return paths


def commit_here() -> str | None:
    """HEAD, where it has what the pipeline made here last; else None."""
    files = map(str, MOVED)
    if not METRICS.exists() or git("status", "--porcelain", "--", *files):
        return None
    return git("rev-parse", "HEAD").strip()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", nargs="?", default="", help="commit or DVC experiment")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"by default {FOLDER}")
    arguments = parser.parse_args()
    try:
        paths = write(arguments.revision, arguments.folder)
    except (CommandError, DeploymentError, StoreError) as error:
        sys.exit(f"report: nothing is written. {error}")
    print("\n".join(str(path) for path in paths))


if __name__ == "__main__":
    main()
