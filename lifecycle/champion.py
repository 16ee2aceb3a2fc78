"""The alias `champion` in MLflow's registry, moved so that it can be moved back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from lifecycle.history import DeploymentError
from stages.deployment.registry import CHAMPION, VERSION
from stages.tracking import DEFAULTS


@contextmanager
def champion(name: str, version: str) -> Iterator[None]:
    """Make a version the champion; make the old one champion again when what follows fails.

    Args:
        name: the registered model's.
        version: the md5 of its `model/serving`, without `.dir`.

    Raises:
        DeploymentError: the registry does not know the version, or does not answer.
    """
    before = set_champion(name, version)
    try:
        yield
    except BaseException:
        client = MlflowClient()
        if before is None:
            client.delete_registered_model_alias(name, CHAMPION)
        else:
            client.set_registered_model_alias(name, CHAMPION, before)
        raise


def set_champion(name: str, version: str) -> str | None:
    """Make a version the champion.

    Args:
        name: the registered model's.
        version: the md5 of its `model/serving`, without `.dir`.

    Returns:
        The registry's number of the champion before; None when there was none.

    Raises:
        DeploymentError: the registry does not know the version, or does not answer.
    """
    for variable, value in DEFAULTS.items():
        os.environ.setdefault(variable, value)
    client = MlflowClient()
    try:
        registered = client.search_model_versions(
            f"name = '{name}' and tag.{VERSION} = '{version}.dir'"
        )
        if not registered:
            raise DeploymentError(
                f"MLflow's registry has no version of {name} tagged {VERSION}={version}.dir. Run "
                "`dvc repro --force deploy` where it was made, with the tracking server up."
            )
        before: str | None = client.get_registered_model(name).aliases.get(CHAMPION)
        client.set_registered_model_alias(name, CHAMPION, registered[0].version)
    except MlflowException as error:
        raise DeploymentError(f"MLflow does not answer ({error}). Start it: `make up`.") from error
    return before
