"""Name the commits of queued experiments that ended while another worker kept its own.

$ python -m lifecycle.restore sweep-1123-101500-8

A worker of DVC's queue copies the experiment's commit into the repository and then names it. Two
that do so in the same instant meet at one of Git's lock files, and DVC passes over the error of
the one that came second (treeverse/dvc#10673): `dvc queue status` calls it a success, `dvc exp
show` does not know it. Its commit is there all the same, until Git prunes what nothing names.
"""

import argparse
import re
import sys
from collections.abc import Iterable

from dvc.repo import Repo

from stages.repository import CommandError, git


def unnamed(baseline: str, subject: str) -> str | None:
    """The newest commit on `baseline` with that subject which no ref leads to, if there is one."""
    checked = git("fsck", "--connectivity-only", "--dangling", "--no-progress")
    commits = re.findall(r"^dangling commit (\w+)$", checked, re.M)
    listed = git(
        "log", "--no-walk=sorted", "--stdin", "--format=%H %P %s", stdin="\n".join(commits)
    )
    lines = [line for line in listed.splitlines() if line.endswith(f" {baseline} {subject}")]
    return lines[0].split()[0] if lines else None


def restore(names: Iterable[str]) -> list[str]:
    """Name the commit of each of these experiments that `dvc exp show` does not know.

    Args:
        names: experiments that `dvc queue status` calls a success.

    Returns:
        Those that had lost their names.

    Raises:
        LookupError: the queue knows no such success, or its commit is not in the repository.
    """
    with Repo() as repo:
        successes = [done.result for done in repo.experiments.celery_queue.iter_success()]
    results = {result.ref_info.name: result for result in successes}
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    restored = []
    for name in names:
        if name not in results:
            raise LookupError(f"{name} is no success of the queue; see `dvc queue status`.")
        baseline, ref = results[name].ref_info.baseline_sha, str(results[name].ref_info)
        if ref in refs:
            continue
        commit = unnamed(baseline, f"dvc: commit experiment {results[name].exp_hash}")
        if commit is None:
            raise LookupError(f"{name}: Git has no commit of it any more. Queue it again.")
        git("update-ref", ref, commit, "")  # An empty old value: the ref must not exist
        restored.append(name)
    return restored


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="as `dvc queue status` shows it")
    try:
        restored = restore(parser.parse_args().names)
    except (LookupError, CommandError) as error:
        sys.exit(f"restore: {error}")
    for name in restored:
        print(f"{name}: restored; `dvc exp show` has it again.")
    if not restored:
        print("Nothing to restore: `dvc exp show` has each of them.")


if __name__ == "__main__":
    main()
