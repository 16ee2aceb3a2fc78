"""Say which version is served, go back, and see what was served before.

$ python -m lifecycle.deployments promote REV [--push]
$ python -m lifecycle.deployments rollback [--push]
$ python -m lifecycle.deployments show

A version is promoted from a Git revision (a commit, branch, tag, or a DVC experiment) whose
`dvc.lock` names it. `dvc.lock` and what belongs to it, the registry's alias and a line of
deployments.jsonl change together, in one commit; if one of them fails, the others are taken
back. Code stays as it is.
"""

import argparse
import sys

from app.model.store import StoreError
from app.settings import Settings, SettingsError, read_settings
from lifecycle.history import (
    HISTORY,
    DeploymentError,
    LockedVersion,
    read_history,
    rollback_target,
)
from lifecycle.promotion import (
    current_version,
    locked_before,
    move,
    refuse_mixed,
    resolve,
    version_of,
)
from lifecycle.sharing import shared_move
from stages.repository import CommandError


def served_before(current: LockedVersion) -> LockedVersion:
    """What a rollback serves: by the history, or by Git's where that does not know."""
    return rollback_target(read_history(), current) or locked_before(current)


def follow_up(settings: Settings) -> str:
    """How a server with these settings comes to the version that is locked now."""
    if settings.watch_seconds:
        return f"A server takes it over by itself, within {settings.watch_seconds:g} s."
    if settings.api_key:
        return "A server takes it over on `POST /reload`, with the key of SERVE_API_KEY."
    return (
        "A server takes it over when it is started anew. For one that follows while it runs, set "
        "SERVE_WATCH_SECONDS, or SERVE_API_KEY and ask it by `POST /reload`."
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    promote, rollback = actions.add_parser("promote"), actions.add_parser("rollback")
    promote.add_argument("revision", help="commit or DVC experiment")
    for one in (promote, rollback):
        one.add_argument("--push", action="store_true", help="pull before, push after: for teams")
    actions.add_parser("show")
    arguments = parser.parse_args()
    try:
        if arguments.action == "show":
            lines = [str(line) for line in read_history()]
            print("\n".join(lines) or f"{HISTORY} has no line yet: nothing was promoted.")
            return
        if arguments.action == "promote":
            target = version_of(resolve(arguments.revision))
            refuse_mixed(target.commit)
            if arguments.push:
                deployment = shared_move("promote", lambda _: target)
            else:
                deployment = move("promote", target, current_version())
        elif arguments.push:  # once: another one's promotion is not to be taken back instead
            deployment = shared_move("rollback", served_before, attempts=1)
        else:
            current = current_version()
            deployment = move("rollback", served_before(current), current)
    except (CommandError, DeploymentError, StoreError, SettingsError) as error:
        sys.exit(f"{arguments.action}: nothing is changed. {error}")
    print(deployment)
    print(follow_up(read_settings()))
    print("`dvc pull` brings its files here.")


if __name__ == "__main__":
    main()
