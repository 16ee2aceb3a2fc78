"""The settings of `.env`, where the environment does not say otherwise.

$ eval "$(python local/environment.py .env)"      # what activating the environment does

So `SERVE_PORT=28001 make serve` listens there. What an earlier activation took from a `.env` is no
word of the environment's own: activating anew takes what the file says by then.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

LOADED = "TABULAR_MODEL_ENV"  # what the last activation took from a file, as JSON


def settings(file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Every setting that a file names.

    Args:
        file: such as `.env`.
        environment: whose values go before the file's.
    """
    loaded = json.loads(environment.get(LOADED, "{}"))
    own = {name: value for name, value in environment.items() if loaded.get(name) != value}
    return {name: own.get(name, value or "") for name, value in dotenv_values(file).items()}


def main() -> None:
    """Print the commands that export them."""
    file = Path(sys.argv[1])
    values = settings(file, os.environ)
    written = {name: value or "" for name, value in dotenv_values(file).items()}
    loaded = {name: value for name, value in values.items() if value == written[name]}
    for name, value in {**values, LOADED: json.dumps(loaded)}.items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
