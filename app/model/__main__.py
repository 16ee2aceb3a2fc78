"""Bring the locked version into the cache, every byte verified: for an image that holds its model.

$ python -m app.model
"""

import sys

from app.model.store import StoreError, fetch, locked_version
from app.settings import SettingsError, read_settings


def main() -> None:
    """Command line."""
    try:
        settings = read_settings()
        version = locked_version(settings.lock_file, settings.lock_stage, settings.lock_path)
        print(fetch(version, settings))
    except (SettingsError, StoreError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
