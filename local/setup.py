"""Write what this machine alone knows: `.env`, `.dvc/config.local`, and the activation hook.

$ python -m local.setup

Afterwards plain `dvc`, `mlflow` and `uvicorn` work in the activated environment. Repeat it after
a change to `.env`.
"""

import secrets
import sys
from pathlib import Path

from dotenv import dotenv_values

from local.private_file import write_private

HOOK = "# The project's settings, for every command of this shell"


def write_env(root: Path) -> None:
    """Copy `.env.example` to `.env` with fresh local credentials, unless there is one."""
    path = root / ".env"
    if path.exists():
        return
    text = (root / ".env.example").read_text()
    text = text.replace("AWS_ACCESS_KEY_ID=\n", "AWS_ACCESS_KEY_ID=local\n")
    secret = f"AWS_SECRET_ACCESS_KEY={secrets.token_hex(20)}\n"
    text = text.replace("AWS_SECRET_ACCESS_KEY=\n", secret)
    write_private(path, text.replace("nats://local:@", f"nats://local:{secrets.token_hex(20)}@"))


def write_dvc_config(root: Path) -> None:
    """Give DVC the endpoint and credentials of `.env`."""
    settings = dotenv_values(root / ".env")
    remote = {
        "access_key_id": settings.get("AWS_ACCESS_KEY_ID"),
        "secret_access_key": settings.get("AWS_SECRET_ACCESS_KEY"),
        "endpointurl": settings.get("AWS_ENDPOINT_URL"),
        "region": settings.get("AWS_DEFAULT_REGION"),
    }
    lines = [
        "['remote \"s3\"']",
        *(f"    {key} = {value}" for key, value in remote.items() if value),
    ]
    write_private(root / ".dvc" / "config.local", "\n".join(lines) + "\n")


def write_hook(root: Path, activate: Path) -> None:
    """Make the environment's activation export what `local.environment` says."""
    text = activate.read_text().split(f"\n{HOOK}")[0]
    words = (sys.executable, str(root / "local" / "environment.py"), str(root / ".env"))
    call = " ".join(f'"{word}"' for word in words)
    activate.write_text(f'{text}\n{HOOK}\neval "$({call})"\n')


def main() -> None:
    """Command line."""
    root = Path.cwd()
    write_env(root)
    write_dvc_config(root)
    write_hook(root, Path(sys.prefix) / "bin" / "activate")


if __name__ == "__main__":
    main()
