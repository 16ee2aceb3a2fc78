"""Promote where several people do: the push to the shared Git repository decides who was first.

Git moves a branch for one push at a time and refuses one that has not seen the others, so no line
of the history is lost. The registry has no such order: after each push, its champion is set to what
the last line of the shared history says, until the two agree.
"""

from collections.abc import Callable

from lifecycle.champion import set_champion
from lifecycle.history import HISTORY, Deployment, DeploymentError, LockedVersion
from lifecycle.promotion import current_version, move
from stages.repository import CommandError, git

ATTEMPTS = 20


def shared_move(
    action: str, choose: Callable[[LockedVersion], LockedVersion], *, attempts: int = ATTEMPTS
) -> Deployment:
    """Serve another version, and push it; when another push was first, look anew and try again.

    Args:
        action: `promote` or `rollback`.
        choose: the version to serve, by the one that is locked now.
        attempts: how often, at most.

    Raises:
        DeploymentError: something is missing or fails, or others were first each time; nothing is
            changed then.
        CommandError: Git refuses something; nothing is changed then.
        StoreError: S3 does not have the version; nothing is changed then.
    """
    for _ in range(attempts):
        git("pull", "--quiet", "--ff-only")
        current = current_version()
        try:
            deployment = move(action, choose(current), current, push)
        except PushError as error:
            refusal = error
            settle()
            if not git("rev-list", "--max-count=1", "HEAD..@{upstream}"):
                raise DeploymentError(str(error)) from error  # nobody was first: it is not allowed
        else:
            settle()
            return deployment
    raise DeploymentError(
        f"Others have pushed meanwhile. `git pull`, look at `make history`, and repeat. {refusal}"
    )


class PushError(Exception):
    """Git refused the push, and the commit is taken back."""


def push() -> None:
    """Push the commit that was just made, or take it back.

    Raises:
        PushError: the shared repository has moved on, or does not take it.
    """
    try:
        git("push", "--quiet")
    except CommandError as error:
        git("reset", "--quiet", "--keep", "HEAD~1")
        raise PushError(str(error)) from error


def settle() -> None:
    """Make the champion what the last line of the shared history says, until both agree."""
    last = last_line()
    while last is not None:
        set_champion(last.name, last.version)
        before, last = last, last_line()
        if last == before:
            return


def last_line() -> Deployment | None:
    """The last line of the history in the shared repository; None before the first promotion."""
    git("fetch", "--quiet")
    if not git("ls-tree", "@{upstream}", "--", str(HISTORY)):
        return None
    lines = git("show", f"@{{upstream}}:{HISTORY}").splitlines()
    return Deployment.model_validate_json(lines[-1])
