"""The history of deployments: one line of `deployments.jsonl` for each promotion and rollback."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stages.repository import git

HISTORY = Path("deployments.jsonl")


class DeploymentError(Exception):
    """Nothing is changed; the message says why and what to do."""


class LockedVersion(BaseModel):
    """A model version, and the commit whose `dvc.lock` names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    commit: str


class Deployment(LockedVersion):
    """One line of the history.

    Attributes:
        when: UTC, ISO 8601.
        action: `promote` or `rollback`.
        name: the model's.
        metrics: on the holdout.
        replaced: what was locked before; None where it was this version already.
    """

    when: str
    action: str
    name: str
    metrics: dict[str, float]
    replaced: LockedVersion | None

    def __str__(self) -> str:
        metrics = "  ".join(f"{name} {value:.5g}" for name, value in self.metrics.items())
        return (
            f"{self.when}  {self.action:<8}  {self.name} {self.version}  "
            f"commit {self.commit[:10]}  {metrics}"
        )


def read_history() -> list[Deployment]:
    """Every line so far, oldest first.

    Raises:
        DeploymentError: a line that was committed is not there any more.
    """
    lines = HISTORY.read_text().splitlines() if HISTORY.exists() else []
    patches = git("log", "--format=", "--patch", "--no-color", "--", str(HISTORY)).splitlines()
    committed = {line.removeprefix("+") for line in patches if line.startswith("+{")}
    if lost := committed - set(lines):
        raise DeploymentError(
            f"{HISTORY} has lost {len(lost)} line(s), as `dvc exp apply` of an older experiment "
            f"does. `git log -- {HISTORY}` shows its commits; `git checkout COMMIT -- {HISTORY}` "
            "brings it back."
        )
    return [Deployment.model_validate_json(line) for line in lines]


def standing_promotions(history: Sequence[Deployment]) -> list[Deployment]:
    """The promotions that no later rollback has undone, oldest first."""
    promotions: list[Deployment] = []
    for line in history:
        if line.action == "promote":
            promotions.append(line)
            continue
        while promotions and promotions[-1].version != line.version:
            promotions.pop()
    return promotions


def rollback_target(history: Sequence[Deployment], current: LockedVersion) -> LockedVersion | None:
    """The version that a rollback serves.

    That is the one before the last standing promotion; or, where `dvc.lock` has moved on since
    without a promotion, the promoted one itself. A promotion of the version that was locked
    already replaced nothing and is passed over. None where the history does not know it, as before
    the first promotion.

    Raises:
        DeploymentError: every promotion was taken back.
    """
    promotions = standing_promotions(history)
    if history and not promotions:
        raise DeploymentError(
            f"{HISTORY} has no promotion to take back. `git log -- dvc.lock` shows older versions; "
            "promote one of them."
        )
    for line in reversed(promotions):
        if line.version != current.version:
            return line
        if line.replaced is not None:
            return line.replaced
    return None
